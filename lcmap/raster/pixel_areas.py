"""How large the pixels of a grid are on the ground, in square metres."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS as ProjCRS

from lcmap.errors import GridMismatchError, NoCrsError
from lcmap.raster.grid import Grid
from lcmap.raster.true_scale import units_per_metre

_REMEDY = "reproject it to a system that keeps areas, such as EPSG:3035 in Europe"
SQUARE_METRES = 10_000
"""In a hectare."""


@dataclass(frozen=True)
class PixelAreas:
    """The areas of the pixels of a grid that has a CRS.

    In a projected system it is the same for all: what the grid says, in metres. In degrees it is
    that of the ellipsoid between two meridians and two parallels, row by row.
    """

    grid: Grid
    name: str

    @cached_property
    def uniform(self) -> float | None:
        """The area that all pixels have, in m²; None where it differs from row to row."""
        assert self.grid.crs is not None
        if self.grid.crs.is_geographic:
            return None
        metre = float(self.grid.crs.linear_units_factor[1])
        return abs(self.grid.transform.determinant) * metre * metre

    def of_rows(self, row: int, count: int) -> NDArray[np.float64]:
        """Return the area of a pixel in so many rows from one on, in m², float64 [count]."""
        if self.uniform is not None:
            return np.full(count, self.uniform)
        t = self.grid.transform
        edges = np.radians(np.clip(t.f + t.e * np.arange(row, row + count + 1), -90, 90))
        crs = ProjCRS.from_wkt(self.grid.crs.to_wkt()) if self.grid.crs else None
        assert crs is not None and crs.ellipsoid is not None
        semi_major, semi_minor = crs.ellipsoid.semi_major_metre, crs.ellipsoid.semi_minor_metre
        below = _below(edges, semi_major, semi_minor)
        return math.radians(abs(t.a)) * np.abs(np.diff(below))

    @cached_property
    def text(self) -> str:
        """How areas are found, in a clause."""
        if self.uniform is None:
            return "areas on the ellipsoid, row by row"
        system = self.grid.crs.to_string() if self.grid.crs else ""
        system = system if system.startswith("EPSG:") else "its projected system"
        text = f"each pixel counts {self.uniform:.6g} m², its area in {system}"
        distortion = self.distortion
        if distortion is not None and abs(distortion) >= 0.01:
            text += (
                f", which is {abs(100 * distortion):.0f} % "
                f"{'more' if distortion > 0 else 'less'} than on the ground"
            )
        return text

    @cached_property
    def distortion(self) -> float | None:
        """By what share a pixel is larger in its CRS than on the ground, at the grid's centre."""
        if self.uniform is None:
            return 0.0
        assert self.grid.crs is not None
        metre = float(self.grid.crs.linear_units_factor[1])
        try:
            across, down = units_per_metre(self.grid)
        except ValueError:
            return None
        return across * metre * down * metre - 1


def pixel_areas(grid: Grid, name: str) -> PixelAreas:
    """Return the areas of the pixels of a grid, which messages call by the name of its raster.

    Raises:
        NoCrsError: the grid has no CRS.
        GridMismatchError: it is in degrees and turned.
    """
    if grid.crs is None:
        raise NoCrsError(name, "has no coordinate reference system", _REMEDY)
    if grid.crs.is_geographic and (grid.transform.b or grid.transform.d):
        raise GridMismatchError(name, "its grid is in degrees and turned", _REMEDY)
    return PixelAreas(grid, name)


def _below(
    latitudes: NDArray[np.float64], semi_major: float, semi_minor: float
) -> NDArray[np.float64]:
    """Return the area from the equator to latitudes on an ellipsoid, in m² per radian of longitude.

    After Snyder (1987), Map projections: a working manual, equation 3-12.
    """
    sines = np.sin(latitudes)
    eccentricity = math.sqrt(1 - (semi_minor / semi_major) ** 2)
    if eccentricity == 0:
        return np.asarray(semi_major**2 * sines)
    turned = np.arctanh(eccentricity * sines) / eccentricity
    return np.asarray(semi_minor**2 / 2 * (sines / (1 - (eccentricity * sines) ** 2) + turned))
