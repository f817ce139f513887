"""A metre on the ground in the units of projected systems, against what is known of them."""

from __future__ import annotations

import math

import pytest
from affine import Affine
from rasterio.crs import CRS

from lcmap.raster.grid import Grid
from lcmap.raster.true_scale import units_per_metre


def grid(epsg: int, x: float, y: float, pixel: float, turn: float = 0.0) -> Grid:
    transform = Affine.translation(x, y) @ Affine.rotation(turn) @ Affine.scale(pixel, -pixel)
    return Grid(CRS.from_epsg(epsg), transform, 200, 100)


@pytest.mark.parametrize("latitude", [0.0, 43.0, -43.0, 60.0])
@pytest.mark.parametrize("turn", [0.0, 30.0])
def test_web_mercator_stretches_by_latitude(latitude: float, turn: float) -> None:
    y = 6_378_137.0 * math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2))
    found = units_per_metre(grid(3857, 400_000.0, y, 1.0, turn))
    # the projection is the sphere's: 0.3 % off the ellipsoid at most along a meridian
    assert found == pytest.approx([1 / math.cos(math.radians(latitude))] * 2, rel=7e-3)


def test_utm_on_its_central_meridian() -> None:
    found = units_per_metre(grid(32631, 499_900.0, 4_800_000.0, 2.0))
    assert found == pytest.approx([0.9996, 0.9996], abs=1e-6)


def test_lambert_93_between_its_parallels() -> None:
    x, y = units_per_metre(grid(2154, 700_000.0, 6_600_000.0, 0.8))
    assert x == pytest.approx(y, rel=1e-6)
    assert 0.9990 < x < 1


def test_degrees_and_feet() -> None:
    x, y = units_per_metre(grid(4326, 3.0, 0.0, 1e-4))
    assert x == pytest.approx(1 / 111_319.49, rel=1e-6)
    assert y == pytest.approx(1 / 110_574.3, rel=1e-5)
    feet = units_per_metre(grid(2263, 984_250.0, 250_000.0, 3.0))
    assert feet == pytest.approx([3937 / 1200] * 2, rel=1e-3)


@pytest.mark.parametrize("crs", [None, CRS.from_epsg(3857)])
def test_nowhere(crs: CRS | None) -> None:
    with pytest.raises(ValueError, match="a grid w"):
        units_per_metre(Grid(crs, Affine(0, 0, 0, 0, 0, 0), 10, 10))
