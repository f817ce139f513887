"""The part of each pixel that polygons cover, against exactextract and shapely."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from exactextract import exact_extract
from exactextract.feature import JSONFeatureSource
from exactextract.raster import NumPyRasterSource
from hypothesis import given
from hypothesis import strategies as st

from lcmap.products.coverage import coverage

SIDE = 9
TOP, LEFT = 40, 300
SQUARE = shapely.box(LEFT, -TOP - SIDE, LEFT + SIDE, -TOP)
PIXELS = shapely.box(
    LEFT + np.arange(SIDE), -(TOP + np.arange(1, SIDE + 1))[:, None],
    LEFT + np.arange(1, SIDE + 1), -(TOP + np.arange(SIDE))[:, None],
)  # fmt: skip
COORDINATES = st.one_of(st.integers(-2, SIDE + 2), st.floats(-2, SIDE + 2, width=32))
SHAPES = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=8).map(
    lambda points: shapely.make_valid(
        shapely.Polygon([(LEFT + x, -TOP - y) for x, y in points]),
        method="structure",
        keep_collapsed=False,
    )
)


def covered(*polygons: object) -> np.ndarray:
    corners = np.array([[TOP, LEFT]] * len(polygons))
    return coverage(shapely.intersection(np.array(polygons), SQUARE), corners, SIDE)


@given(st.lists(SHAPES, min_size=1, max_size=3))
def test_it_is_the_area_of_what_pixel_and_polygon_share(shapes: list[object]) -> None:
    found = covered(*shapes)
    for one, shape in zip(found, shapes, strict=True):
        np.testing.assert_allclose(
            one, shapely.area(shapely.intersection(PIXELS, shape)), atol=1e-6
        )


@given(SHAPES, SHAPES)
def test_holes_are_not_covered(shape: object, hole: object) -> None:
    left = shapely.difference(shape, hole, grid_size=1e-6)
    (found,) = covered(left)
    np.testing.assert_allclose(found, shapely.area(shapely.intersection(PIXELS, left)), atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_exactextract_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = shapely.intersection(
        shapely.buffer(shapely.Point(LEFT + 9 * rng.random(), -TOP - 9 * rng.random()), 4), SQUARE
    )
    if seed % 2:
        shape = shapely.difference(shape, shapely.buffer(shape.centroid, 1.5))
    source = NumPyRasterSource(np.zeros((SIDE, SIDE)), *shapely.bounds(SQUARE).tolist())
    feature = {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shape)}
    (wanted,) = exact_extract(source, JSONFeatureSource([feature]), ["cell_id", "coverage"])
    expected = np.zeros(SIDE * SIDE)
    expected[wanted["properties"]["cell_id"]] = wanted["properties"]["coverage"]
    np.testing.assert_allclose(covered(shape)[0].ravel(), expected, atol=1e-6)


def test_nothing_and_lines_cover_nothing() -> None:
    line = shapely.LineString([(LEFT, -TOP), (LEFT + 5, -TOP - 5)])
    mixed = shapely.GeometryCollection([line, shapely.MultiPolygon([SQUARE])])
    found = covered(line, shapely.Point(LEFT, -TOP), shapely.Polygon(), mixed)
    assert not found[:3].any() and (found[3] == 1).all()
    assert coverage(np.array([], object), np.zeros((0, 2), int), SIDE).shape == (0, SIDE, SIDE)
