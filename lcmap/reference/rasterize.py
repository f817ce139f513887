"""Vector databases burnt to labels on the grid of an image, strip by strip."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lcmap.dataset.inputs import InputOptions, open_input
from lcmap.errors import GridMismatchError, OverlapError
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.grid import Grid
from lcmap.raster.input_watch import unchanged_inputs
from lcmap.raster.output_set import OutputSet
from lcmap.raster.preview.reading import SourceImage
from lcmap.raster.preview.writing import Panel, check_preview, write_preview
from lcmap.raster.temporary_folder import temporary_folder
from lcmap.raster.true_scale import units_per_metre, units_per_metre_at
from lcmap.raster.writing import BLOCK, RasterFormat, atomic_raster, check_raster_output
from lcmap.reference.binding import bind_rules, with_index
from lcmap.reference.burning import iter_strips
from lcmap.reference.label_burner import LabelBurner
from lcmap.reference.rules import RuleSet
from lcmap.reference.rules_file import load_rules
from lcmap.reference.tally import left_out, report, values_absent
from lcmap.reference.target import TargetGrid
from lcmap.vector.sources import find_layers

_PIXELS_PER_STRIP = 1 << 25
_MOST_DISTORTION = 0.02
"""By how much a metre may differ over a grid from its length at the centre."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RasterizeOutputs:
    """Where labels go.

    output: the label raster; "-" is standard output.
    conflicts: a raster of how many classes claim each pixel; None: it is not written.
    preview: a picture of the labels; None: it is not made.
    overwrite: replace files that exist.
    """

    output: PathLike
    conflicts: PathLike | None = None
    preview: PathLike | None = None
    overwrite: bool = False

    def check(self) -> None:
        """Check all before any work.

        Raises:
            OutputExistsError, CannotWriteError: one cannot be written.
        """
        check_raster_output(self.output, overwrite=self.overwrite)
        if self.conflicts is not None:
            check_raster_output(self.conflicts, overwrite=self.overwrite)
        check_preview(self.preview, overwrite=self.overwrite)


@dataclass(frozen=True)
class ReferenceSummary:
    """What was burnt: pixels per class code, pixels in all, and pixels that several classes claim.

    `disputed` is None where conflicts were not asked for. `text` says what each rule took and what
    none took, line by line.
    """

    pixels: Mapping[int, int]
    total: int
    disputed: int | None
    text: str


def rasterize_reference(
    sources: Sequence[PathLike],
    rules: PathLike,
    like: PathLike | TargetGrid,
    outputs: RasterizeOutputs,
    *,
    all_touched: bool = False,
    inputs: InputOptions | None = None,
    strip_rows: int | None = None,
    progress: Progress = silent,
) -> ReferenceSummary:
    """Burn vector databases to labels, a uint8 GeoTIFF on a grid: that of the image `like`, or it.

    Works by strips of the grid, reading from each layer only what may meet the strip. The result
    does not depend on `strip_rows`, and equals burning the whole grid at once with
    `rasterio.features.rasterize`: every pixel whose centre a feature covers, or with `all_touched`
    every pixel that it touches. The conflicts are a uint8 GeoTIFF of how many classes claim each
    pixel; a ring claims only pixels that nothing else does. After Stocker and Le Bris (2020),
    sections 3.3 and 3.4.

    Raises:
        OutputExistsError, CannotWriteError, UsageError: an output cannot be written.
        LockedError: another run is making one of the outputs.
        InputMissingError, NotARasterError, NoCrsError: `like` cannot be used.
        InputMissingError, NotAVectorError, DataError, NoCrsError: a source cannot be used.
        UsageError, RulesError, NomenclatureError: the rules are wrong.
        GridMismatchError: the rules speak of metres, and the grid is in degrees or distorts them.
        RulesError: no rule is about any layer of the sources.
        OverlapError: no feature that the rules take falls on the grid.
        InputChangedError: a file changed while it was read.
    """
    inputs = inputs or InputOptions()
    rule_set = load_rules(rules)
    with (
        OutputSet(
            [outputs.output, outputs.conflicts, outputs.preview],
            overwrite=outputs.overwrite,
            tmpdir=inputs.tmpdir,
            inputs=[*sources, rules, None if isinstance(like, TargetGrid) else like],
        ) as written,
        unchanged_inputs(),
    ):
        outputs = replace(outputs, overwrite=written.overwrite)
        outputs.check()
        grid, name = _target_grid(like, inputs)
        unit = _unit_in_metres(grid, name, rule_set)
        found = find_layers(sources)
        matched = bind_rules(rule_set, found, grid, unit)
        with (
            temporary_folder(inputs.tmpdir) as folder,
            ExitStack() as files,
        ):
            layers = [with_index(item, grid, folder) for item in matched]
            burner = LabelBurner(rule_set, layers, grid, unit, all_touched=all_touched)
            labels, claims = _create(outputs, rule_set, grid, files, written)
            disputed = _burn(
                burner, grid, strip_rows or default_strip_rows(grid.width), labels, claims, progress
            )
            unused = sorted({layer.name for layer in found} - {item.layer.name for item in matched})
            text = report(burner.tally, rule_set, matched, unused)
            histogram = labels.counts
            if not histogram[1:].any():
                raise OverlapError(
                    name,
                    "no feature that the rules take falls on its grid",
                    "check that the sources cover the same ground and hold what the rules ask for: "
                    + ", ".join(str(item.layer) for item in matched)
                    + "".join(
                        f"; {line}"
                        for line in (
                            *values_absent(burner.tally, matched),
                            *left_out(burner.tally),
                        )
                    ),
                )
        _show(outputs, like, inputs, written)
    pixels = {code: int(histogram[code]) for code in rule_set.nomenclature.codes}
    summary = ReferenceSummary(
        pixels, int(histogram.sum()), None if claims is None else disputed, text
    )
    logger.info("%s", _in_words(summary, rule_set))
    return summary


def _target_grid(like: PathLike | TargetGrid, inputs: InputOptions) -> tuple[Grid, str]:
    """Return the grid to burn on, and what messages call it."""
    if isinstance(like, TargetGrid):
        return like.grid(), "the grid of `bounds`"
    with open_input(like, inputs) as image:
        image.require_crs()
        return image.grid, image.name


def _unit_in_metres(grid: Grid, name: str, rule_set: RuleSet) -> float:
    """Return how many metres on the ground the unit of a grid has.

    Raises:
        GridMismatchError: the rules speak of metres, and the grid is in degrees, or a metre has
            not the same length in all directions or in all places of it.
    """
    assert grid.crs is not None
    measures = bool(rule_set.rings) or any(rule.measures for rule in rule_set.rules)
    if grid.crs.is_geographic:
        if measures:
            raise _no_metres(name, rule_set, "its grid is in degrees")
        return 1.0
    try:
        along_columns, along_rows = units_per_metre(grid)
        scales = [scale for place in _places(grid) for scale in place]
    except ValueError as error:
        raise _no_metres(name, rule_set, str(error)) from error
    scale = (along_columns + along_rows) / 2
    furthest = max(abs(other / scale - 1) for other in scales)
    if measures and furthest > _MOST_DISTORTION:
        raise _no_metres(
            name,
            rule_set,
            f"the length of a metre on its grid differs by {100 * furthest:.0f} % "
            "between places or directions",
        )
    return 1 / scale


def _places(grid: Grid) -> Iterator[tuple[float, float]]:
    """Yield the units per metre along columns and rows at the centre and corners of a grid."""
    yield units_per_metre(grid)
    for col in (0, grid.width):
        for row in (0, grid.height):
            yield units_per_metre_at(grid, col, row)


def _no_metres(name: str, rule_set: RuleSet, problem: str) -> GridMismatchError:
    return GridMismatchError(
        name,
        f"{problem}, but the rules {rule_set.name} speak of metres",
        "reproject it to a coordinate reference system made for its area",
    )


def _create(
    outputs: RasterizeOutputs, rule_set: RuleSet, grid: Grid, files: ExitStack, within: OutputSet
) -> tuple[Any, Any]:
    """Open the rasters to write: labels and, where they are wanted, claims."""
    labels = files.enter_context(
        atomic_raster(
            outputs.output,
            grid,
            RasterFormat(
                count=1,
                dtype="uint8",
                nodata=0,
                tags={"LCMAP_RULES": rule_set.name},
                classes=rule_set.nomenclature.class_table(),
                overviews=True,
                sidecars=True,
            ),
            overwrite=outputs.overwrite,
            within=within,
        )
    )
    if outputs.conflicts is None:
        return labels, None
    claims = files.enter_context(
        atomic_raster(
            outputs.conflicts,
            grid,
            RasterFormat(count=1, dtype="uint8", nodata=None, band_names=("number of classes",)),
            overwrite=outputs.overwrite,
            within=within,
        )
    )
    return labels, claims


def _burn(
    burner: LabelBurner, grid: Grid, rows: int, labels: Any, claims: Any, progress: Progress
) -> int:
    """Burn strips of so many rows; return how many pixels several classes claim."""
    disputed = 0
    for strip in iter_strips(grid, rows):
        burnt, counts = burner.strip(strip, count=claims is not None)
        labels.write(burnt, 1, window=strip.ranges)
        if counts is not None:
            claims.write(counts, 1, window=strip.ranges)
            disputed += int(np.count_nonzero(counts > 1))
        progress(strip.stop_row, grid.height, amount=strip.stop_row * grid.width)
    return disputed


def _show(
    outputs: RasterizeOutputs, like: PathLike | TargetGrid, inputs: InputOptions, within: OutputSet
) -> None:
    """Make the picture of finished labels, if one is wanted, beside the image on whose grid they
    are."""
    if outputs.preview is None:
        return
    image = None
    if not isinstance(like, TargetGrid):
        image = SourceImage.of([like], allow_vrt=inputs.allow_vrt)
    panel = Panel(outputs.output, within.written(outputs.output))
    write_preview(outputs.preview, [panel], image, overwrite=outputs.overwrite, within=within)


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
