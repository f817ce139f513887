"""Vector databases burnt to labels on the grid of an image, strip by strip."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from lcmap.errors import (
    GeographicCrsError,
    NoCrsError,
    NoOverlapError,
    NoRuleAppliesError,
    UsageError,
)
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster
from lcmap.raster.windows import Window
from lcmap.raster.writing import BLOCK, RasterFormat, atomic_raster, check_output
from lcmap.reference.burning import (
    Geometries,
    PixelFrame,
    Shapes,
    count_classes,
    grow,
    iter_strips,
    repair,
    widen_lines,
)
from lcmap.reference.names import find_field
from lcmap.reference.rules import Condition, Rule, RuleSet, load_rules
from lcmap.reference.sources import (
    Bounds,
    Features,
    VectorLayer,
    find_layers,
    indexed_copy,
    largest_number,
    read_features,
)

_PIXELS_PER_STRIP = 1 << 25

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReferenceSummary:
    """What was burnt: pixels per class code, pixels in all, and pixels that several classes claim.

    `disputed` is None where conflicts were not asked for.
    """

    pixels: Mapping[int, int]
    total: int
    disputed: int | None


@dataclass(frozen=True)
class _BoundRule:
    """A rule and what its fields are called in one layer."""

    rule: Rule
    where: tuple[tuple[str, Condition], ...]
    unless: tuple[tuple[str, Condition], ...]
    width_field: str | None

    @property
    def fields(self) -> tuple[str, ...]:
        names = [name for name, _ in (*self.where, *self.unless)]
        return (*names, self.width_field) if self.width_field else tuple(names)

    def choose(self, features: Features) -> NDArray[np.bool_]:
        chosen = np.ones(len(features), bool)
        for name, condition in self.where:
            chosen &= condition.holds(features.columns[name])
        for name, condition in self.unless:
            chosen &= ~condition.holds(features.columns[name])
        return chosen


@dataclass(frozen=True)
class _BoundLayer:
    """A layer, the rules that take features from it, and how far they let features reach."""

    layer: VectorLayer
    rules: tuple[_BoundRule, ...]
    reach: float

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.fields))


def rasterize_reference(
    sources: Sequence[PathLike],
    rules: PathLike,
    like: PathLike,
    output: PathLike,
    *,
    conflicts: PathLike | None = None,
    all_touched: bool = False,
    allow_vrt: bool = False,
    overwrite: bool = False,
    tmpdir: Path | None = None,
    strip_rows: int | None = None,
    progress: Progress = silent,
) -> ReferenceSummary:
    """Burn vector databases to labels, a uint8 GeoTIFF on the grid of the image `like`.

    Works by strips of the grid, reading from each layer only what may meet the strip; the result
    does not depend on `strip_rows`, and equals burning the whole grid at once with
    `rasterio.features.rasterize`. `conflicts` is a uint8 GeoTIFF of how many classes claim each
    pixel; a ring claims only pixels that nothing else does. After Stocker and Le Bris (2020),
    sections 3.3 and 3.4.

    Raises:
        OutputExistsError, CannotWriteError, UsageError: an output cannot be written.
        InputMissingError, NotARasterError, NoCrsError: `like` cannot be used.
        InputMissingError, NotAVectorError, LayerMissingError, NoCrsError: a source cannot be used.
        UnknownRulesError, RulesError, UnknownClassError, NomenclatureError: the rules are wrong.
        GeographicCrsError: the grid is in degrees and the rules speak of metres.
        NoRuleAppliesError: no rule is about any layer of the sources.
        NoOverlapError: no feature that the rules take falls on the grid.
    """
    rule_set = load_rules(rules)
    check_output(output, overwrite=overwrite)
    if conflicts is not None:
        check_output(conflicts, overwrite=overwrite)
        if os.path.abspath(conflicts) == os.path.abspath(output):
            raise UsageError("--conflicts", "is the same file as --output", "name another")
    with open_raster(like, allow_vrt=allow_vrt) as dataset:
        grid = Grid.of(dataset)
    unit = _unit_in_metres(grid, rule_set, like)
    layers = find_layers(sources)
    matched = _bind_all(rule_set, layers, grid, unit)
    with tempfile.TemporaryDirectory(prefix="lcmap-", dir=tmpdir) as folder, ExitStack() as stack:
        bound = [_with_index(item, grid, Path(folder)) for item in matched]
        labels = stack.enter_context(
            atomic_raster(
                output,
                grid,
                RasterFormat(
                    count=1,
                    dtype="uint8",
                    nodata=0,
                    tags={"LCMAP_RULES": rule_set.name},
                    classes=rule_set.nomenclature.class_table(),
                ),
                overwrite=overwrite,
                tmpdir=tmpdir,
            )
        )
        counts = None
        if conflicts is not None:
            counts = stack.enter_context(
                atomic_raster(
                    conflicts,
                    grid,
                    RasterFormat(
                        count=1, dtype="uint8", nodata=None, band_names=("number of classes",)
                    ),
                    overwrite=overwrite,
                    tmpdir=tmpdir,
                )
            )
        burner = _Burner(rule_set, bound, grid, unit, all_touched=all_touched)
        histogram = np.zeros(256, np.int64)
        disputed = 0
        done = 0
        for strip in iter_strips(grid, strip_rows or default_strip_rows(grid.width)):
            burnt, claims = burner.strip(strip, count=counts is not None)
            labels.write(burnt, 1, window=strip.ranges)
            histogram += np.bincount(burnt.ravel(), minlength=256)
            if counts is not None and claims is not None:
                counts.write(claims, 1, window=strip.ranges)
                disputed += int(np.count_nonzero(claims > 1))
            done += strip.height
            progress(done, grid.height)
        if not histogram[1:].any():
            raise NoOverlapError(
                like,
                "no feature that the rules take falls on its grid",
                "check that the sources cover the same ground and hold what the rules ask for: "
                + ", ".join(str(item.layer) for item in matched),
            )
    pixels = {code: int(histogram[code]) for code in rule_set.nomenclature.codes}
    summary = ReferenceSummary(pixels, int(histogram.sum()), None if counts is None else disputed)
    _log.info("%s", _in_words(summary, rule_set))
    return summary


def _in_words(summary: ReferenceSummary, rule_set: RuleSet) -> str:
    shares = {code: 100 * count / summary.total for code, count in summary.pixels.items()}
    classes = ", ".join(
        f"{item.name} {shares[item.code]:.1f} %"
        for item in rule_set.nomenclature.classes
        if summary.pixels[item.code]
    )
    text = f"labelled {sum(shares.values()):.1f} % of the pixels: {classes}"
    if summary.disputed is not None:
        text += f"; several classes claim {100 * summary.disputed / summary.total:.1f} %"
    return text


def default_strip_rows(width: int) -> int:
    """Return rows per strip: some 32 million pixels, in whole rows of the output's tiles."""
    return max(_PIXELS_PER_STRIP // width // BLOCK, 1) * BLOCK


def _unit_in_metres(grid: Grid, rule_set: RuleSet, like: PathLike) -> float:
    """Return how many metres the grid's unit has."""
    if grid.crs is None:
        raise NoCrsError(
            like,
            "does not say its coordinate reference system",
            "write it in with gdal_edit.py -a_srs",
        )
    if grid.crs.is_geographic:
        if rule_set.rings or any(rule.measures for rule in rule_set.rules):
            raise GeographicCrsError(
                like,
                f"its grid is in degrees, but the rules {rule_set.name} speak of metres",
                "reproject it to a projected coordinate reference system",
            )
        return 1.0
    return float(grid.crs.linear_units_factor[1])


def _bind_all(
    rule_set: RuleSet, layers: Sequence[VectorLayer], grid: Grid, unit: float
) -> list[_BoundLayer]:
    bound: list[_BoundLayer] = []
    missing: list[str] = []
    for rule in rule_set.rules:
        if not any(rule_set.takes_layer(rule, layer.name) for layer in layers):
            missing.append(rule.layer)
    if len(missing) == len(rule_set.rules):
        raise NoRuleAppliesError(
            rule_set.name,
            "no rule is about any layer of the sources, which are "
            + ", ".join(sorted({layer.name for layer in layers})),
            "the rules are about " + ", ".join(dict.fromkeys(missing)),
        )
    if missing:
        _log.info("no source has the layers %s", ", ".join(dict.fromkeys(missing)))
    for layer in layers:
        rules = [rule for rule in rule_set.rules if rule_set.takes_layer(rule, layer.name)]
        if rules and layer.empty:
            _log.info("%s: has no features", layer)
        elif rules:
            bound_rules = _bind(rule_set, rules, layer)
            if bound_rules:
                reach = max(_reach(rule, rule_set, layer) for rule in bound_rules) / unit
                bound.append(_BoundLayer(layer, bound_rules, reach + 2 * max(grid.gsd)))
    return bound


def _bind(rule_set: RuleSet, rules: Sequence[Rule], layer: VectorLayer) -> tuple[_BoundRule, ...]:
    """Return the rules that can be followed in a layer; say which cannot, and why."""

    def actual(field: str) -> str | None:
        return find_field(layer.fields, rule_set.field_names(field))

    bound: list[_BoundRule] = []
    unmet: dict[str, list[int]] = {}
    for rule in rules:
        lacking = [c.field for c in rule.where if actual(c.field) is None]
        takes_all = not layer.fields and rule.without_attributes
        if lacking and not takes_all:
            unmet.setdefault(lacking[0], []).append(rule.number)
            continue
        where = tuple((n, c) for c in rule.where if (n := actual(c.field)))
        unless = tuple((n, c) for c in rule.unless if (n := actual(c.field)))
        width_field = actual(rule.width.field) if rule.width and rule.width.field else None
        bound.append(_BoundRule(rule, where, unless, width_field))
    if not layer.fields and any(r.where or r.unless or (r.width and r.width.field) for r in rules):
        taken = ", ".join(_described(rule_set, item.rule) for item in bound) or "nothing"
        _log.warning("%s: has no attributes; all its features are taken as %s", layer, taken)
    else:
        for field, numbers in unmet.items():
            _log.warning(
                "%s: has no field %s, so that rules %s take nothing from it",
                layer,
                field,
                ", ".join(map(str, numbers)),
            )
    return tuple(bound)


def _described(rule_set: RuleSet, rule: Rule) -> str:
    name = rule_set.nomenclature[rule.code].name
    return f"{name}, {rule.width.default:g} m wide" if rule.width else name


def _reach(bound: _BoundRule, rule_set: RuleSet, layer: VectorLayer) -> float:
    """Return how many metres beyond a feature its label, or a ring around it, can reach."""
    rule = bound.rule
    width = rule.width.default if rule.width else 0.0
    if bound.width_field:
        width = max(width, largest_number(layer, bound.width_field))
    rings = [ring.distance for ring in rule_set.rings if rule.code in ring.around]
    return width / 2 + rule.buffer + max(rings, default=0.0)


def _with_index(item: _BoundLayer, grid: Grid, folder: Path) -> _BoundLayer:
    assert grid.crs is not None
    bounds = _expanded(grid.bounds, item.reach)
    layer = indexed_copy(item.layer, item.fields, grid.crs, bounds, folder)
    return _BoundLayer(layer, item.rules, item.reach)


def _expanded(bounds: Bounds, distance: float) -> Bounds:
    west, south, east, north = bounds
    return west - distance, south - distance, east + distance, north + distance


class _Burner:
    """The labels of one strip after another."""

    def __init__(
        self,
        rule_set: RuleSet,
        layers: Sequence[_BoundLayer],
        grid: Grid,
        unit: float,
        *,
        all_touched: bool,
    ) -> None:
        self._rule_set = rule_set
        self._layers = layers
        self._grid = grid
        self._unit = unit
        self._all_touched = all_touched
        self._frame = PixelFrame.of(grid)

    def strip(
        self, strip: Window, *, count: bool
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Return labels and, if wanted, the number of classes that claim each pixel [h, w]."""
        taken = self._read(strip)
        shapes = [(self._frame.to_pixels(geometries), code) for geometries, code in taken]
        rings = self._rings(taken)
        labels = self._frame.burn([*rings, *shapes], strip, all_touched=self._all_touched)
        if not count:
            return labels, None
        claims = count_classes(shapes, self._frame, strip, all_touched=self._all_touched)
        # a ring lies only where no class is, so there it is the only claim
        claims[(claims == 0) & (labels != 0)] = 1
        return labels, claims

    def _read(self, strip: Window) -> Shapes:
        """Return what the rules take near a strip, in units of the grid's CRS, in their order."""
        by_rule: dict[int, list[Geometries]] = {rule.number: [] for rule in self._rule_set.rules}
        bounds = self._grid.subgrid(strip).bounds
        for item in self._layers:
            features = read_features(item.layer, item.fields, _expanded(bounds, item.reach))
            for bound in item.rules:
                chosen = features.only(bound.choose(features))
                if len(chosen):
                    by_rule[bound.rule.number].append(self._shaped(bound, chosen))
        return [
            (np.concatenate(by_rule[rule.number]), rule.code)
            for rule in self._rule_set.rules
            if by_rule[rule.number]
        ]

    def _shaped(self, bound: _BoundRule, features: Features) -> Geometries:
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
