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
    count_classes,
    grow,
    repair,
    widen_lines,
)
from lcmap.reference.rules import RuleSet
from lcmap.reference.sources import Features, read_features


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

    def strip(
        self, strip: Window, *, count: bool
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Return labels and, if wanted, the number of classes that claim each pixel, uint8 [h, w].

        Raises:
            NotAVectorError: a layer cannot be read.
        """
        taken = self._read(strip)
        shapes = [(self._frame.to_pixels(geometries), code) for geometries, code in taken]
        rings = self._rings(taken)
        labels = self._frame.burn([*rings, *shapes], strip, all_touched=self._all_touched)
        if not count:
            return labels, None
        claims = count_classes(shapes, self._frame, strip, all_touched=self._all_touched)
        # a ring is burnt only where no class is, so there it is the only claim
        claims[(claims == 0) & (labels != 0)] = 1
        return labels, claims

    def _read(self, strip: Window) -> Shapes:
        """Return what the rules take near a strip, in units of the grid's CRS, in their order."""
        by_rule: dict[int, list[Geometries]] = {rule.number: [] for rule in self._rule_set.rules}
        bounds = self._grid.subgrid(strip).bounds
        for item in self._layers:
            features = read_features(item.layer, item.fields, expanded(bounds, item.reach))
            for bound in item.rules:
                chosen = features.only(bound.choose(features))
                if len(chosen):
                    by_rule[bound.rule.number].append(self._shaped(bound, chosen))
        return [
            (np.concatenate(by_rule[rule.number]), rule.code)
            for rule in self._rule_set.rules
            if by_rule[rule.number]
        ]

    def _shaped(self, bound: BoundRule, features: Features) -> Geometries:
        """Return features' geometries as the rule wants them: mended, widened, buffered."""
        geometries = repair(features.geometries)
        if bound.rule.width:
            column: NDArray[Any] | None = None
            if bound.width_field:
                column = features.columns[bound.width_field]
            widths = bound.rule.width.of(column, len(features)) / self._unit
            geometries = widen_lines(geometries, widths)
        if bound.rule.buffer:
            geometries = grow(geometries, bound.rule.buffer / self._unit)
        result: Geometries = geometries[~shapely.is_empty(geometries)]
        return result

    def _rings(self, taken: Shapes) -> Shapes:
        """Return the ground around classes, in pixel coordinates; to be burnt under all else."""
        return [
            (self._frame.to_pixels(grow(geometries, ring.distance / self._unit)), ring.code)
            for ring in self._rule_set.rings
            for geometries, code in taken
            if code in ring.around
        ]
