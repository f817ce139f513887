"""Areas of pixels, against geodesic polygons and equal-area projections."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from pyproj import Geod
from rasterio.crs import CRS

from lcmap.errors import GridMismatchError, NoCrsError
from lcmap.raster.grid import Grid
from lcmap.raster.pixel_areas import pixel_areas


def grid(epsg: int, pixel: float, west: float, north: float, rows: int = 4) -> Grid:
    return Grid(CRS.from_epsg(epsg), Affine(pixel, 0, west, 0, -pixel, north), 3, rows)


def test_a_projected_grid_counts_its_own_metres() -> None:
    areas = pixel_areas(grid(2154, 1.5, 700_000, 6_600_000), "map.tif")
    assert areas.uniform == 2.25
    assert areas.of_rows(1, 2).tolist() == [2.25, 2.25]
    assert areas.text == "each pixel counts 2.25 m², its area in EPSG:2154"


def test_feet_are_metres() -> None:
    areas = pixel_areas(grid(2263, 10, 984_000, 200_000), "map.tif")  # New York, US survey feet
    assert areas.uniform == pytest.approx(100 * (1200 / 3937) ** 2)


def test_a_system_that_does_not_keep_areas_is_told() -> None:
    areas = pixel_areas(grid(3857, 10, 260_000, 6_250_000), "map.tif")  # 48.9° north
    assert areas.distortion == pytest.approx(1 / np.cos(np.radians(48.9)) ** 2 - 1, abs=0.02)
    assert "more than on the ground" in areas.text


@pytest.mark.parametrize("north", [0.2, 45.0, 89.0, 90.0, -30.0])
def test_degrees_are_areas_on_the_ellipsoid(north: float) -> None:
    step = 0.25
    areas = pixel_areas(grid(4326, step, 2, north), "map.tif")
    geod = Geod(ellps="WGS84")
    for row, area in enumerate(areas.of_rows(0, 4)):
        top, bottom = north - row * step, north - (row + 1) * step
        xs = np.linspace(2, 2 + step, 400)  # along the parallels, not the shortest way
        lons, lats = np.append(xs, xs[::-1]), np.repeat([top, bottom], 400)
        expected = abs(geod.polygon_area_perimeter(lons, lats)[0])
        assert area == pytest.approx(expected, rel=1e-6)


def test_the_whole_earth() -> None:
    whole = Grid(CRS.from_epsg(4326), Affine(1, 0, -180, 0, -1, 90), 360, 180)
    total = 360 * pixel_areas(whole, "map.tif").of_rows(0, 180).sum()
    assert total == pytest.approx(510_065_621.724e6, rel=1e-9)


def test_refused() -> None:
    with pytest.raises(NoCrsError):
        pixel_areas(Grid(None, Affine.identity(), 3, 3), "map.tif")
    with pytest.raises(GridMismatchError):
        pixel_areas(Grid(CRS.from_epsg(4326), Affine.rotation(3), 3, 3), "map.tif")
