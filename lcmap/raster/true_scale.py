"""How long a metre on the ground is in the units of a grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
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


def square_metres_at(
    grid: Grid, cols: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the areas on the ground of pixels centred at places of a grid with a CRS, in m².

    On the WGS 84 ellipsoid; places [N] are in pixels from the grid's upper left corner, areas are
    float64 [N].

    Raises:
        ValueError: a place is not on earth.
    """
    east_across, north_across = _east_north(grid, (cols - _STEP, rows), (cols + _STEP, rows))
    east_down, north_down = _east_north(grid, (cols, rows - _STEP), (cols, rows + _STEP))
    return np.abs(east_across * north_down - east_down * north_across)


def _units(grid: Grid, start: tuple[float, float], stop: tuple[float, float]) -> float:
    ends = [(np.array([col]), np.array([row])) for col, row in (start, stop)]
    east, north = _east_north(grid, *ends)
    (x0, y0), (x1, y1) = (grid.transform @ point for point in (start, stop))
    return math.hypot(x1 - x0, y1 - y0) / math.hypot(east[0], north[0])


def _east_north(
    grid: Grid,
    starts: tuple[NDArray[np.float64], NDArray[np.float64]],
    stops: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far east and north one lies from the other of near places, in metres, [N] each.

    Places are columns and rows. The ellipsoid is taken for the sphere that has its curvatures
    there.

    Raises:
        ValueError: a place is not on earth.
    """
    places = np.stack(starts), np.stack(stops)  # [2, N] each
    t = grid.transform
    xs = np.concatenate([t.a * col + t.b * row + t.c for col, row in places])
    ys = np.concatenate([t.d * col + t.e * row + t.f for col, row in places])
    try:
        geographic = transform_coordinates(grid.crs, _WGS84, xs, ys)
    except (RasterioError, CPLE_BaseError) as error:
        raise ValueError(f"a grid with no place on earth ({error})") from error
    longitudes, latitudes = np.radians(geographic).reshape(2, 2, -1)
    eccentricity_squared = _FLATTENING * (2 - _FLATTENING)
    middle = latitudes.mean(axis=0)
    curve = 1 - eccentricity_squared * np.sin(middle) ** 2
    meridian = _SEMI_MAJOR * (1 - eccentricity_squared) / curve**1.5
    normal = _SEMI_MAJOR / np.sqrt(curve)
    turn = (longitudes[1] - longitudes[0] + np.pi) % (2 * np.pi) - np.pi
    east = normal * np.cos(middle) * turn
    north = meridian * (latitudes[1] - latitudes[0])
    if not (np.isfinite(east + north).all() and (np.abs(east) + np.abs(north)).all()):
        raise ValueError("a grid with no place on earth")
    return east, north
