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

from lcmap.products.stac_items import box_around, footprint
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


@pytest.mark.parametrize(
    ("west", "width", "box", "pieces"),
    [
        (170, 20, (170, -170), 2),
        (-190, 20, (170, -170), 2),
        (190, 10, (-170, -160), 1),
        (180, 10, (-180, -170), 1),
        (170, 10, (170, 180), 1),
        (0, 360, (-180, 180), 1),
        (-180, 360, (-180, 180), 1),
    ],
)
@pytest.mark.parametrize("epsg", [4326, 3832])
def test_longitudes_are_within_a_turn(
    west: int, width: int, box: tuple[int, int], pieces: int, epsg: int
) -> None:
    """Grids in degrees may pass 180, as Fiji at 170 to 190; Mercator's of the Pacific do."""
    degree, centre = (1.0, 0) if epsg == 4326 else (np.pi * 6_378_137 / 180, 150)
    left = west if epsg == 4326 else -180 if width == 360 else west % 360 - centre
    grid = Grid(CRS.from_epsg(epsg), Affine(degree, 0, left * degree, 0, -degree, 0), width, 10)
    geometry, (found_west, south, found_east, north) = footprint(grid)
    assert (found_west, found_east) == pytest.approx(box, abs=1e-5)
    assert south == pytest.approx(-10, abs=0.1) and north == pytest.approx(0, abs=1e-5)
    outline = shape(geometry)
    assert outline.is_valid and len(shapely.get_parts(outline)) == pieces
    assert outline.bounds[0] >= -180 and outline.bounds[2] <= 180
    assert outline.area == pytest.approx(width * 10, rel=0.02)


def test_around_a_pole() -> None:
    grid = Grid(CRS.from_epsg(3031), Affine(1e4, 0, -3e6, 0, -1e4, 3e6), 600, 600)
    geometry, (west, south, east, north) = footprint(grid)
    assert (west, south, east) == (-180, -90, 180) and -55 < north < -50
    assert shape(geometry).is_valid


@pytest.mark.parametrize(
    ("boxes", "around"),
    [
        ([(2, 43, 3, 44), (-61, 14, -60, 15)], [-61, 14, 3, 44]),
        ([(177, -19, -178, -16), (-179.5, -20, -179, -17)], [177, -20, -178, -16]),
        ([(179, -17, 180, -16), (177, -19, -178, -17)], [177, -19, -178, -16]),
        ([(177, -19, -178, -16), (160, -12, 162, -8)], [160, -19, -178, -8]),
        ([(177, -19, -178, -16), (-10, 36, 3, 44)], [177, -19, 3, 44]),
        ([(177, -19, -178, -16), (-170, 36, 177.5, 44)], [-180, -19, 180, 44]),
        ([(177, -19, -178, -16), (-180, -90, 180, 90)], [-180, -90, 180, 90]),
    ],
)
def test_the_box_around_boxes_passes_the_180th_meridian_as_one_of_them_does(
    boxes: list[tuple[float, ...]], around: list[float]
) -> None:
    assert box_around(boxes) == around


@given(st.lists(st.tuples(st.integers(-180, 180), st.integers(0, 359)), min_size=1, max_size=5))
def test_the_box_around_boxes_has_all_their_longitudes(spans: list[tuple[int, int]]) -> None:
    def at(longitude: int) -> int:
        return (longitude + 180) % 360 - 180

    boxes = [
        (west, 0, west + width if west + width <= 180 else at(west + width), 1)
        for west, width in spans
    ]
    west, _, east, _ = box_around(boxes)
    assert -180 <= west <= 180 and -180 <= east <= 180
    inside = {at(round(west) + d) for d in range(round((east - west) % 360 or 360) + 1)}
    assert {at(w + d) for w, width in spans for d in range(width + 1)} <= inside
    if not any(box[0] > box[2] for box in boxes):
        assert west < east or {width for _, width in spans} == {0}
