"""Rasters brought onto another grid, lazily by block."""

from __future__ import annotations

import rasterio
import rioxarray
import xarray as xr
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from lcmap.raster.alignment import pixel_size
from lcmap.raster.grid import Grid

CHUNK = 1024
"""Rows and columns that are computed at once."""

_EXACT = 1e-12
"""Tolerance of the coordinate transform in source pixels.

GDAL's default of 0.125 interpolates coordinates along the rows of what is asked for, so that a
pixel would depend on the block it is computed in; and rasterio does not take 0.
"""


def lazily_aligned(
    vrt: str,
    source: Grid,
    target: Grid,
    resampling: Resampling,
    *,
    nodata: float | None,
    spread: float = 1.0,
    chunk: int = CHUNK,
) -> xr.DataArray:
    """Return the raster of a VRT document on the target grid, [bands, rows, columns], lazily.

    A block is read, reprojected and resampled by GDAL when it is computed; its pixels do not
    depend on which block it is. Pixels without a source are `nodata`, or 0 where it is None; what
    the document's own nodata value or mask hides is no source.
    `spread` widens the kernel where the image is reduced; 1 is GDAL's own width.
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
            nodata=nodata,
            tolerance=_EXACT,
            **_kernel_scale(source, target, spread),
        ) as warped,
    ):
        return _open_lazily(warped, chunk)


def _open_lazily(raster: str | WarpedVRT, chunk: int) -> xr.DataArray:
    array = rioxarray.open_rasterio(
        raster, chunks={"y": chunk, "x": chunk}, parse_coordinates=False
    )
    assert isinstance(array, xr.DataArray)  # no subdatasets here
    return array


def _kernel_scale(source: Grid, target: Grid, spread: float) -> dict[str, str]:
    """Return how far GDAL widens its kernels when it reduces an image, for the whole of it.

    Left alone, GDAL derives it from each block's extent, and pixels depend on the block.
    """
    x, y = pixel_size(source, target)
    return {"XSCALE": repr(1.0 / (x * spread)), "YSCALE": repr(1.0 / (y * spread))}
