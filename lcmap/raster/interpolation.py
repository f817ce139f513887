"""Pixels between those of a raster, interpolated linearly along rows and columns.

No point depends on those that are interpolated with it: every sum has the same terms in the same
order. Few values are in work at a time, so that they stay in the processor's cache: memory that is
new costs more than the arithmetic.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.raster.centres import Centres

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_AT_ONCE = 1 << 19
"""Values that are in work at a time: a few MB."""


def bilinear(values: Floats, valid: Mask, centres: Centres) -> tuple[Floats, Mask]:
    """Interpolate values [..., C, H, W] at points; return [..., C, h, w] and valid, [..., h, w].

    Pixels that are not valid are 0, and have no weight. A point is valid where the pixel it is in
    is, and else 0. Axes before the channels are of rasters on one grid, each with its `valid`
    [..., H, W].
    """
    *leading, channels, height, width = values.shape
    size = centres.rows.shape[0], centres.cols.shape[1]
    rasters = values.reshape(-1, channels, height, width)
    of_each = valid.reshape(-1, height, width)
    interpolate = _on_parallel_grid if centres.parallel else _anywhere
    result, found = interpolate(rasters, of_each, centres)
    return result.reshape(*leading, channels, *size), found.reshape(*leading, *size)


class _Neighbours(NamedTuple):
    """Along an axis the pixels before points, and the share of those after.

    The share is 0 where there is none after.
    """

    before: NDArray[np.int32]
    share: Floats

    @classmethod
    def of(cls, centres: NDArray[np.float64], length: int) -> _Neighbours:
        """Return those of points along an axis of so many pixels."""
        from_first = centres - 0.5
        np.maximum(from_first, 0, out=from_first)
        np.minimum(from_first, length - 1, out=from_first)
        before = from_first.astype(np.int32)
        from_first -= before
        return cls(before, from_first.astype(np.float32))


def _pixels_of(centres: NDArray[np.float64], length: int) -> NDArray[np.int32]:
    """Return the pixels along an axis that points are in, or nearest to."""
    return np.clip(centres, 0, length - 1).astype(np.int32)


def _inside(centres: Centres, height: int, width: int) -> Mask:
    """Return which points are in a raster of this size, bool [h, w]."""
    cols = (centres.cols >= 0) & (centres.cols < width)
    rows = (centres.rows >= 0) & (centres.rows < height)
    return cols & rows


def _on_parallel_grid(values: Floats, valid: Mask, centres: Centres) -> tuple[Floats, Mask]:
    """Interpolate rasters [T, C, H, W] and their validity [T, H, W] at rows and columns."""
    count, channels, height, width = values.shape
    rows, cols = centres.rows[:, 0], centres.cols[0]
    row, col = _Neighbours.of(rows, height), _Neighbours.of(cols, width)
    inside = _inside(centres, height, width)
    result = _between_lines(values.reshape(-1, height, width), row, col)
    result = result.reshape(count, channels, *inside.shape)
    if valid.all():
        if not inside.all():
            result *= inside
        return result, np.repeat(inside[None], count, axis=0)
    found = valid.take(_pixels_of(cols, width), axis=2).take(_pixels_of(rows, height), axis=1)
    found &= inside
    weight = _between_lines(valid.astype(np.float32), row, col)
    share = np.divide(1, weight, out=np.zeros_like(weight), where=found)
    for raster, of_it in zip(result, share, strict=True):
        raster *= of_it
    return result, found


def _between_lines(planes: Floats, row: _Neighbours, col: _Neighbours) -> Floats:
    """Interpolate planes [n, H, W] along columns [w], then along rows [h].

    The source's rows are few.
    """
    size = len(row.before), len(col.before)
    result = np.empty((len(planes), *size), np.float32)
    row_after = np.minimum(row.before + 1, planes.shape[1] - 1)
    col_after = np.minimum(col.before + 1, planes.shape[2] - 1)
    below = row.share[:, None]
    at_once = max(_AT_ONCE // (size[0] * size[1]), 1)
    for start in range(0, len(planes), at_once):
        some = planes[start : start + at_once]
        left = some.take(col.before, axis=2)
        across = some.take(col_after, axis=2)
        across -= left
        across *= col.share
        across += left
        above = across.take(row.before, axis=1)
        # no index is outside, and "clip" writes in place
        found = result[start : start + at_once]
        across.take(row_after, axis=1, out=found, mode="clip")
        found -= above
        found *= below
        found += above
    return result


def _anywhere(values: Floats, valid: Mask, centres: Centres) -> tuple[Floats, Mask]:
    """Interpolate rasters [T, C, H, W] and their validity [T, H, W] at points [h, w] of their own.

    The channels of a pixel lie beside one another meanwhile, so that they are found at once.
    """
    count, channels, height, width = values.shape
    planes = count * channels
    size = centres.cols.shape
    result = np.empty((count, channels, *size), np.float32)
    found = np.empty((count, *size), bool)
    all_valid = bool(valid.all())
    pixels = _side_by_side(values, None if all_valid else valid)
    rows = max(_AT_ONCE // (size[1] * pixels.shape[1]), 1)
    for start in range(0, size[0], rows):
        some = centres.of_rows(start, min(start + rows, size[0]))
        inside = _inside(some, height, width)
        row, col = _Neighbours.of(some.rows, height), _Neighbours.of(some.cols, width)
        sums: Floats = _weights(row, col, width, len(pixels)) @ pixels
        here, values_here = found[:, start : start + rows], result[:, :, start : start + rows]
        values_here[:] = sums[:, :planes].T.reshape(values_here.shape)
        here[:] = inside
        if not all_valid:
            place = _pixels_of(some.rows, height) * np.int32(width) + _pixels_of(some.cols, width)
            here &= valid.reshape(count, -1).take(place, axis=1)
            weights = sums[:, planes:-1].T.reshape(here.shape)
            whole = sums[:, -1].reshape(inside.shape)
            # exactly 1 where all four are valid: no point depends on whether others are
            share = np.divide(whole, weights, out=np.zeros_like(weights), where=here)
            values_here *= share[:, None]
        elif not inside.all():
            values_here *= inside
    return result, found


def _side_by_side(values: Floats, valid: Mask | None) -> Floats:
    """Return rasters [T, C, H, W] as float32 [pixels, T · C].

    With their validity [T, H, W] it is [pixels, T · C + T + 1]: the last is 1. After the rasters'
    come pixels that are next to their last and have no weight.
    """
    count, channels, height, width = values.shape
    planes, last = count * channels, height * width
    beside = 0 if valid is None else count + 1
    pixels = np.zeros((last + width + 1, planes + beside), np.float32)
    pixels[:last, :planes] = values.reshape(planes, -1).T
    if valid is not None:
        pixels[:last, planes:-1] = valid.reshape(count, -1).T
        pixels[:, -1] = 1
    return pixels


def _weights(row: _Neighbours, col: _Neighbours, width: int, pixels: int) -> Any:
    """Return the weights of a raster's pixels at points, sparse float32 [points, pixels]."""
    # takes a tenth of a second, which parallel grids do without
    from scipy.sparse import csr_array

    points = row.share.size
    first = (row.before * np.int32(width) + col.before).ravel()
    below, right = row.share.ravel(), col.share.ravel()
    places = np.empty((points, 4), np.int32)
    shares = np.empty((points, 4), np.float32)
    for number, step in enumerate((0, 1, width, width + 1)):
        np.add(first, step, out=places[:, number])
    both = np.multiply(below, right, out=shares[:, 3])
    np.subtract(below, both, out=shares[:, 2])
    right = np.subtract(right, both, out=shares[:, 1])
    np.subtract(1 - below, right, out=shares[:, 0])
    ends = np.arange(0, 4 * points + 1, 4, dtype=np.int32)
    return csr_array((shares.ravel(), places.ravel(), ends), shape=(points, pixels))
