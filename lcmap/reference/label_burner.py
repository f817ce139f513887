"""What rules take from layers, burnt strip by strip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window
from lcmap.reference.binding import BoundLayer, BoundRule, expanded
from lcmap.reference.burning import (
    Geometries,
    PixelFrame,
    Shapes,
    grow,
    repair,
    taken_apart,
    widen_lines,
)
from lcmap.reference.rules import Near, Rule, RuleSet
from lcmap.reference.tally import Tally, starting
from lcmap.vector.layer import Features
from lcmap.vector.sources import read_features

Taken = Sequence[tuple[Rule, Geometries]]


class LabelBurner:
    """The labels of one strip after another."""

    def __init__(
        self,
        rule_set: RuleSet,
        layers: Sequence[BoundLayer],
        grid: Grid,
        unit: float,
        *,
        all_touched: bool,
    ) -> None:
        """Burn what rules take from layers; `unit` is the metres that a unit of the grid has."""
        self._rule_set = rule_set
        self._layers = layers
        self._grid = grid
        self._unit = unit
        self._all_touched = all_touched
        self._frame = PixelFrame.of(grid)
        self._owner = {rule.number: i for i, rule in enumerate(rule_set.rules, start=1)}
        self._codes = np.array(
            [0, *(rule.code for rule in rule_set.rules), *(ring.code for ring in rule_set.rings)],
            np.uint8,
        )
        self.tally = Tally()

    def strip(
        self, strip: Window, *, count: bool
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Return labels and, if wanted, the number of classes that claim each pixel, uint8 [h, w].

        Raises:
            NotAVectorError: a layer cannot be read.
        """
        taken = self._read(strip)
        shapes = [(self._frame.to_pixels(shape), self._owner[rule.number]) for rule, shape in taken]
        owners = self._burn(self._rings(taken), strip)
        start = 0
        for stop, (rule, _) in enumerate(taken):
            if rule.near:
                self._lay(owners, shapes[start:stop], strip)
                near = self._near(rule.near, taken, strip)
                owners[(self._burn([shapes[stop]], strip) != 0) & near] = shapes[stop][1]
                start = stop + 1
        self._lay(owners, shapes[start:], strip)
        self.tally.add_owners(owners, len(self._codes))
        labels = self._codes[owners]
        if not count:
            return labels, None
        claims = self._claims(taken, shapes, strip)
        # a ring is burnt only where no class is, so there it is the only claim
        claims[(claims == 0) & (labels != 0)] = 1
        return labels, claims

    def _burn(self, shapes: Shapes, strip: Window) -> NDArray[np.uint16]:
        return self._frame.burn(shapes, strip, all_touched=self._all_touched)

    def _lay(self, owners: NDArray[np.uint16], shapes: Shapes, strip: Window) -> None:
        """Burn shapes over owners."""
        if shapes:
            burnt = self._burn(shapes, strip)
            np.copyto(owners, burnt, where=burnt != 0)

    def _near(self, near: Near, taken: Taken, strip: Window) -> NDArray[np.bool_]:
        """Return the pixels of a strip near some classes, bool [h, w]."""
        around = [
            (self._frame.to_pixels(grow(geometries, near.distance / self._unit)), 1)
            for rule, geometries in taken
            if rule.code in near.around
        ]
        close: NDArray[np.bool_] = self._burn(around, strip) == 1
        return close

    def _claims(self, taken: Taken, shapes: Shapes, strip: Window) -> NDArray[np.uint8]:
        """Return how many classes have a feature on each pixel of a strip, uint8 [h, w]."""
        claims = np.zeros((strip.height, strip.width), np.uint8)
        packed: dict[int, NDArray[np.uint8]] = {}
        for code in sorted({rule.code for rule, _ in taken if rule.code}):
            mask = np.zeros(claims.shape, bool)
            for (rule, _), shape in zip(taken, shapes, strict=True):
                if rule.code == code:
                    burnt = self._burn([shape], strip) != 0
                    mask |= burnt & self._near(rule.near, taken, strip) if rule.near else burnt
            claims += mask
            packed[code] = np.packbits(mask)
        self.tally.add_claims(packed)
        return claims

    def _read(self, strip: Window) -> Taken:
        """Return what the rules take near a strip, in units of the grid's CRS, in their order."""
        by_rule: dict[int, list[Geometries]] = {rule.number: [] for rule in self._rule_set.rules}
        bounds = self._grid.subgrid(strip).bounds
        for item in self._layers:
            features = read_features(
                item.layer, item.fields, expanded(bounds, item.reach), item.reach
            )
            chosen = {bound.rule.number: bound.choose(features) for bound in item.rules}
            new = starting(features, self._frame, self._grid, strip)
            self.tally.add_features(item, features, chosen, new)
            for bound in item.rules:
                mine = features.only(chosen[bound.rule.number])
                if len(mine):
                    by_rule[bound.rule.number].append(self._shaped(bound, mine))
        return [
            (rule, np.concatenate(by_rule[rule.number]))
            for rule in self._rule_set.rules
            if by_rule[rule.number]
        ]

    def _shaped(self, bound: BoundRule, features: Features) -> Geometries:
        """Return features' geometries as the rule wants them: mended, widened, buffered."""
        geometries, owners = taken_apart(features.geometries)
        geometries = repair(geometries)
        if bound.rule.width:
            column: NDArray[Any] | None = None
            if bound.width_field:
                column = features.columns[bound.width_field][owners]
            widths = bound.rule.width.of(column, len(geometries)) / self._unit
            geometries = widen_lines(geometries, widths)
        if bound.rule.buffer:
            geometries = grow(geometries, bound.rule.buffer / self._unit)
        result: Geometries = geometries[~shapely.is_empty(geometries)]
        return result

    def _rings(self, taken: Taken) -> Shapes:
        """Return the ground around classes, in pixel coordinates; to be burnt under all else."""
        return [
            (self._frame.to_pixels(grow(geometries, ring.distance / self._unit)), owner)
            for owner, ring in enumerate(self._rule_set.rings, start=len(self._rule_set.rules) + 1)
            for rule, geometries in taken
            if rule.code in ring.around
        ]
