"""A grid that is given by its bounds and resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass

from affine import Affine

from lcmap.errors import UsageError
from lcmap.raster.grid import Grid
from lcmap.raster.soundness import LARGEST_SIDE
from lcmap.raster.usable_crs import crs_of


@dataclass(frozen=True)
class TargetGrid:
    """The grid wanted, north up.

    bounds: west, south, east, north in units of the CRS; east and south move outwards to whole
        pixels.
    resolution: the side of a pixel in units of the CRS.
    crs: the coordinate reference system, such as EPSG:2154.
    """

    bounds: tuple[float, float, float, float]
    resolution: float
    crs: str

    def grid(self) -> Grid:
        """Return the grid.

        Raises:
            UsageError: there is no such grid.
        """
        west, south, east, north = self.bounds
        if not (all(map(math.isfinite, self.bounds)) and west < east and south < north):
            raise UsageError("`bounds`", "are not bounds", "give WEST,SOUTH,EAST,NORTH")
        if not (math.isfinite(self.resolution) and self.resolution > 0):
            raise UsageError("`resolution`", "is not a length", "give the side of a pixel")
        try:
            crs = crs_of(self.crs)
        except ValueError:
            raise UsageError("`crs`", f"{self.crs} is unknown", "give EPSG:CODE") from None
        size = self.resolution
        columns, rows = (east - west) / size, (north - south) / size
        if not max(columns, rows) <= LARGEST_SIDE:
            raise UsageError(
                f"`resolution={size:g}`",
                f"makes a grid of {columns:.0f} × {rows:.0f} px",
                f"give at most {LARGEST_SIDE} px along a side",
            )
        width, height = math.ceil(columns - 1e-6), math.ceil(rows - 1e-6)
        return Grid(crs, Affine(size, 0, west, 0, -size, north), width, height)
