"""Where a map is, in degrees, against pyproj."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from shapely.geometry import shape

from lcmap.products.stac_items import footprint
from lcmap.raster.grid import Grid


@given(
    st.sampled_from([2154, 32631, 3857, 4326]),
    st.floats(0, 360),
    st.integers(1, 60_000),
    st.integers(1, 60_000),
)
def test_all_pixels_are_in_it(epsg: int, turned: float, width: int, height: int) -> None:
    pixel = 1e-5 if epsg == 4326 else 1.6
    corner = pyproj.Transformer.from_crs(4326, epsg, always_xy=True).transform(2.5, 46.5)
    placed = Affine.translation(*corner) @ Affine.rotation(turned) @ Affine.scale(pixel, -pixel)
    grid = Grid(CRS.from_epsg(epsg), placed, width, height)
    geometry, bbox = footprint(grid)
    found = shape(geometry)
    assert found.is_valid and found.exterior.is_ccw
    assert found.bounds == pytest.approx(bbox, abs=2e-6)
    rng = np.random.default_rng(0)
    cols, rows = rng.uniform(0, width, 50), rng.uniform(0, height, 50)
    to_degrees = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
    points = shapely.points(*to_degrees.transform(*(placed @ (cols, rows))))
    # a metre: the sides are straight between places along them, and rounded
    assert (shapely.distance(found, points) < 1e-5).all()
    corners = [placed @ place for place in [(0, 0), (width, 0), (width, height), (0, height)]]
    exact = shapely.Polygon([to_degrees.transform(*place) for place in corners])
    # by no more than the curves of long sides and the rounding of all
    assert found.area == pytest.approx(exact.area, rel=0.05, abs=4e-6 * exact.length)


def test_across_the_180th_meridian() -> None:
    x, y = pyproj.Transformer.from_crs(4326, 32760, always_xy=True).transform(179.9, -17.0)
    grid = Grid(CRS.from_epsg(32760), Affine(10, 0, x, 0, -10, y), 4000, 1000)
    geometry, (west, south, east, north) = footprint(grid)
    parts = [part.bounds for part in shape(geometry).geoms]
    assert geometry["type"] == "MultiPolygon" and len(parts) == 2
    assert sorted(part[0] for part in parts)[0] == -180 and max(part[2] for part in parts) == 180
    assert west == pytest.approx(179.9, abs=0.01) and east == pytest.approx(-179.72, abs=0.01)
    assert south < north < -16.9
