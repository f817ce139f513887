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
from lcmap.raster.true_scale import square_metres_at

_REMEDY = "reproject it to a system that keeps areas, such as EPSG:3035 in Europe"
SQUARE_METRES = 10_000
"""In a hectare."""

_KEPT = 4e-3
_ROUNDING = 1e-9


@dataclass(frozen=True)
class PixelAreas:
    """The areas of the pixels of a grid that has a CRS.

    In a projected system that keeps areas to 0.4 % at the grid's centre all have what the grid
    says, in metres. In any other it is that of the ellipsoid, row by row: in degrees or grads
    between two meridians and two parallels, else as at the middle of the row.
    """

    grid: Grid
    name: str

    @cached_property
    def uniform(self) -> float | None:
        """The area that all pixels have, in m²; None where it differs from row to row."""
        assert self.grid.crs is not None
        if self.grid.crs.is_geographic or abs(self.distortion) > _KEPT:
            return None
        return self._nominal

    def of_rows(self, row: int, count: int) -> NDArray[np.float64]:
        """Return the area of a pixel in so many rows from one on, in m², float64 [count].

        Raises:
            GridMismatchError: a row has no place on earth.
        """
        if self.uniform is not None:
            return np.full(count, self.uniform)
        assert self.grid.crs is not None
        if self.grid.crs.is_geographic:
            return self._between_parallels(row, count)
        return self._on_the_ground(np.arange(row, row + count) + np.float64(0.5))

    @cached_property
    def central(self) -> float:
        """The area of a pixel in the middle of the grid, in m²."""
        return float(self.of_rows(self.grid.height // 2, 1)[0])

    @cached_property
    def text(self) -> str:
        """How areas are found, in a clause."""
        assert self.grid.crs is not None
        system = self.grid.crs.to_string()
        system = system if system.startswith("EPSG:") else "its projected system"
        if self.uniform is not None:
            return f"each pixel counts {self.uniform:.6g} m², its area in {system}"
        text = "areas on the ellipsoid, row by row"
        if not self.grid.crs.is_geographic:
            percent = abs(100 * self.distortion)
            text += f", which {system} shows {'enlarged' if self.distortion > 0 else 'reduced'}"
            text += f" by {percent:.2g} %" if percent < 10 else f" by {percent:.0f} %"
        return text

    @cached_property
    def distortion(self) -> float:
        """By what share a pixel is larger in its CRS than on the ground, at the grid's centre.

        0 in a system that is not tied to the earth.

        Raises:
            GridMismatchError: the centre has no place on earth.
        """
        assert self.grid.crs is not None
        if not self.grid.crs.is_projected:
            return 0.0
        return self._nominal / float(self._on_the_ground(np.array([self.grid.height / 2]))[0]) - 1

    @property
    def _nominal(self) -> float:
        """The area of a pixel as the grid has it, in m²."""
        assert self.grid.crs is not None
        metre = float(self.grid.crs.units_factor[1])
        return abs(self.grid.transform.determinant) * metre * metre

    def _on_the_ground(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the areas of pixels in the middle of rows, m², float64 [N]."""
        middle = np.full(len(rows), self.grid.width / 2)
        try:
            return square_metres_at(self.grid, middle, rows)
        except ValueError as error:
            raise GridMismatchError(
                self.name, str(error), "write its georeference again"
            ) from error

    def _between_parallels(self, row: int, count: int) -> NDArray[np.float64]:
        t = self.grid.transform
        assert self.grid.crs is not None
        unit = float(self.grid.crs.units_factor[1])  # of angle, in radians: a degree, or a grad
        edges = unit * (t.f + t.e * np.arange(row, row + count + 1))
        crs = ProjCRS.from_wkt(self.grid.crs.to_wkt())
        assert crs.ellipsoid is not None
        semi_major, semi_minor = crs.ellipsoid.semi_major_metre, crs.ellipsoid.semi_minor_metre
        below = _below(np.clip(edges, -math.pi / 2, math.pi / 2), semi_major, semi_minor)
        return np.asarray(unit * abs(t.a) * np.abs(np.diff(below)))


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


def least_pixels(hectares: float, pixel: float) -> int:
    """Return how many pixels, of so many m² each, are at least so many hectares."""
    return max(math.ceil(hectares * SQUARE_METRES / pixel - _ROUNDING), 1)


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
