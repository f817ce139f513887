"""Geometry against single points."""

from __future__ import annotations

import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.warp import transform_bounds

from lcmap.raster.alignment import covers, overlaps, pixel_size, shared_ground
from lcmap.raster.grid import Grid

LAMBERT, UTM = CRS.from_epsg(2154), CRS.from_epsg(32631)
SOURCE = Grid(LAMBERT, Affine(10, 0, 721_104, 0, -10, 6_249_288), width=60, height=50)
COARSER = Grid(LAMBERT, Affine(31.3, 0, 721_104, 0, -31.3, 6_249_288), 19, 15)
WEST, _, _, NORTH = transform_bounds(LAMBERT, UTM, *SOURCE.bounds)
REPROJECTED = Grid(UTM, Affine(6.1, 0, WEST + 40.4, 0, -6.1, NORTH - 60.7), 80, 70)

grids = st.builds(
    lambda x, y, size, width, height: Grid(
        LAMBERT, Affine(size, 0, 721_000 + x, 0, -size, 6_249_300 + y), width, height
    ),
    st.integers(-900, 900),
    st.integers(-900, 900),
    st.sampled_from([0.8, 3.3, 10.0, 47.0]),
    st.integers(1, 20),
    st.integers(1, 20),
)


@settings(deadline=None, max_examples=60)
@given(grids)
def test_cover_means_every_pixel_centre_is_inside(target: Grid) -> None:
    west, south, east, north = SOURCE.bounds
    inside = [
        west < x < east and south < y < north
        for col in range(target.width)
        for row in range(target.height)
        for x, y in [target.transform @ (col + 0.5, row + 0.5)]
    ]
    assert covers(SOURCE, target) == all(inside)
    if any(inside):
        assert overlaps(SOURCE, target)


def test_grids_apart_do_not_overlap() -> None:
    far = Grid(LAMBERT, Affine(10, 0, 100_000, 0, -10, 6_249_288), 60, 50)
    assert not overlaps(SOURCE, far)
    assert not overlaps(SOURCE, Grid(UTM, Affine(10, 0, 0, 0, -10, 9_000_000), 60, 50))
    assert overlaps(SOURCE, REPROJECTED)


def test_pixel_size_is_counted_in_source_pixels() -> None:
    assert pixel_size(SOURCE, COARSER) == pytest.approx((3.13, 3.13))
    degrees = CRS.from_epsg(4326)
    place = Grid(degrees, Affine(1e-4, 0, 3.26, 0, -1e-4, 43.34), 10, 10)
    across, down = pixel_size(SOURCE, place)
    assert across == pytest.approx(0.81, abs=0.02)  # 1e-4° of longitude at 43° N: 8.1 m
    assert down == pytest.approx(1.11, abs=0.02)


def test_place_that_the_crs_does_not_reach_does_not_overlap() -> None:
    poles = Grid(CRS.from_epsg(4326), Affine(1, 0, -180, 0, -1, -89), 4, 1)
    with rasterio.Env():
        assert not overlaps(SOURCE, poles)


def test_shared_ground_is_the_covered_share() -> None:
    assert shared_ground(SOURCE, SOURCE) == 1.0
    half = Grid(LAMBERT, Affine(10, 0, 721_104 + 300, 0, -10, 6_249_288), 60, 50)
    assert shared_ground(half, SOURCE) == pytest.approx(0.5)
    assert shared_ground(SOURCE, half) == pytest.approx(0.5)
    far = Grid(LAMBERT, Affine(10, 0, 100_000, 0, -10, 6_249_288), 60, 50)
    assert shared_ground(SOURCE, far) == 0.0
    assert shared_ground(SOURCE, REPROJECTED) == 1.0
