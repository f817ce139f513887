"""Grids against rasterio's own arithmetic."""

from __future__ import annotations

import math

import pytest
import rasterio.transform
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from lcmap.raster.grid import Grid, same_crs
from lcmap.raster.windows import Window

LAMBERT = CRS.from_epsg(2154)
GRID = Grid(LAMBERT, Affine(1.5, 0, 700_000, 0, -1.5, 6_300_000), 400, 300)


def test_bounds_and_gsd() -> None:
    assert GRID.bounds == rasterio.transform.array_bounds(300, 400, GRID.transform)
    assert GRID.gsd == (1.5, 1.5)
    assert GRID.gsd_metres == 1.5


def test_gsd_of_a_rotated_grid_and_its_envelope() -> None:
    turned = Grid(LAMBERT, GRID.transform @ Affine.rotation(45), 10, 10)
    assert turned.gsd == pytest.approx((1.5, 1.5))
    west, south, east, north = turned.bounds
    assert east - west == pytest.approx(15 * math.sqrt(2))
    assert north - south == pytest.approx(15 * math.sqrt(2))


def test_gsd_metres_of_degrees_feet_and_nothing() -> None:
    degrees = Grid(CRS.from_epsg(4326), Affine(1e-4, 0, 2, 0, -1e-4, 60), 10, 10)
    assert degrees.gsd_metres == pytest.approx(11.12 * 0.75, rel=1e-2)
    feet = Grid(CRS.from_epsg(2263), Affine(10, 0, 0, 0, -10, 0), 10, 10)
    assert feet.gsd_metres == pytest.approx(3.048, rel=1e-4)
    assert Grid(None, GRID.transform, 1, 1).gsd_metres is None
    y = 5_311_971.8  # 43° N
    mercator = Grid(CRS.from_epsg(3857), Affine(2, 0, 4e5, 0, -2, y), 10, 10)
    assert mercator.gsd_metres == pytest.approx(2 * math.cos(math.radians(43)), rel=4e-3)


@given(st.integers(-50, 450), st.integers(-50, 350), st.integers(1, 200), st.integers(1, 200))
def test_window_of_a_subgrids_bounds_is_the_window(col: int, row: int, w: int, h: int) -> None:
    window = Window(row, col, h, w)
    assert GRID.window_of(GRID.subgrid(window).bounds) == window


def test_window_of_partly_covered_pixels_holds_them() -> None:
    assert GRID.window_of((700_000.2, 6_299_996.0, 700_003.1, 6_300_000.0)) == Window(0, 0, 3, 3)


def test_matches_to_a_thousandth_of_a_pixel() -> None:
    near = Grid(LAMBERT, GRID.transform @ Affine.translation(5e-4, 0), 400, 300)
    far = Grid(LAMBERT, GRID.transform @ Affine.translation(5e-3, 0), 400, 300)
    drifting = Grid(LAMBERT, GRID.transform @ Affine.scale(1 + 1e-5), 400, 300)
    assert GRID.matches(near)
    assert not GRID.matches(far)
    assert not GRID.matches(drifting)
    assert not GRID.matches(Grid(CRS.from_epsg(32631), GRID.transform, 400, 300))
    assert not GRID.matches(Grid(LAMBERT, GRID.transform, 401, 300))


def test_one_crs_written_in_two_ways_is_the_same() -> None:
    old = CRS.from_proj4(
        "+proj=lcc +lat_0=46.5 +lon_0=3 +lat_1=49 +lat_2=44 +x_0=700000 +y_0=6600000 "
        "+ellps=GRS80 +towgs84=0,0,0,0,0,0,0 +units=m +no_defs"
    )
    assert old != LAMBERT, "which is why same_crs exists"
    assert same_crs(old, LAMBERT) and same_crs(LAMBERT, old)
    assert Grid(old, GRID.transform, 400, 300).matches(GRID)
    assert not same_crs(LAMBERT, CRS.from_epsg(32631))
    assert not same_crs(LAMBERT, None)
    assert same_crs(None, None)


def test_two_local_crs_that_no_code_names_are_not_the_same() -> None:
    one, other = (CRS.from_proj4(f"+proj=tmerc +lon_0={lon} +ellps=GRS80") for lon in (1, 2))
    assert same_crs(one, one)
    assert not same_crs(one, other)


def test_cells_hold_their_pixels_and_the_last_reach_beyond() -> None:
    grid = Grid(CRS.from_epsg(2154), Affine(1.5, 0, 700_000, 0, -1.5, 6_300_000), 21, 16)
    cells = grid.coarsened(2)
    assert cells.shape == (4, 6) and cells.gsd == (6, 6) and cells.crs == grid.crs
    assert cells.subgrid(Window(1, 2, 1, 1)).bounds == grid.subgrid(Window(4, 8, 4, 4)).bounds
    assert grid.coarsened(0) == grid
