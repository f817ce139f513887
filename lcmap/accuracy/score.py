"""Scoring maps against references: the library function behind `lcmap score`."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import rasterio

from lcmap import defaults
from lcmap.accuracy.between_images import images_differ
from lcmap.accuracy.counting import Counting
from lcmap.accuracy.inputs import (
    Comparison,
    in_common_nomenclature,
    open_score_inputs,
    with_confidences,
)
from lcmap.accuracy.map_scores import map_scores
from lcmap.accuracy.options import (
    BootstrapOptions,
    ClassOptions,
    PageOptions,
    ReportOptions,
    SplitOptions,
)
from lcmap.accuracy.places import PlaceView, choose_places, read_places
from lcmap.accuracy.report import Bootstrap, Report
from lcmap.accuracy.split_windows import SplitTiles
from lcmap.accuracy.tables import check_report_path, write_report
from lcmap.accuracy.tally import Tally
from lcmap.dataset.inputs import InputOptions
from lcmap.dataset.tile_index import read_tile_index
from lcmap.errors import UsageError
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.input_watch import unchanged_inputs
from lcmap.raster.output_set import OutputSet
from lcmap.raster.pixel_areas import pixel_areas
from lcmap.raster.writing import check_output

logger = logging.getLogger(__name__)

_CACHE_BYTES = 256 << 20
"""GDAL's own limit is a share of the machine's memory; this holds the rows of a few wide files."""
_FEW_BLOCKS = 10
_FEWEST_IMAGES = 3
_FEW_IMAGES = 5


def score(
    maps: Sequence[PathLike],
    references: Sequence[PathLike],
    *,
    classes: ClassOptions | None = None,
    split: SplitOptions | None = None,
    bootstrap: BootstrapOptions | None = None,
    outputs: ReportOptions | None = None,
    inputs: InputOptions | None = None,
    progress: Progress = silent,
) -> Report:
    """Measure maps against references, all on the same pixels.

    Maps and references are files, "-" for standard input, or folders and patterns of files. The
    files of one map are its parts; those of the references are pooled. Every file of the
    references is compared, on its own grid, with the parts of each map that cover it.

    Scored are the pixels that are labelled in a reference, are in the tiles of the split, and are
    covered by every map. Intervals come from draws of blocks of pixels, the same for all maps: they
    are of agreement with the reference, on ground like this. Maps of one name are runs of one
    method where `outputs.replicate` says so. Memory grows with the number of blocks alone.

    Raises:
        UsageError: options contradict each other, or nothing says the nomenclature.
        InputMissingError, NotARasterError, LabelBandError, NoCrsError: of a file.
        GridMismatchError, OverlapError: maps and references do not fit.
        NomenclatureMismatchError: a raster says that it is in another nomenclature.
        UnknownLabelError: a raster holds codes that its nomenclature lacks.
        NoLabelledPixelError: there is no pixel to score.
        InputChangedError: a file changed while it was read.
        OutputExistsError, CannotWriteError: of an output.
        LockedError: another run is making one of the outputs.
    """
    classes, split = classes or ClassOptions(), split or SplitOptions()
    bootstrap, outputs = bootstrap or BootstrapOptions(), outputs or ReportOptions()
    inputs = inputs or InputOptions()
    _check_draws(bootstrap, outputs)
    if split.split and not split.tiles:
        raise UsageError("`split`", "there is no tile index", "name it with `tiles`")
    page = outputs.page
    read = [*maps, *references, *split.tiles, *(page.images if page else ())]
    written = [*outputs.files, *([page.file] if page else [])]
    with (
        OutputSet(written, overwrite=outputs.overwrite, inputs=read) as files,
        unchanged_inputs(),
    ):
        for output in outputs.files:
            check_report_path(output, overwrite=files.overwrite)
        if page is not None:
            # before the work, for an installation for mapping lacks what draws
            from lcmap.accuracy.page.page import write_page

            check_page(page, len(maps), overwrite=files.overwrite)
        report, places = _measured(
            (maps, references), outputs, (classes, split, bootstrap), inputs, progress
        )
        for output in outputs.files:
            write_report(report, output, overwrite=files.overwrite, within=files)
        if page is not None:
            write_page(report, places, page.file, files, page.command)
    return report


def check_page(page: PageOptions, maps: int, *, overwrite: bool) -> None:
    """Check what is asked for of a page before any work.

    Raises:
        UsageError: its name does not end in .html; or confidences are not one for each map.
        OutputExistsError, CannotWriteError: it cannot be written.
    """
    if Path(page.file).suffix.lower() not in (".html", ".htm"):
        raise UsageError(page.file, "is no page", "end its name in .html")
    if page.confidences and len(page.confidences) != maps:
        raise UsageError(
            "`confidences`",
            f"{len(page.confidences)} for {maps} maps",
            "give one for each map, in order",
        )
    check_output(page.file, overwrite=overwrite)


def _measured(
    given: tuple[Sequence[PathLike], Sequence[PathLike]],
    outputs: ReportOptions,
    options: tuple[ClassOptions, SplitOptions, BootstrapOptions],
    inputs: InputOptions,
    progress: Progress,
) -> tuple[Report, list[PlaceView]]:
    """Return the report on maps and references, and the places that a page shows."""
    (maps, references), (classes, split, bootstrap) = given, options
    page = outputs.page
    indexes = [read_tile_index(Path(item)) for item in split.tiles]
    tiles = SplitTiles(indexes, split.split or defaults.SCORED_SPLIT) if indexes else None
    with rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES), ExitStack() as stack:
        comparison = in_common_nomenclature(
            *open_score_inputs(maps, references, outputs.names, inputs, stack),
            classes,
            otherwise=next((index.nomenclature for index in indexes if index.nomenclature), None),
        )
        if page is not None and page.confidences:
            comparison = with_confidences(comparison, page.confidences)
        tally = Tally(
            len(comparison.target),
            len(maps),
            ignore_unclassified=classes.ignore_unclassified,
            by_block=bootstrap.replicates > 0 or page is not None,
        )
        counting = Counting(comparison, tally, bootstrap, tiles, inputs)
        counting.run(progress)
        places: list[PlaceView] = []
        if page is not None and bootstrap.resample == "blocks":
            chosen = choose_places(tally.by_block)
            places = read_places(chosen, counting.block_grids, comparison, page.images, inputs)
        pixel_area = _pixel_area(comparison, inputs) if page is not None else None
    drawn = _drawn(bootstrap, tally, counting.largest_edge, tiled=tiles is not None)
    reference = comparison.reference
    report = Report(
        nomenclature=comparison.target,
        only=comparison.only,
        maps=map_scores(comparison.maps, tally, drawn, replicate=outputs.replicate),
        references=reference.file_names,
        reference_crosswalk=reference.crosswalk.name if reference.crosswalk else None,
        tiles=tuple(os.fspath(item) for item in split.tiles),
        split=tiles.split if tiles else None,
        pixels=tally.pixels,
        not_covered=tally.not_covered,
        left_out_unclassified=tally.left_out,
        bootstrap=drawn,
        pixel_area=pixel_area,
    )
    return report, places


def _pixel_area(comparison: Comparison, inputs: InputOptions) -> float | None:
    """Return the area of a pixel in m² that all references have, None where they differ."""
    areas: set[float | None] = set()
    for file in comparison.reference.files:
        with file.opened(inputs) as raster:
            areas.add(pixel_areas(raster.grid, raster.name).uniform)
    return areas.pop() if len(areas) == 1 else None


def _check_draws(bootstrap: BootstrapOptions, outputs: ReportOptions) -> None:
    """Check that options of what is drawn fit together.

    Raises:
        UsageError: they do not.
    """
    if outputs.replicate and not outputs.names:
        raise UsageError(
            "`replicate`",
            "scores the maps of one name together, but there are no names",
            "give each map its method's with `names`",
        )
    if bootstrap.resample == "images" and bootstrap.block is not None:
        raise UsageError("`block`", "is of `resample=blocks`", "drop one")
    if bootstrap.resample == "images" and outputs.page is not None and outputs.page.images:
        raise UsageError("`image`", "shows blocks, of `resample=blocks`", "drop one")


def _drawn(options: BootstrapOptions, tally: Tally, edge: int, *, tiled: bool) -> Bootstrap | None:
    """Return what the intervals are drawn from; None without intervals.

    Raises:
        UsageError: there are too few images to draw from.
    """
    if not options.replicates:
        return None
    blocks = len(tally.by_block)
    images = len({number for number, _, _ in tally.by_block})
    if options.resample == "images":
        if blocks < _FEWEST_IMAGES:
            raise UsageError(
                "`resample=images`",
                f"{blocks} images with scored pixels say too little of how images differ",
                f"score {_FEWEST_IMAGES} or more, or `resample=blocks`",
            )
        if images < _FEW_IMAGES:
            logger.warning("only %d images, so intervals are wide; score more", images)
        return Bootstrap(
            options.replicates, options.level, None, images, options.seed, "image", images
        )
    if blocks < _FEW_BLOCKS:
        logger.warning(
            "only %d blocks of %d px hold labels, so intervals are rough; score more ground",
            blocks,
            edge,
        )
    unit: Literal["given", "split", "default"] = "split" if tiled else "default"
    unit = "given" if options.block is not None else unit
    differ = images_differ(tally.by_block)
    if differ:
        logger.warning(
            "the %d images differ more than blocks do, so intervals hold on their ground alone; "
            "for other images, score %d or more with `resample=images`",
            images,
            _FEWEST_IMAGES,
        )
    return Bootstrap(
        options.replicates, options.level, edge, blocks, options.seed, unit, images, differ
    )
