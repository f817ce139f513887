"""Whether a raster that GDAL opens can be read: its values, size, place and last pixels."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from rasterio.errors import RasterioError

from lcmap.errors import NotARasterError
from lcmap.paths import PathLike

_LARGEST_BLOCK = 1 << 27
"""Bytes: each window is read from whole blocks, so that large ones are decoded again and again."""

_LARGEST_STRIP = 1 << 26
"""Bytes of a compressed image of one strip: GDAL reads it by rows, again from its first each time
that it goes back."""

_IN_TILES = "write it again in tiles, as with gdal_translate -co TILED=YES"

_FURTHEST = 1e10
"""Units of any coordinate reference system; the earth is 4e7 m around."""

_SMALLEST = 1e-14
"""A pixel's side relative to coordinates: double precision tells no smaller ones apart."""

LARGEST_SIDE = 1 << 24
_MOST_BANDS = 1 << 12
_LARGEST_UNCHECKED = 1 << 34
_LARGEST_COMPRESSION = 5000
"""Deflate shrinks empty pixels about a thousandfold, other methods a little more."""


def check_sound(path: PathLike, dataset: Any, subject: str) -> None:
    """Check an open raster, which messages call `subject`, by what it declares.

    Raises:
        NotARasterError: its values are no numbers of an array; it cannot be read in pieces; its
            size cannot be meant; it lies nowhere on earth; or it ends before its last pixels.
    """
    _check_size(path, dataset, subject)
    _check_not_truncated(path, dataset, subject)


def _check_size(path: PathLike, dataset: Any, subject: str) -> None:
    """Refuse a raster that cannot be read in pieces, or whose size cannot be meant.

    A TIFF of 2 MB may declare 300 GB of pixels, or one block of that size.
    """
    unreadable = sorted(name for name in set(dataset.dtypes) if not _is_of_numpy(name))
    if unreadable:
        raise NotARasterError(subject, f"has {unreadable[0]} values", "give real numbers")
    if dataset.count > _MOST_BANDS or max(dataset.shape) > LARGEST_SIDE:
        raise NotARasterError(
            subject,
            f"declares {dataset.count} bands of {dataset.height} × {dataset.width} px",
            f"give at most {_MOST_BANDS} bands and {LARGEST_SIDE} px along a side",
        )
    _check_georeference(dataset, subject)
    pixel = sum(np.dtype(dtype).itemsize for dtype in dataset.dtypes)
    block = max(rows * cols for rows, cols in dataset.block_shapes) * pixel
    if block > _LARGEST_BLOCK:
        raise NotARasterError(
            subject,
            f"is stored in blocks of {block / 1e6:.0f} MB, which each window would decode again",
            _IN_TILES,
        )
    declared = dataset.height * dataset.width * pixel
    if declared > _LARGEST_STRIP and _is_one_strip(dataset):
        raise NotARasterError(
            subject, f"is stored in one strip of {declared / 1e9:.1f} GB", _IN_TILES
        )
    stored = os.path.getsize(path) if os.path.isfile(path) else declared
    if declared > _LARGEST_UNCHECKED and declared > _LARGEST_COMPRESSION * stored:
        raise NotARasterError(
            subject,
            f"declares {declared / 1e9:.0f} GB of pixels in a file of {stored / 1e6:.1f} MB",
            "it is damaged, or nearly all of it was never written: crop it to what it holds",
        )


def _is_of_numpy(dtype: str) -> bool:
    """Tell whether arrays hold values of a type of GDAL's: complex integers have none."""
    try:
        np.dtype(dtype)
    except TypeError:
        return False
    return True


def _is_one_strip(dataset: Any) -> bool:
    """Tell whether a TIFF is compressed in one strip, which GDAL shows as one of each row."""
    if dataset.driver != "GTiff" or dataset.compression is None or dataset.block_shapes[0][0] != 1:
        return False
    first, *others = (
        dataset.get_tag_item(f"BLOCK_OFFSET_0_{row}", dm="TIFF", bidx=1)
        for row in (0, 1, dataset.height - 1)
    )
    return first is not None and not any(others)


def _check_georeference(dataset: Any, subject: str) -> None:
    """Refuse a raster whose pixels have no area, or whose place is not one on earth."""
    remedy = "write its georeference again"
    t = dataset.transform
    corners = [t @ (col, row) for col in (0, dataset.width) for row in (0, dataset.height)]
    furthest = max(abs(value) for corner in corners for value in corner)
    if not all(map(math.isfinite, t)) or not furthest <= _FURTHEST:
        raise NotARasterError(subject, "lies nowhere on earth", remedy)
    side = min(math.hypot(t.a, t.d), math.hypot(t.b, t.e))
    if t.determinant == 0 or side <= _SMALLEST * furthest:
        raise NotARasterError(subject, "has pixels without an area on the ground", remedy)


def _check_not_truncated(path: PathLike, dataset: Any, subject: str) -> None:
    """Refuse a GeoTIFF whose last block is beyond the end of the file.

    GDAL opens such a file without an error and fails, or reads nodata, hours later.
    """
    if dataset.driver != "GTiff" or not os.path.isfile(path):
        return
    size = os.path.getsize(path)
    for band in (1, dataset.count):
        rows, cols = dataset.block_shapes[band - 1]
        last_row, last_col = (dataset.height - 1) // rows, (dataset.width - 1) // cols
        for row, col in ((0, 0), (last_row, last_col)):
            try:
                offset = dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", dm="TIFF", bidx=band)
                length = dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", dm="TIFF", bidx=band)
            except RasterioError:
                return
            if offset and length and int(offset) + int(length) > size:
                raise NotARasterError(
                    subject,
                    "the file ends before its last pixels",
                    "it is truncated: copy it again",
                )
