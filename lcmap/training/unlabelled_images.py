"""Images without labels that training uses too: checked, and cut into windows to draw from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lcmap.dataset.inputs import InputOptions, open_input
from lcmap.dataset.raster_files import raster_files
from lcmap.dataset.tile_index import IndexedTile
from lcmap.errors import DataError, GsdMismatchError, InputMismatchError, UsageError
from lcmap.model_file import ModelInput, check_image
from lcmap.paths import PathLike
from lcmap.raster.opening import band_names, read_valid
from lcmap.raster.pipes import STANDARD_STREAM
from lcmap.raster.plain_vrt import is_plain_mosaic
from lcmap.raster.quantiles import no_valid_pixel
from lcmap.raster.radiometry import NamedRadiometry, radiometry_of
from lcmap.raster.windows import iter_blocks
from lcmap.training.scaling_choice import ScalingChoice


def unlabelled_files(given: Sequence[PathLike]) -> tuple[Path, ...]:
    """Return the rasters that are meant: files, or those of folders, patterns and indexes.

    Raises:
        UsageError: standard input, which cannot be read over and over.
        InputMissingError, NotAVectorError, DataError: as `raster_files`.
    """
    if STANDARD_STREAM in [os.fspath(path) for path in given]:
        raise UsageError("`unlabelled`", "takes images in files", "name them")
    return tuple(dict.fromkeys(file for item in given for file in raster_files(item)))


def unlabelled_tiles(
    given: Sequence[PathLike],
    inputs: Sequence[ModelInput],
    scaling: ScalingChoice,
    tile_size: int,
) -> tuple[IndexedTile, ...]:
    """Return windows of images, of up to `tile_size` pixels a side, as tiles without labels.

    Each image is to be one that the network could predict, and is scaled as it would be then.

    Raises:
        UsageError: the network takes more than an image; or as `unlabelled_files`.
        InputMismatchError, GsdMismatchError: an image has other bands, another type or another GSD
            than the training images, or values that mean something else than the quantiles.
        InputMissingError, NotARasterError, NoCrsError: an image cannot be opened.
        AllNodataError: an image has no valid pixel.
    """
    files = unlabelled_files(given)
    if files and len(inputs) > 1:
        raise UsageError(
            "`unlabelled`",
            "is for networks of one image, and the tiles have side inputs",
            "leave it out, or train on tiles of the image alone",
        )
    tiles: list[IndexedTile] = []
    for file in files:
        options = InputOptions(allow_vrt=scaling.allow_vrt or is_plain_mosaic(file))
        with open_input(file, options, bands=len(inputs[0].bands)) as image:
            try:
                check_image(inputs[0], image.dataset, subject=image.name)
            except (InputMismatchError, GsdMismatchError) as error:
                raise _to_train_with(error) from error
            meant = NamedRadiometry(os.fspath(file), radiometry_of(image.dataset, image.name))
            scaling.take_further(file, meant, band_names(image.dataset), 0, inputs[0])
            windows = list(iter_blocks(*image.grid.shape, tile_size))
            if not any(read_valid(image.dataset, window).any() for window in windows):
                raise no_valid_pixel(file)
            tiles.extend(IndexedTile(file, None, (), w, "train", 0.0, {}) for w in windows)
    return tuple(tiles)


def _to_train_with(error: DataError) -> DataError:
    problem = error.problem.replace("the model takes", "the tiles have")
    problem = problem.replace("the model was trained on", "the tiles have")
    return type(error)(
        error.subject, problem, "give `unlabelled` images that the model could predict"
    )
