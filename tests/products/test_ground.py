"""The ground of a pixel, against areas on the ellipsoid by PROJ."""

from __future__ import annotations

import pytest
from affine import Affine
from pyproj import Geod
from rasterio.crs import CRS
from rasterio.warp import transform

from lcmap.errors import GridMismatchError
from lcmap.products.ground import hectares_per_pixel, least_pixels
from lcmap.raster.grid import Grid

GRIDS = {
    "Web Mercator": Grid(CRS.from_epsg(3857), Affine(2, 0, 430_000, 0, -2, 5_400_000), 100, 80),
    "degrees": Grid(CRS.from_epsg(4326), Affine(1e-5, 0, 3, 0, -2e-5, 44), 100, 80),
    "feet": Grid(CRS.from_epsg(2227), Affine(3, 0, 6_000_000, 0, -3, 2_100_000), 100, 80),
}


def on_the_ellipsoid(grid: Grid) -> float:
    """Return the hectares of all pixels divided by their number."""
    corners = [(0, 0), (grid.width, 0), (grid.width, grid.height), (0, grid.height)]
    xs, ys = zip(*(grid.transform @ corner for corner in corners), strict=True)
    longitudes, latitudes = transform(grid.crs, "EPSG:4326", xs, ys)
    area, _ = Geod(ellps="WGS84").polygon_area_perimeter(longitudes, latitudes)
    return abs(area) / (grid.width * grid.height) / 10_000


@pytest.mark.parametrize("name", GRIDS)
def test_a_pixel_has_its_area_on_the_ground(name: str) -> None:
    found = hectares_per_pixel(GRIDS[name], "map.tif")
    # feet: by the units of the grid
    assert found == pytest.approx(on_the_ellipsoid(GRIDS[name]), rel=1e-3)


def test_a_system_that_keeps_metres_counts_as_square_metres() -> None:
    grid = Grid(CRS.from_epsg(2154), Affine(1.5, 0, 700_000, 0, -1.5, 6_250_000), 100, 80)
    assert hectares_per_pixel(grid, "map.tif") == pytest.approx(2.25e-4, rel=1e-12)
    assert on_the_ellipsoid(grid) != pytest.approx(2.25e-4, rel=1e-4)


def test_nowhere_is_refused() -> None:
    grid = Grid(CRS.from_epsg(3035), Affine(1, 0, 9e9, 0, -1, 9e9), 100, 80)
    with pytest.raises(GridMismatchError, match=r"map\.tif: a grid with no place on earth"):
        hectares_per_pixel(grid, "map.tif")


def test_hectares_as_pixels_are_rounded_up() -> None:
    assert least_pixels(0.09, 9e-4) == 100
    assert least_pixels(0.0901, 9e-4) == 101
    assert least_pixels(1e-9, 9e-4) == 1
