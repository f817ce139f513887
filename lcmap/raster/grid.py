"""The grid of a raster: where its pixels are on the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from affine import Affine
from rasterio.crs import CRS

from lcmap.raster.true_scale import units_per_metre
from lcmap.raster.windows import Window

_KEPT = 2e-3
"""By how much the length of a metre may be off in a CRS that keeps metres."""


@dataclass(frozen=True)
class Grid:
    """A coordinate reference system, the affine transform of pixel corners and a size in pixels."""

    crs: CRS | None
    transform: Affine
    width: int
    height: int

    @classmethod
    def of(cls, dataset: Any) -> Grid:
        """Return the grid of an open rasterio dataset."""
        return cls(dataset.crs, dataset.transform, dataset.width, dataset.height)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.height, self.width

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in units of the CRS, for rotated grids the envelope."""
        corners = [
            self.transform @ (col, row) for col in (0, self.width) for row in (0, self.height)
        ]
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def gsd(self) -> tuple[float, float]:
        """Ground sampling distance along columns and rows, in units of the CRS."""
        t = self.transform
        return math.hypot(t.a, t.d), math.hypot(t.b, t.e)

    @property
    def gsd_metres(self) -> float | None:
        """Mean ground sampling distance in metres on the ground; None without a CRS.

        At the grid's centre, on the WGS 84 ellipsoid; by the unit of the CRS where that has no
        place on earth or the CRS keeps metres, as those made for their area do.
        """
        if self.crs is None:
            return None
        x, y = self.gsd
        nominal = None
        if not self.crs.is_geographic:
            nominal = (x + y) / 2 * float(self.crs.linear_units_factor[1])
        try:
            along_columns, along_rows = units_per_metre(self)
        except ValueError:
            return nominal
        true = (x / along_columns + y / along_rows) / 2
        return nominal if nominal and abs(nominal / true - 1) <= _KEPT else true

    def subgrid(self, window: Window) -> Grid:
        """Return the grid of a window of this grid; the window may reach beyond it."""
        transform = self.transform @ Affine.translation(window.col, window.row)
        return Grid(self.crs, transform, window.width, window.height)

    def coarsened(self, level: int) -> Grid:
        """Return the grid of cells of 2^level × 2^level pixels, from the same origin.

        The last cells may reach beyond the pixels.
        """
        cell = 1 << level
        rows, cols = -(-self.height // cell), -(-self.width // cell)
        return Grid(self.crs, self.transform @ Affine.scale(cell), cols, rows)

    def window_of(self, bounds: tuple[float, float, float, float]) -> Window:
        """Return the smallest window that holds these bounds; it may reach beyond the grid."""
        west, south, east, north = bounds
        inverse = ~self.transform
        corners = [inverse @ (x, y) for x in (west, east) for y in (south, north)]
        # a corner on a pixel edge must not claim the next pixel for a rounding error
        tolerance = 1e-6
        col = math.floor(min(x for x, _ in corners) + tolerance)
        row = math.floor(min(y for _, y in corners) + tolerance)
        stop_col = math.ceil(max(x for x, _ in corners) - tolerance)
        stop_row = math.ceil(max(y for _, y in corners) - tolerance)
        return Window(row, col, stop_row - row, stop_col - col)

    def matches(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Tell whether both grids have the same CRS, size and pixels, to a fraction of a pixel."""
        if self.shape != other.shape or not same_crs(self.crs, other.crs):
            return False
        inverse = ~self.transform
        for col, row in ((0, 0), (self.width, 0), (0, self.height), (self.width, self.height)):
            x, y = inverse @ (other.transform @ (col, row))
            if abs(x - col) > tolerance or abs(y - row) > tolerance:
                return False
        return True


def same_crs(one: CRS | None, other: CRS | None) -> bool:
    """Tell whether two coordinate reference systems are the same, whoever wrote them down.

    Files older than today's PROJ describe a system without its name or datum ("+proj=lcc …"), which
    GDAL does not call equal though it knows the EPSG code that both mean.
    """
    if one is None or other is None or one == other:
        return one == other
    code = one.to_epsg()
    return code is not None and code == other.to_epsg()
