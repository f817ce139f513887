"""From images, and labels where there are any, to a stack, its quantiles and its tiles."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from lcmap.dataset.class_shares import class_counts
from lcmap.dataset.tile_index import (
    SPLITS,
    TileIndex,
    check_tile_index_path,
    write_tile_index,
)
from lcmap.errors import NoLabelledPixelError, UsageError
from lcmap.imagery.labels import AlignedLabels, align_labels, label_classes
from lcmap.imagery.multidate import (
    CompositeOptions,
    CompositeReport,
    has_dates,
    open_dated,
    summarised,
)
from lcmap.imagery.pansharpening import pansharpen
from lcmap.imagery.sides import check_sides
from lcmap.imagery.source import RasterBands, describe
from lcmap.imagery.stack import GridImage, choose_bands, name_bands, stack
from lcmap.imagery.tiles import Tiling, make_tile_index, read_tiles_to_take
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.grid import Grid
from lcmap.raster.pipes import STANDARD_STREAM, input_path
from lcmap.raster.quantiles import (
    QuantileSelection,
    no_valid_pixel,
    write_quantiles,
)
from lcmap.raster.threads import available_threads
from lcmap.raster.writing import RasterFormat, atomic_raster, check_output

logger = logging.getLogger(__name__)

ResamplingName = Literal["cubic", "bilinear", "average", "nearest"]

_CACHE_MEGABYTES = 256
"""GDAL's block cache; its default grows with the machine, to a twentieth of its memory."""


@dataclass(frozen=True)
class Prepared:
    """What was made: the stack's bands, grid and quantiles [bands, 2], and what lies beside it.

    `labels` and `tiles` are None where none were asked for; `valid_share` is the share of pixels
    that are valid in every band.
    """

    output: str
    grid: Grid
    band_names: tuple[str, ...]
    dtype: str
    quantiles: NDArray[np.float64]
    valid_share: float
    labels: Path | None
    tiles: TileIndex | None
    synthesis: CompositeReport | None = None


def prepare(
    images: Sequence[PathLike],
    output: PathLike,
    *,
    like: PathLike | None = None,
    pan: PathLike | None = None,
    bands: Sequence[str] | None = None,
    band_names: Sequence[str] | None = None,
    resampling: ResamplingName = "cubic",
    labels: PathLike | None = None,
    nomenclature: str | None = None,
    crosswalk: str | None = None,
    sides: Sequence[PathLike] = (),
    tiles: PathLike | None = None,
    tiling: Tiling | None = None,
    synthesis: CompositeOptions | None = None,
    tiles_like: PathLike | None = None,
    overwrite: bool = False,
    allow_vrt: bool = False,
    tmpdir: Path | None = None,
    progress: Progress = silent,
) -> Prepared:
    """Stack images on one grid and write them with their quantiles; cut them into tiles.

    The grid is that of `like`, else of the first image; with a panchromatic image, `pan`, it is
    that one's, and the bands are sharpened with it. Bands are chosen by number, counted through all
    images, or by name. Labels are brought onto the grid, into the classes wanted, and written
    beside the stack as "STEM.labels.tif"; the tile index names both, and the side inputs, which
    stay on their own grids: an image each, a label map or class probabilities as their name says
    after a colon ("oso.tif:oso23") or their tags do. Tiles and splits are made by `tiling`, or
    taken from the index `tiles_like`.

    Folders are Sentinel-2 products, masked; with a period, `synthesis` makes one image of the
    images' dates.

    Raises:
        UsageError: options that contradict each other.
        ProductError, AcquisitionDateError: a folder is no whole product; an image has no date.
        InputMissingError, NotARasterError, NoCrsError: an input is missing or no raster.
        NoOverlapError: an image or the labels cover no ground of the grid.
        PanchromaticError: `pan` cannot sharpen the images.
        TileIndexError, GridMismatchError: as `read_tiles_to_take`.
        TooLittleOverlapError, UnknownNomenclatureError, LabelBandError: as `check_sides`.
        UnknownLabelError, NoLabelledPixelError: labels have unknown codes, or none at all.
        AllNodataError: no pixel is valid in every band.
        OutputExistsError, CannotWriteError: an output cannot be written.
    """
    if tiles_like is not None and tiles is None:
        raise UsageError("--tiles-like", "goes into a tile index", "give --tiles INDEX.geojson")
    if tiles_like is not None and tiling not in (None, Tiling()):
        raise UsageError(
            "--tiles-like",
            "brings its own tiles and splits",
            "drop --tile-size, --split, --block-tiles, --gap and --seed",
        )
    tiling = tiling or Tiling()
    synthesis = synthesis or CompositeOptions()
    synthesis.check(images, output, overwrite=overwrite)
    inputs = [*images, pan] if pan is not None else images
    labels_output = _check_outputs(inputs, output, labels, tiles, tiling, overwrite)
    if sides and tiles is None:
        raise UsageError("--side", "goes into a tile index", "give --tiles INDEX.geojson")
    if labels is None and (nomenclature is not None or crosswalk is not None):
        raise UsageError("--nomenclature or --crosswalk", "say what --labels are", "give labels")
    if pan is not None and like is not None:
        raise UsageError("--like", "goes without --pan, whose grid is taken", "drop one")
    with ExitStack() as resources:
        resources.enter_context(
            rasterio.Env(GDAL_CACHEMAX=_CACHE_MEGABYTES, GDAL_NUM_THREADS=str(available_threads()))
        )
        paths = [
            (os.fspath(image), resources.enter_context(input_path(image, tmpdir=tmpdir)))
            for image in images
        ]
        grid = None if like is None else describe(Path(like), allow_vrt=allow_vrt).grid
        stacked: GridImage
        if has_dates(images, synthesis):
            if pan is not None:
                raise UsageError(
                    "--pan", "sharpens one image, not Sentinel-2 products or dates", "drop it"
                )
            stacked = open_dated(
                paths,
                synthesis,
                resources,
                grid=grid,
                bands=bands,
                band_names=band_names,
                resampling=Resampling[resampling],
                overwrite=overwrite,
                allow_vrt=allow_vrt,
                tmpdir=tmpdir,
                progress=progress,
            )
        else:
            sources = _sources(paths, bands, band_names, allow_vrt)
            chosen = sources if bands is None else choose_bands(sources, bands)
            chosen = name_bands(chosen, band_names)
            if pan is None:
                stacked = stack(chosen, grid or sources[0].grid, Resampling[resampling])
            else:
                path = resources.enter_context(input_path(pan, tmpdir=tmpdir))
                folder = resources.enter_context(
                    tempfile.TemporaryDirectory(prefix="lcmap-", dir=tmpdir)
                )
                stacked = pansharpen(
                    describe(path, shown=_shown(os.fspath(pan)), allow_vrt=allow_vrt),
                    sources,
                    chosen,
                    Path(folder),
                    resampling=Resampling[resampling],
                    progress=progress,
                )
            resources.callback(stacked.close)
        grid, subject = stacked.grid, _shown(paths[0][0])
        taken = read_tiles_to_take(tiles_like, grid) if tiles_like is not None else None
        aligned = None
        checked_sides = check_sides(sides, grid, subject, allow_vrt=allow_vrt)
        if labels is not None:
            classes = label_classes(Path(labels), nomenclature, crosswalk, allow_vrt=allow_vrt)
            aligned = align_labels(Path(labels), classes, grid, allow_vrt=allow_vrt)
            resources.callback(aligned.codes.close)
        quantiles, valid_share = _write(
            stacked, subject, output, aligned, labels_output, overwrite, tmpdir, progress
        )
    index = None
    if tiles is not None:
        index = make_tile_index(
            Path(tiles),
            Path(output),
            labels_output,
            aligned.nomenclature if aligned else None,
            checked_sides,
            tiling,
            taken,
        )
        write_tile_index(index, overwrite=overwrite)
        _warn_of_lacks(index)
    return Prepared(
        output=os.fspath(output),
        grid=grid,
        band_names=stacked.names,
        dtype=stacked.dtype,
        quantiles=quantiles,
        valid_share=valid_share,
        labels=labels_output,
        tiles=index,
        synthesis=summarised(stacked, synthesis),
    )


def _check_outputs(
    images: Sequence[PathLike],
    output: PathLike,
    labels: PathLike | None,
    tiles: PathLike | None,
    tiling: Tiling,
    overwrite: bool,
) -> Path | None:
    """Check every output before any work; return where the labels go."""
    if [os.fspath(image) for image in images].count(STANDARD_STREAM) > 1:
        raise UsageError("standard input", "can be one image only", "give the others as files")
    to_stdout = os.fspath(output) == STANDARD_STREAM
    if to_stdout and (labels is not None or tiles is not None):
        raise UsageError(
            "--labels and --tiles",
            "belong to a stack that is a file, and it goes to standard output",
            "-o FILE",
        )
    check_output(output, overwrite=overwrite)
    if tiles is not None:
        check_tile_index_path(tiles)
        tiling.check()
        check_output(tiles, overwrite=overwrite)
    if labels is None:
        return None
    labels_output = Path(output).with_name(f"{Path(output).stem}.labels.tif")
    check_output(labels_output, overwrite=overwrite)
    if labels_output.exists() and os.path.exists(labels) and labels_output.samefile(labels):
        raise UsageError(
            labels, "would be replaced by the labels made from it", "give the output another name"
        )
    return labels_output


def _sources(
    paths: Sequence[tuple[str, Path]],
    bands: Sequence[str] | None,
    band_names: Sequence[str] | None,
    allow_vrt: bool,
) -> list[RasterBands]:
    """Open every image once for what it offers; `paths` are the names given and the files."""
    sources = [describe(path, shown=_shown(image), allow_vrt=allow_vrt) for image, path in paths]
    if not any(source.alpha for source in sources):
        return sources
    if _alpha_is_data(sources, bands, band_names):
        return [
            describe(path, shown=_shown(image), alpha_is_data=True, allow_vrt=allow_vrt)
            for image, path in paths
        ]
    for source in sources:
        if source.alpha:
            logger.warning(
                "%s: band %d is marked as transparency and taken for a mask; if it is data, "
                "name all bands with --band-names",
                source.shown,
                source.alpha,
            )
    return sources


def _shown(image: str) -> str:
    return "standard input" if image == STANDARD_STREAM else image


def _alpha_is_data(
    sources: Sequence[RasterBands], bands: Sequence[str] | None, band_names: Sequence[str] | None
) -> bool:
    """Tell whether the user counts bands marked as transparency among the image's bands."""
    visible = sum(len(source.names) for source in sources)
    hidden = sum(source.alpha is not None for source in sources)
    if bands is not None:
        return any(text.isdecimal() and int(text) > visible for text in bands)
    return band_names is not None and len(band_names) == visible + hidden


def _write(
    stacked: GridImage,
    subject: str,
    output: PathLike,
    labels: AlignedLabels | None,
    labels_output: Path | None,
    overwrite: bool,
    tmpdir: Path | None,
    progress: Progress,
) -> tuple[NDArray[np.float64], float]:
    """Write stack and labels block by block; return the quantiles and the share of valid pixels."""
    selection = QuantileSelection(len(stacked.names), stacked.dtype)
    windows = stacked.windows()
    valid_pixels = labelled_pixels = 0
    with ExitStack() as outputs:
        # a mask that lies in the file itself goes where the file goes
        outputs.enter_context(rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True))
        image_file = outputs.enter_context(
            atomic_raster(
                output,
                stacked.grid,
                RasterFormat(
                    count=len(stacked.names),
                    dtype=stacked.dtype,
                    nodata=stacked.nodata,
                    band_names=stacked.names,
                ),
                overwrite=overwrite,
                tmpdir=tmpdir,
            )
        )
        labels_file = None
        if labels is not None and labels_output is not None:
            labels_file = outputs.enter_context(
                atomic_raster(
                    labels_output,
                    stacked.grid,
                    RasterFormat(
                        count=1,
                        dtype="uint8",
                        nodata=0,
                        band_names=("class",),
                        classes=labels.nomenclature.class_table(),
                    ),
                    overwrite=overwrite,
                )
            )
        for i, window in enumerate(windows, start=1):
            image, valid = stacked.read(window)
            image_file.write(image, window=window.ranges)
            if stacked.masked:
                image_file.write_mask(valid, window=window.ranges)
            selection.update(image[:, valid])
            valid_pixels += int(np.count_nonzero(valid))
            if labels is not None and labels_file is not None:
                codes = np.where(valid, labels.read(window), np.uint8(0))
                labels_file.write(codes, 1, window=window.ranges)
                labelled_pixels += int(np.count_nonzero(codes))
            progress(i, len(windows), "stacking")
        selection.end_pass()
        if valid_pixels == 0:
            raise no_valid_pixel(subject)
        if labels is not None and labelled_pixels == 0:
            raise NoLabelledPixelError(
                labels.path, "has no label where the image is valid", "check its area"
            )
        while not selection.done:
            for image, valid in stacked.blocks():
                selection.update(image[:, valid])
            selection.end_pass()
        write_quantiles(image_file, selection.quantiles())
    return selection.quantiles(), valid_pixels / math.prod(stacked.grid.shape)


def _warn_of_lacks(index: TileIndex) -> None:
    """Say which splits have no tile, or no pixel of a class that the image has."""
    for name in SPLITS:
        tiles = index.split(name)
        if not tiles:
            logger.warning(
                "%s: no tile is left for %s; the image is small for --tile-size %d and --gap %d",
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
