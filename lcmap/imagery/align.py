"""Rasters brought onto another grid, lazily by block."""

from __future__ import annotations

import math

import numpy as np
import rasterio
import rioxarray
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform as transform_coordinates

from lcmap.raster.grid import Grid, same_crs

CHUNK = 1024
"""Rows and columns that are computed at once."""

_EXACT = 1e-12
"""Tolerance of the coordinate transform in source pixels.

GDAL's default of 0.125 interpolates coordinates along the rows of what is asked for, so that a
pixel would depend on the block it is computed in; and rasterio does not take 0.
"""

_RIM = 1e-6


def lazily_aligned(
    vrt: str,
    source: Grid,
    target: Grid,
    resampling: Resampling,
    *,
    nodata: float | None,
    chunk: int = CHUNK,
) -> xr.DataArray:
    """Return the raster of a VRT document on the target grid, [bands, rows, columns], lazily.

    A block is read, reprojected and resampled by GDAL when it is computed; its pixels do not
    depend on which block it is. Pixels without a source are `nodata`, or 0 where it is None.
    """
    if source.matches(target):
        return _open_lazily(vrt, chunk)
    with (
        rasterio.open(vrt) as dataset,
        WarpedVRT(
            dataset,
            crs=target.crs,
            transform=target.transform,
            width=target.width,
            height=target.height,
            resampling=resampling,
            src_nodata=nodata,
            nodata=nodata,
            tolerance=_EXACT,
            **_kernel_scale(source, target),
        ) as warped,
    ):
        return _open_lazily(warped, chunk)


def _open_lazily(raster: str | WarpedVRT, chunk: int) -> xr.DataArray:
    array = rioxarray.open_rasterio(
        raster, chunks={"y": chunk, "x": chunk}, parse_coordinates=False
    )
    assert isinstance(array, xr.DataArray)  # no subdatasets here
    return array


def _kernel_scale(source: Grid, target: Grid) -> dict[str, str]:
    """Return how far GDAL widens its kernels when it reduces an image, for the whole of it.

    Left alone, GDAL derives it from each block's extent, and pixels depend on the block.
    """
    x, y = pixel_size(source, target)
    return {"XSCALE": repr(1.0 / x), "YSCALE": repr(1.0 / y)}


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
    """Return where points in pixels of the target lie in pixels of the source; inf if nowhere."""
    xs, ys = _apply(target.transform, cols, rows)
    if not same_crs(source.crs, target.crs):
        converted = transform_coordinates(target.crs, source.crs, xs, ys)
        xs, ys = np.array(converted[0]), np.array(converted[1])
    return _apply(~source.transform, xs, ys)


def _apply(
    transform: Affine, xs: NDArray[np.float64], ys: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    t = transform
    return t.a * xs + t.b * ys + t.c, t.d * xs + t.e * ys + t.f


def covers(source: Grid, target: Grid) -> bool:
    """Tell whether every pixel centre of the target lies inside the source.

    The outermost centres tell: what they enclose, the transform keeps enclosed.
    """
    cols, rows = to_pixels(source, target, *_rim(target))
    return bool(
        (
            (cols > _RIM)
            & (cols < source.width - _RIM)
            & (rows > _RIM)
            & (rows < source.height - _RIM)
        ).all()
    )


def overlaps(source: Grid, target: Grid) -> bool:
    """Tell whether the envelopes of two grids, in pixels of the source, have common ground."""
    cols, rows = to_pixels(source, target, *_rim(target))
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


def _rim(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centres of the outermost pixels, columns and rows."""
    cols = np.arange(grid.width) + 0.5
    rows = np.arange(grid.height) + 0.5
    left, right = np.full_like(rows, 0.5), np.full_like(rows, grid.width - 0.5)
    top, bottom = np.full_like(cols, 0.5), np.full_like(cols, grid.height - 0.5)
    return (
        np.concatenate([cols, cols, left, right]),
        np.concatenate([top, bottom, rows, rows]),
    )
