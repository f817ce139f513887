"""Where the pixels of one grid are in another, and how much ground they share: pure arithmetic."""

from __future__ import annotations

import math

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import transform as transform_coordinates

from lcmap.raster.datum_shift import check_datum_shift
from lcmap.raster.grid import Grid, same_crs
from lcmap.raster.windows import Window

_BORDER = 1e-6

_KERNEL_RADIUS = 4
"""Source pixels (times the reduction) that a pixel may depend on to each side; cubic: 2."""
_PROBES = 64


def pixel_size(source: Grid, target: Grid) -> tuple[float, float]:
    """Return the size of a target pixel in source pixels (columns, rows), at the centre."""
    col, row = target.width / 2, target.height / 2
    cols, rows = to_pixels(
        source, target, np.array([col, col + 1.0, col]), np.array([row, row, row + 1.0])
    )
    across = math.hypot(cols[1] - cols[0], cols[2] - cols[0])
    down = math.hypot(rows[1] - rows[0], rows[2] - rows[0])
    return across, down


def to_pixels(
    source: Grid, target: Grid, cols: NDArray[np.float64], rows: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where points in pixels of the target are, in pixels of the source; inf if nowhere."""
    xs, ys = _apply(target.transform, cols, rows)
    if not same_crs(source.crs, target.crs):
        check_datum_shift(source.crs, target.crs, target.bounds)
        converted = transform_coordinates(target.crs, source.crs, xs, ys)
        xs, ys = np.array(converted[0]), np.array(converted[1])
    return _apply(~source.transform, xs, ys)


def _apply(
    transform: Affine, xs: NDArray[np.float64], ys: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    t = transform
    return t.a * xs + t.b * ys + t.c, t.d * xs + t.e * ys + t.f


def covers(source: Grid, target: Grid) -> bool:
    """Tell whether every pixel centre of the target is inside the source.

    The outermost centres tell: what they enclose, the transform keeps enclosed.
    """
    cols, rows = to_pixels(source, target, *_border_centres(target))
    return bool(
        (
            (cols > _BORDER)
            & (cols < source.width - _BORDER)
            & (rows > _BORDER)
            & (rows < source.height - _BORDER)
        ).all()
    )


def overlaps(source: Grid, target: Grid) -> bool:
    """Tell whether the envelopes of two grids, in pixels of the source, have common ground."""
    cols, rows = to_pixels(source, target, *_border_centres(target))
    finite = np.isfinite(cols) & np.isfinite(rows)
    if not finite.any():
        return False
    cols, rows = cols[finite], rows[finite]
    return bool(
        cols.max() > 0
        and cols.min() < source.width
        and rows.max() > 0
        and rows.min() < source.height
    )


def footprint(source: Grid, target: Grid) -> Window:
    """Return the window of the source that resampling it to the target may read, kernels included.

    Both grids have common ground, as `overlaps` tells.
    """
    cols, rows = to_pixels(source, target, *_border_centres(target))
    finite = np.isfinite(cols) & np.isfinite(rows)
    if not finite.all():
        return Window(0, 0, source.height, source.width)
    margin = _KERNEL_RADIUS * math.ceil(max(1.0, *pixel_size(source, target)))
    row, col = math.floor(rows.min()) - margin, math.floor(cols.min()) - margin
    stop_row, stop_col = math.ceil(rows.max()) + margin, math.ceil(cols.max()) + margin
    return Window(row, col, stop_row - row, stop_col - col).clipped(source.height, source.width)


def _border_centres(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centres of the outermost pixels, columns and rows."""
    cols = np.arange(grid.width) + 0.5
    rows = np.arange(grid.height) + 0.5
    left, right = np.full_like(rows, 0.5), np.full_like(rows, grid.width - 0.5)
    top, bottom = np.full_like(cols, 0.5), np.full_like(cols, grid.height - 0.5)
    return (
        np.concatenate([cols, cols, left, right]),
        np.concatenate([top, bottom, rows, rows]),
    )


def shared_ground(source: Grid, target: Grid) -> float:
    """Return the share of the target's ground that is inside the source, to a few percent."""
    cols = (np.arange(_PROBES) + 0.5) * target.width / _PROBES
    rows = (np.arange(_PROBES) + 0.5) * target.height / _PROBES
    grid_rows, grid_cols = np.meshgrid(rows, cols, indexing="ij")
    in_cols, in_rows = to_pixels(source, target, grid_cols.ravel(), grid_rows.ravel())
    inside = (in_cols >= 0) & (in_cols < source.width)
    inside &= (in_rows >= 0) & (in_rows < source.height)
    return float(inside.mean())
