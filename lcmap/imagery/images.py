"""The images that `prepare` is given, as one image on one grid."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack

from lcmap.dataset.inputs import InputOptions, RasterInput, open_input
from lcmap.errors import UsageError
from lcmap.imagery.composite_options import CompositeOptions, has_dates
from lcmap.imagery.dated_images import DatedImages
from lcmap.imagery.dimap import is_tile
from lcmap.imagery.opened_image import open_image
from lcmap.imagery.options import StackOptions
from lcmap.imagery.pansharpening import PansharpenedStack, pansharpen
from lcmap.imagery.raster_bands import RasterBands, bands_of
from lcmap.imagery.stack import GridImage, choose_bands, name_bands, stack
from lcmap.paths import PathLike
from lcmap.progress import Progress
from lcmap.raster.grid import Grid
from lcmap.raster.output_set import OutputSet
from lcmap.raster.temporary_folder import temporary_folder

logger = logging.getLogger(__name__)


def open_images(
    images: Sequence[PathLike],
    stacking: StackOptions,
    composite: CompositeOptions,
    files: OutputSet,
    resources: ExitStack,
    *,
    inputs: InputOptions,
    progress: Progress,
) -> GridImage:
    """Open images and return them as one, not yet computed: stacked, sharpened, or of a period.

    The files opened for it, and temporary ones, belong to `resources`. What it writes beside its
    result belongs to the set `files`.

    Raises:
        UsageError: options do not go with the images.
        ProductError, DataError: a folder is not a whole product; an image has no date.
        InputMissingError, NotARasterError, NoCrsError: an image is missing or is not a raster.
        OverlapError: an image covers no ground of the grid.
        InputMismatchError: the panchromatic image cannot sharpen the images.
    """
    grid = None if stacking.like is None else _grid_of(stacking.like, inputs)
    if has_dates(images, composite):
        if stacking.pan is not None:
            raise UsageError(
                "`pan`", "sharpens one image, not Sentinel-2 products or dates", "drop it"
            )
        dated = DatedImages(images, stacking, composite, files, inputs, resources)
        return dated.open(grid, progress)
    _refuse_tiles(images)
    opened = [
        resources.enter_context(open_image(image, inputs, reflectance=stacking.reflectance))
        for image in images
    ]
    available = _bands(opened, stacking)
    chosen = available if stacking.bands is None else choose_bands(available, stacking.bands)
    chosen = name_bands(chosen, stacking.band_names)
    stacked: GridImage
    if stacking.pan is None:
        stacked = stack(chosen, grid or available[0].grid, stacking.method)
    else:
        pan = resources.enter_context(open_image(stacking.pan, inputs, pan=True))
        stacked = _sharpened(
            bands_of(pan), available, chosen, stacking, resources, inputs, progress
        )
    resources.callback(stacked.close)
    return stacked


def offered_bands(images: Sequence[PathLike]) -> list[str]:
    """Return the names of the bands that rasters and DIMAP products have together, in order.

    Raises:
        LcmapError: as `open_images`.
    """
    with ExitStack() as resources:
        opened = [resources.enter_context(open_image(image, InputOptions())) for image in images]
        return [name for image in opened for name in bands_of(image).names]


def _refuse_tiles(images: Sequence[PathLike]) -> None:
    """Refuse tiles of a product as images: their bands would be stacked, and they share no ground.

    Raises:
        UsageError: all of several images are tiles.
    """
    if len(images) > 1 and all(is_tile(image) for image in images):
        raise UsageError(
            images[0],
            "is a tile of a product, as the others are, and would be stacked on them",
            "name the product's folder or its DIM_*.XML",
        )


def _grid_of(like: PathLike, inputs: InputOptions) -> Grid:
    with open_input(like, inputs) as opened:
        opened.require_crs()
        return opened.grid


def _sharpened(
    pan: RasterBands,
    available: Sequence[RasterBands],
    chosen: Sequence[RasterBands],
    stacking: StackOptions,
    resources: ExitStack,
    inputs: InputOptions,
    progress: Progress,
) -> PansharpenedStack:
    folder = resources.enter_context(temporary_folder(inputs.tmpdir))
    return pansharpen(pan, available, chosen, folder, resampling=stacking.method, progress=progress)


def _bands(images: Sequence[RasterInput], stacking: StackOptions) -> list[RasterBands]:
    """Return the bands of every image, those marked as transparency too where the user counts them.

    GDAL marks the fourth band of many images so, though it is near infrared.
    """
    available = [bands_of(image) for image in images]
    if not any(bands.alpha for bands in available):
        return available
    if _alpha_is_data(available, stacking):
        return [bands_of(image, alpha_is_data=True) for image in images]
    for bands in available:
        if bands.alpha:
            logger.warning(
                "%s: band %d is marked as transparency and taken for a mask; if it is data, "
                "name all bands with `band_names`",
                bands.name,
                bands.alpha,
            )
    return available


def _alpha_is_data(available: Sequence[RasterBands], stacking: StackOptions) -> bool:
    """Tell whether the user counts bands marked as transparency among the images' bands."""
    visible = sum(len(bands.names) for bands in available)
    hidden = sum(bands.alpha is not None for bands in available)
    if stacking.bands is not None:
        return any(text.isdecimal() and int(text) > visible for text in stacking.bands)
    return stacking.band_names is not None and len(stacking.band_names) == visible + hidden
