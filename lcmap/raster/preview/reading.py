"""Reading a raster for a picture: at the size of the picture, through its overviews.

The memory that is used does not grow with the raster.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling

from lcmap.paths import PathLike
from lcmap.raster.band_colors import color_interpretation
from lcmap.raster.code_counts import CODES, code_counts
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster, read_reduced
from lcmap.raster.pipes import STANDARD_STREAM
from lcmap.raster.windows import Window, iter_blocks

_PICTURE = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_STRETCH = (2, 98)
_SIDE = 2048
"""Pixels along a side of what is counted at once."""
_OFF_GRID = 1e-3
"""By how much the pixels of an image may be larger than those of the map that is made of it."""


@dataclass(frozen=True)
class SourceImage:
    """The image that a map was made of: one file or several, on the pixels of the map.

    files: where several see a pixel, the first counts that has data there.
    nodata: the value of pixels without data, where the files do not say it.
    allow_vrt: open VRT files too.
    """

    files: tuple[PathLike, ...]
    nodata: float | None = None
    allow_vrt: bool = False

    @classmethod
    def of(
        cls, files: Sequence[PathLike], *, nodata: float | None = None, allow_vrt: bool = False
    ) -> SourceImage | None:
        """Return the image in these files; None where one is standard input, which is read once."""
        if any(os.fspath(file) == STANDARD_STREAM for file in files):
            return None
        return cls(tuple(files), nodata, allow_vrt)


def shown_shape(grid: Grid, side: int) -> tuple[int, int]:
    """Return the rows and columns in which a raster is read to be shown: at most `side` of each."""
    factor = max(1.0, max(grid.shape) / side)
    rows, cols = (max(1, round(length / factor)) for length in grid.shape)
    return rows, cols


def read_codes(dataset: Any, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return the codes of an open label raster at a smaller size, int64 of `shape`; 0 is no class.

    A pixel has the class that most of its ground has, to the accuracy of the overviews.
    """
    codes: NDArray[np.int64] = dataset.read(1, out_shape=shape, resampling=Resampling.mode)
    return codes.astype(np.int64)


def count_codes(dataset: Any) -> NDArray[np.int64]:
    """Return how many pixels of an open label raster (uint8 or uint16) have each code."""
    eight_bits = np.dtype(dataset.dtypes[0]) == np.uint8
    counts = np.zeros(CODES if eight_bits else 1 << 16, np.int64)
    for window in iter_blocks(dataset.height, dataset.width, _SIDE):
        codes = dataset.read(1, window=window.ranges)
        if eight_bits:
            counts += code_counts(codes)
        else:
            counts += np.bincount(codes.ravel(), minlength=len(counts))
    return counts


@dataclass(frozen=True)
class Shown:
    """An image as it is shown: uint8 [h, w, 3], where it has data, bool [h, w], and its bands."""

    pixels: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    bands: tuple[str, ...]


def read_image(image: SourceImage, grid: Grid, shape: tuple[int, int], *, own: bool) -> Shown:
    """Return an image on the ground of a grid, in the natural colours of its bands where known.

    Else in those of its first three bands, or in grey. Each band is stretched between its 2 % and
    98 % quantiles. The files are lcmap's `own`, or watched as inputs are.

    Raises:
        InputMissingError, NotARasterError, DataError: as `open_raster`.
    """
    values: NDArray[np.float32] | None = None
    valid = np.zeros(shape, np.bool_)
    bands: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    for file in image.files:
        if valid.all():
            break
        with open_raster(file, allow_vrt=image.allow_vrt, own=own) as dataset:
            if values is None:
                bands = picture_bands(dataset)
                names = tuple(dataset.descriptions[band - 1] or f"band {band}" for band in bands)
                values = np.zeros((len(bands), *shape), np.float32)
            _paint(dataset, bands, image.nodata, grid, values, valid)
    if values is None:
        raise ValueError("an image without files")
    return Shown(_stretched(values, valid), valid, names)


def picture_bands(dataset: Any) -> tuple[int, ...]:
    """Return the numbers of the bands that make a picture of an open image, from 1: three or one.

    Those that are red, green and blue by what the file says of their colours or by their names.
    """
    told = list(dataset.colorinterp)
    named = color_interpretation([name or "" for name in dataset.descriptions]) or ()
    for meanings in (list(named), told):
        if all(color in meanings for color in _PICTURE):
            return tuple(meanings.index(color) + 1 for color in _PICTURE)
    return (1, 2, 3) if dataset.count >= 3 else (1,)


def _paint(
    dataset: Any,
    bands: Sequence[int],
    nodata: float | None,
    grid: Grid,
    values: NDArray[np.float32],
    valid: NDArray[np.bool_],
) -> None:
    """Put an open image where there is none yet: into values [bands, h, w] and valid [h, w]."""
    own = Grid.of(dataset)
    scale = [mine / other for mine, other in zip(own.gsd, grid.gsd, strict=True)]
    if max(bands) > dataset.count or max(abs(factor - 1) for factor in scale) > _OFF_GRID:
        return
    col, row = (round(at) for at in ~grid.transform @ (own.transform.c, own.transform.f))
    common = Window(row, col, *own.shape).intersection(Window(0, 0, *grid.shape))
    if common is None:
        return
    rows = _shown(common.row, common.stop_row, grid.height, valid.shape[0])
    cols = _shown(common.col, common.stop_col, grid.width, valid.shape[1])
    size = rows.stop - rows.start, cols.stop - cols.start
    within = common.shifted(-row, -col)
    read, band_valid = read_reduced(dataset, bands, size, Resampling.average, within)
    pixels, seen = read.astype(np.float32), band_valid.all(axis=0)
    if nodata is not None:
        seen &= ~(pixels == nodata).all(axis=0)
    new = seen & ~valid[rows, cols]
    values[:, rows, cols] = np.where(new, pixels, values[:, rows, cols])
    valid[rows, cols] |= new


def _shown(start: int, stop: int, length: int, shown: int) -> slice:
    """Return which of the pixels shown these are of the pixels of a side; one at least."""
    first = min(int(start * shown / length), shown - 1)
    return slice(first, max(first + 1, round(stop * shown / length)))


def _stretched(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    picture = np.zeros((*valid.shape, 3), np.uint8)
    for channel in range(3):
        band = values[channel % len(values)]
        if not valid.any():
            break
        low, high = np.percentile(band[valid], _STRETCH)
        share = (band - low) / ((high - low) or 1.0)
        picture[..., channel] = np.where(valid, np.clip(255 * share, 0, 255), 0)
    return picture
