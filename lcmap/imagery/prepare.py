"""From images, and labels where there are any, to a stack, its quantiles and its tiles."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from lcmap import defaults
from lcmap.dataset.class_shares import class_counts
from lcmap.dataset.inputs import InputOptions, open_input
from lcmap.dataset.quantile_file import read_quantile_file
from lcmap.dataset.side_options import SideOptions
from lcmap.dataset.tile_index import SPLITS, TileIndex, write_tile_index
from lcmap.imagery.composite_options import CompositeOptions, CompositeReport, report_of
from lcmap.imagery.images import open_images
from lcmap.imagery.labels import AlignedLabels, align_labels, label_classes
from lcmap.imagery.options import LabelOptions, PrepareOutputs, StackOptions, TileIndexOptions
from lcmap.imagery.side_inputs import check_side_inputs, has_series, side_files
from lcmap.imagery.stack import GridImage
from lcmap.imagery.stack_file import write_stack
from lcmap.imagery.tiles import make_tile_index, read_tiles_to_take
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.destination import stream_at
from lcmap.raster.grid import Grid
from lcmap.raster.input_watch import unchanged_inputs
from lcmap.raster.opening import open_raster
from lcmap.raster.output_set import OutputSet
from lcmap.raster.pipes import check_standard_input_once, display_name
from lcmap.raster.preview.writing import Panel, write_preview
from lcmap.raster.threads import available_threads
from lcmap.raster.undeclared_border import warn_of_border
from lcmap.raster.windows import Window

logger = logging.getLogger(__name__)

_CACHE_BYTES = 256 << 20
"""GDAL's block cache; its default grows with the machine, to a twentieth of its memory."""


@dataclass(frozen=True)
class Prepared:
    """What was made: the stack's bands, grid and quantiles [bands, 2], and what is beside it.

    `labels` and `tiles` are None where none were asked for, `composite` where there is no period;
    `valid_share` is the share of pixels that are valid in every band.
    """

    output: str
    grid: Grid
    band_names: tuple[str, ...]
    dtype: str
    quantiles: NDArray[np.float64]
    valid_share: float
    labels: Path | None
    tiles: TileIndex | None
    composite: CompositeReport | None = None


def prepare(
    images: Sequence[PathLike],
    outputs: PrepareOutputs,
    *,
    stacking: StackOptions | None = None,
    composite: CompositeOptions | None = None,
    labels: LabelOptions | None = None,
    tiles: TileIndexOptions | None = None,
    inputs: InputOptions | None = None,
    progress: Progress = silent,
) -> Prepared:
    """Stack images on one grid and write them with their quantiles; cut them into tiles.

    The grid is that of `stacking.like` or of the panchromatic image, else of the first image.
    Folders are Sentinel-2 products, which are masked; with a period, the images' dates become one
    image; beside a series the period chooses its dates instead. Labels are brought onto the grid,
    into the classes wanted, and written beside the stack as "STEM.labels.tif". The tile index names
    both, and the side inputs, which stay on their own grids.

    Raises:
        UsageError: options that contradict each other or the inputs.
        ProductError, DataError: a folder is not a whole product; an image has no date.
        InputMissingError, NotARasterError, NoCrsError: an input is missing or is not a raster.
        OverlapError: an image or the labels cover no ground of the grid.
        InputMismatchError: the panchromatic image cannot sharpen the images.
        TileIndexError, GridMismatchError: as `read_tiles_to_take`.
        OverlapError, UsageError, LabelBandError: as `check_side_inputs`.
        UnknownLabelError, NoLabelledPixelError: labels have unknown codes, or none at all.
        AllNodataError: no pixel is valid in every band.
        InputChangedError: a file changed while it was read.
        OutputExistsError, CannotWriteError: an output cannot be written.
        LockedError: another run is making one of the outputs.
    """
    stacking, composite = stacking or StackOptions(), composite or CompositeOptions()
    inputs = inputs or InputOptions()
    period = composite.period
    composite = composite.of_images(beside_series=bool(tiles and has_series(tiles.sides)))
    rasters = [stacking.like, stacking.pan, labels.path if labels else None]
    check_standard_input_once([*images, *(raster for raster in rasters if raster is not None)])
    stacking.check()
    with (
        OutputSet(
            _output_paths(outputs, composite, labels, tiles),
            overwrite=outputs.overwrite,
            tmpdir=inputs.tmpdir,
            inputs=[*images, *rasters, *side_files(tiles.sides if tiles else ())],
        ) as files,
        unchanged_inputs(),
    ):
        outputs = replace(outputs, overwrite=files.overwrite)
        composite.check(images, outputs)
        outputs.check(labels, tiles)
        return _make(
            (images, inputs, stacking, composite, period),
            labels,
            tiles,
            outputs,
            files,
            progress=progress,
        )


def _output_paths(
    outputs: PrepareOutputs,
    composite: CompositeOptions,
    labels: LabelOptions | None,
    tiles: TileIndexOptions | None,
) -> list[PathLike | None]:
    """Return where all is to be written; what goes with a stack goes nowhere beside a stream."""
    paths = [outputs.output, composite.clear_dates, outputs.preview]
    if stream_at(outputs.output) is None:
        paths += [outputs.labels if labels else None, tiles.path if tiles else None]
    return paths


def _make(
    source: tuple[Sequence[PathLike], InputOptions, StackOptions, CompositeOptions, str | None],
    labels: LabelOptions | None,
    tiles: TileIndexOptions | None,
    outputs: PrepareOutputs,
    files: OutputSet,
    *,
    progress: Progress,
) -> Prepared:
    """Make the outputs, which `files` are, from checked options."""
    images, inputs, stacking, composite, period = source
    with ExitStack() as resources:
        resources.enter_context(
            rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES, GDAL_NUM_THREADS=str(available_threads()))
        )
        image = open_images(
            images, stacking, composite, files, resources, inputs=inputs, progress=progress
        )
        name = display_name(images[0])
        sides = check_side_inputs(tiles.sides if tiles else (), image.grid, name, inputs, period)
        taken = None
        if tiles and tiles.tiles_like is not None:
            taken = read_tiles_to_take(tiles.tiles_like, image.grid)
        aligned = _open_labels(labels, image.grid, resources, inputs) if labels else None
        given = _given_quantiles(stacking.quantiles, image, name)
        quantiles, valid_share = write_stack(
            image, name, aligned, outputs, given, files=files, progress=progress
        )
    if stream_at(outputs.output) is None:
        with open_raster(files.written(outputs.output)) as stack:
            warn_of_border(stack, quantiles, name)
    index = None
    if tiles is not None:
        index = make_tile_index(
            Path(tiles.path),
            files.written(outputs.output),
            files.written(outputs.labels) if aligned else None,
            aligned.nomenclature if aligned else None,
            sides,
            tiles.tiling,
            taken,
        )
        index = index.of_rasters(Path(outputs.output), outputs.labels if aligned else None)
        if sides:
            index = replace(index, side_options=SideOptions.of(inputs))
        write_tile_index(index, overwrite=outputs.overwrite, within=files)
        _warn_of_lacks(index)
    if outputs.preview is not None:
        write_preview(
            outputs.preview,
            _panels(outputs, aligned is not None, index, files),
            overwrite=outputs.overwrite,
            within=files,
        )
    return Prepared(
        output=os.fspath(outputs.output),
        grid=image.grid,
        band_names=image.names,
        dtype=image.dtype,
        quantiles=quantiles,
        valid_share=valid_share,
        labels=outputs.labels if aligned else None,
        tiles=index,
        composite=report_of(image, composite),
    )


def _panels(
    outputs: PrepareOutputs, labelled: bool, index: TileIndex | None, files: OutputSet
) -> list[Panel]:
    """Return what the preview shows: the stack with its tiles over it, and its labels."""
    tiles: dict[str, list[Window]] = {}
    if index is not None:
        tiles = {name: [tile.window for tile in index.split(name)] for name in SPLITS}
    stack = Panel(outputs.output, files.written(outputs.output), codes=False, tiles=tiles)
    if not labelled:
        return [stack]
    return [stack, Panel(outputs.labels, files.written(outputs.labels))]


def _given_quantiles(chosen: PathLike, image: GridImage, name: str) -> NDArray[np.float64] | None:
    """Return the quantiles that a stack is to carry, [bands, 2]; None for its own."""
    if os.fspath(chosen) == defaults.STACK_QUANTILES:
        return None
    found = read_quantile_file(chosen)
    found.check_fits(image.names, image.radiometry, chosen, name)
    return found.values


def _open_labels(
    options: LabelOptions, grid: Grid, resources: ExitStack, inputs: InputOptions
) -> AlignedLabels:
    labels = resources.enter_context(open_input(options.path, inputs))
    return align_labels(labels, label_classes(labels, options), grid)


def _warn_of_lacks(index: TileIndex) -> None:
    """Say which splits have no tile, or no pixel of a class that the image has."""
    for name in SPLITS:
        tiles = index.split(name)
        if not tiles:
            logger.warning(
                "%s: no tile is left for %s; the image is small for `tile_size=%d` and `gap=%d`",
                index.path,
                name,
                index.tile_size,
                index.gap,
            )
        elif index.nomenclature is not None:
            counts = class_counts(tiles, index.nomenclature)
            whole = class_counts(index.tiles, index.nomenclature)
            lacking = [
                item.name
                for item, n, total in zip(index.nomenclature.classes, counts, whole, strict=True)
                if total and not n
            ]
            if lacking:
                logger.warning("%s: the %s split has no %s", index.path, name, ", ".join(lacking))
