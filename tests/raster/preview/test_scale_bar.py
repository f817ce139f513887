"""Scale bars: round lengths, and metres as geodesy measures them."""

from __future__ import annotations

import math

import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod
from rasterio.crs import CRS

from lcmap.raster.grid import Grid
from lcmap.raster.preview.scale_bar import length_text, pixel_metres, round_length


@given(st.floats(1e-3, 1e8))
def test_lengths_are_the_longest_round_ones(most: float) -> None:
    length = round_length(most)
    assert length <= most * 1.000001
    # the next round one is 2 or 2.5 times as long
    assert length * 2.5 >= most * 0.999999
    digits = length / 10 ** math.floor(math.log10(length) + 1e-9)
    assert min(abs(digits - n) for n in (1, 2, 5)) < 1e-6


def test_lengths_are_read_in_metres_and_kilometres() -> None:
    assert [length_text(n) for n in (0.5, 20, 500, 1000, 50_000)] == [
        "0.5 m", "20 m", "500 m", "1 km", "50 km",
    ]  # fmt: skip


@pytest.mark.parametrize("latitude", [0.0, 45.0, -60.0])
def test_degrees_by_latitude(latitude: float) -> None:
    grid = Grid(CRS.from_epsg(4326), Affine(1e-4, 0, 2, 0, -1e-4, latitude), 200, 100)
    middle = latitude - 50e-4
    geod = Geod(ellps="WGS84")
    across = geod.inv(2.01, middle, 2.0101, middle)[2]
    down = geod.inv(2.01, middle, 2.01, middle + 1e-4)[2]
    assert pixel_metres(grid) == pytest.approx((across, down), rel=1e-5)


def test_a_turned_grid_has_the_metres_of_its_pixels() -> None:
    transform = Affine.translation(500_000, 4_800_000) @ Affine.rotation(30) @ Affine.scale(2, -2)
    assert pixel_metres(Grid(CRS.from_epsg(32631), transform, 50, 80)) == pytest.approx(
        (2 / 0.9996, 2 / 0.9996), rel=1e-5
    )


@pytest.mark.parametrize(
    "crs, transform",
    [
        (None, Affine(1, 0, 0, 0, -1, 0)),
        (CRS.from_epsg(4326), Affine(0.3, 0, -30, 0, -0.3, 75)),
        (CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]'), Affine(1, 0, 0, 0, -1, 0)),
    ],
    ids=["no system", "a continent in degrees", "a local system"],
)
def test_no_bar_where_none_is_true(crs: CRS | None, transform: Affine) -> None:
    assert pixel_metres(Grid(crs, transform, 200, 200)) is None
