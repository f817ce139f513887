"""Areas of pixels, against geodesic polygons and equal-area projections."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from pyproj import Geod, Transformer
from rasterio.crs import CRS
from rasterio.warp import transform

from lcmap.errors import GridMismatchError, NoCrsError
from lcmap.raster.grid import Grid
from lcmap.raster.pixel_areas import least_pixels, pixel_areas


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


@pytest.mark.parametrize(
    ("epsg", "pixel", "west", "north"),
    [
        (3857, 10, 260_000, 6_250_000),  # Web Mercator, 48.9° north
        (3857, 100_000, 260_000, 6_250_000),  # from 48.9 to 46.2°, row by row
        (32631, 20, 3_000_000, 6_000_000),  # UTM far from its zone
        (5041, 20, 2_000_000, -3_000_000),  # polar stereographic, to both sides of a meridian
        (27572, 20, 1_500_000, 2_200_000),  # degrees of another datum and meridian below
        (102003, 20, 1_000_000, 300_000),  # Albers: areas are kept, angles are not
    ],
)
def test_a_system_that_does_not_keep_areas_counts_those_on_the_ground(
    epsg: int, pixel: float, west: float, north: float
) -> None:
    crs = CRS.from_user_input(f"{'ESRI' if epsg > 100_000 else 'EPSG'}:{epsg}")
    whole = Grid(crs, Affine(pixel, 0, west, 0, -pixel, north), 3, 4)
    areas = pixel_areas(whole, "map.tif")
    t = whole.transform
    edges = np.linspace(0, 1, 50)
    for row, area in enumerate(areas.of_rows(0, 4)):
        cols = np.concatenate([edges, np.ones(50), 1 - edges, np.zeros(50)]) + 1
        rows = np.concatenate([np.zeros(50), edges, np.ones(50), 1 - edges]) + row
        lons, lats = transform(crs, "EPSG:4326", t.a * cols + t.c, t.e * rows + t.f)
        expected = abs(Geod(ellps="WGS84").polygon_area_perimeter(lons, lats)[0])
        # what counts as its nominal area may be 0.4 % off
        assert area == pytest.approx(expected, rel=1e-4 if areas.uniform is None else 4e-3)
    if epsg == 3857 and pixel == 10:
        assert (
            areas.text
            == "areas on the ellipsoid, row by row, which EPSG:3857 shows enlarged by 131 %"
        )


def test_a_system_that_is_not_tied_to_the_earth_counts_its_own_metres() -> None:
    local = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')
    areas = pixel_areas(Grid(local, Affine(2, 0, 0, 0, -2, 0), 3, 3), "map.tif")
    assert areas.uniform == 4


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


def test_grads_are_a_hundredth_of_a_right_angle() -> None:
    """NTF (Paris) in grads, and NTF in degrees: the same pixel in both."""
    degrees = Grid(CRS.from_epsg(4275), Affine(9e-4, 0, 2.8, 0, -9e-4, 45.9), 3, 3)
    grads = Grid(CRS.from_epsg(4807), Affine(1e-3, 0, 0.5, 0, -1e-3, 51.0), 3, 3)
    expected = pixel_areas(degrees, "map.tif").of_rows(0, 3)
    assert pixel_areas(grads, "map.tif").of_rows(0, 3) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("longitude", "latitude", "percent"),
    [(2.54, 51.09, 0.465), (9.26, 41.33, 0.606), (3.0, 46.5, -0.19), (9.45, 42.7, 0.244)],
)
def test_how_far_lambert_93_keeps_areas(longitude: float, latitude: float, percent: float) -> None:
    """At both ends of France, in its middle and in the north of Corsica, see docs/products.md."""
    x, y = Transformer.from_crs(4326, 2154, always_xy=True).transform(longitude, latitude)
    areas = pixel_areas(Grid(CRS.from_epsg(2154), Affine(1, 0, x, 0, -1, y), 2, 2), "map.tif")
    assert 100 * areas.distortion == pytest.approx(percent, abs=2e-3)
    assert (areas.uniform is None) == (percent > 0.4)


def test_the_whole_earth() -> None:
    whole = Grid(CRS.from_epsg(4326), Affine(1, 0, -180, 0, -1, 90), 360, 180)
    total = 360 * pixel_areas(whole, "map.tif").of_rows(0, 180).sum()
    assert total == pytest.approx(510_065_621.724e6, rel=1e-9)


def test_refused() -> None:
    with pytest.raises(NoCrsError):
        pixel_areas(Grid(None, Affine.identity(), 3, 3), "map.tif")
    with pytest.raises(GridMismatchError):
        pixel_areas(Grid(CRS.from_epsg(4326), Affine.rotation(3), 3, 3), "map.tif")
    nowhere = Grid(CRS.from_epsg(3035), Affine(1, 0, 9e9, 0, -1, 9e9), 100, 80)
    with pytest.raises(GridMismatchError, match=r"map\.tif: a grid with no place on earth"):
        pixel_areas(nowhere, "map.tif").central  # noqa: B018


def test_hectares_as_pixels_are_rounded_up() -> None:
    assert least_pixels(0.09, 9) == 100
    assert least_pixels(0.0901, 9) == 101
    assert least_pixels(1e-9, 9) == 1
