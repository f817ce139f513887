"""How long a metre on the ground is in the units of a grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.warp import transform as transform_coordinates

if TYPE_CHECKING:
    from lcmap.raster.grid import Grid

_WGS84 = "EPSG:4326"
_SEMI_MAJOR = 6_378_137.0
_FLATTENING = 1 / 298.257223563
_STEP = 0.5
"""Pixels to each side of the centre."""


def units_per_metre(grid: Grid) -> tuple[float, float]:
    """Return the length of a metre on the ground, along columns and rows, in units of the CRS.

    At the grid's centre, on the WGS 84 ellipsoid. Web Mercator stretches a metre to 1 / cos φ; a
    projected system that is made for its area keeps it to a few parts in ten thousand.

    Raises:
        ValueError: the grid has no CRS, or its centre has no place on earth.
    """
    if grid.crs is None:
        raise ValueError("a grid without a coordinate reference system")
    return units_per_metre_at(grid, grid.width / 2, grid.height / 2)


def units_per_metre_at(grid: Grid, col: float, row: float) -> tuple[float, float]:
    """Return the same at a place of a grid with a CRS, in pixels from its upper left corner.

    Raises:
        ValueError: it has no place on earth.
    """
    return (
        _units(grid, (col - _STEP, row), (col + _STEP, row)),
        _units(grid, (col, row - _STEP), (col, row + _STEP)),
    )


def _units(grid: Grid, start: tuple[float, float], stop: tuple[float, float]) -> float:
    xs, ys = zip(*(grid.transform @ point for point in (start, stop)), strict=True)
    try:
        longitudes, latitudes = transform_coordinates(grid.crs, _WGS84, xs, ys)
    except (RasterioError, CPLE_BaseError) as error:
        raise ValueError(f"a grid with no place on earth ({error})") from error
    metres = _metres(*np.radians([latitudes, longitudes]))
    if not (math.isfinite(metres) and metres > 0):
        raise ValueError("a grid with no place on earth")
    return math.hypot(xs[1] - xs[0], ys[1] - ys[0]) / metres


def _metres(latitudes: np.ndarray, longitudes: np.ndarray) -> float:
    """Return the distance of two near points given in radians, [2] each.

    The ellipsoid is taken for the sphere that has its curvatures there.
    """
    eccentricity_squared = _FLATTENING * (2 - _FLATTENING)
    middle = latitudes.mean()
    curve = 1 - eccentricity_squared * math.sin(middle) ** 2
    meridian = _SEMI_MAJOR * (1 - eccentricity_squared) / curve**1.5
    normal = _SEMI_MAJOR / math.sqrt(curve)
    north = meridian * (latitudes[1] - latitudes[0])
    turn = (longitudes[1] - longitudes[0] + math.pi) % (2 * math.pi) - math.pi
    return math.hypot(north, normal * math.cos(middle) * turn)
