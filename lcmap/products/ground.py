"""How much ground the pixels of a map cover."""

from __future__ import annotations

import math

from lcmap.errors import GridMismatchError
from lcmap.paths import PathLike
from lcmap.raster.grid import Grid
from lcmap.raster.true_scale import units_per_metre

_SQUARE_METRES = 10_000
_KEPT = 4e-3
"""By how much areas may be off in a coordinate reference system that keeps metres."""

_ROUNDING = 1e-9


def hectares_per_pixel(grid: Grid, name: PathLike) -> float:
    """Return the area of a pixel at a grid's centre, in hectares on the WGS 84 ellipsoid.

    By the units of the CRS where that keeps metres, as those made for their area do.

    Raises:
        GridMismatchError: the centre has no place on earth; `name` is the raster.
    """
    try:
        along_columns, along_rows = units_per_metre(grid)
    except ValueError as error:
        raise GridMismatchError(name, str(error), "write its georeference again") from error
    in_units = abs(grid.transform.determinant)
    true = in_units / (along_columns * along_rows)
    if grid.crs is not None and not grid.crs.is_geographic:
        nominal = in_units * float(grid.crs.linear_units_factor[1]) ** 2
        if abs(nominal / true - 1) <= _KEPT:
            return nominal / _SQUARE_METRES
    return true / _SQUARE_METRES


def least_pixels(hectares: float, pixel: float) -> int:
    """Return how many pixels, of so many hectares each, are at least so many hectares."""
    return max(math.ceil(hectares / pixel - _ROUNDING), 1)
