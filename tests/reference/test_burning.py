"""Burning strip by strip against rasterio.features.rasterize on the whole grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.features import rasterize

from lcmap.raster.grid import Grid
from lcmap.reference.burning import PixelFrame, iter_strips, repair, taken_apart, widen_lines

WIDTH, HEIGHT = 45, 40


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Grid, list[tuple[Any, int]]]:
    """Draw a grid and shapes on the decimetre lattice of surveys: edges through pixel centres."""
    gsd = draw(st.sampled_from([0.2, 0.5, 0.8, 1.0, 1.5, 3.6]))
    west = 663_041.7 + draw(st.integers(0, 40)) / 10
    north = 6_360_318.6 + draw(st.integers(0, 40)) / 10
    transform = Affine(gsd, 0, west, 0, -gsd, north)
    if draw(st.booleans()):
        transform = draw(
            st.sampled_from(
                [
                    transform @ Affine.rotation(13),
                    Affine(gsd, 0, west, 0, gsd, north - HEIGHT * gsd),
                ]
            )
        )
    shapes = []
    for code in range(1, 1 + draw(st.integers(1, 12))):
        x = round(west + draw(st.integers(-20, int(WIDTH * gsd * 10))) / 10, 1)
        y = round(north - draw(st.integers(-20, int(HEIGHT * gsd * 10))) / 10, 1)
        s = draw(st.integers(1, 200)) / 10
        diamond = [(x, y), (x + s, y - s), (x, y - 2 * s), (x - s, y - s)]
        diamond = [(round(a, 1), round(b, 1)) for a, b in diamond]
        kinds = {
            "box": shapely.box(x, round(y - s, 1), round(x + s, 1), y),
            "diamond": shapely.Polygon(diamond),
            "multi": shapely.MultiPolygon(
                [shapely.box(x, y, x + s, y + s), shapely.box(x - 3 * s, y, x - 2 * s, y + s)]
            ),
            "line": shapely.LineString(diamond[:3]),
            "point": shapely.Point(x, y),
        }
        shapes.append((kinds[draw(st.sampled_from(sorted(kinds)))], code))
    return Grid(None, transform, WIDTH, HEIGHT), shapes


def burn_in_strips(
    grid: Grid, shapes: list[tuple[Any, int]], rows: int, *, all_touched: bool = False
) -> NDArray[np.uint8]:
    frame = PixelFrame.of(grid)
    pixels = [(frame.to_pixels(np.array([shape], object)), code) for shape, code in shapes]
    return np.concatenate(
        [frame.burn(pixels, s, all_touched=all_touched) for s in iter_strips(grid, rows)]
    )


@settings(deadline=None, max_examples=80)
@given(scenes(), st.integers(1, HEIGHT + 5))
def test_strips_of_any_height_equal_the_whole_grid(
    scene: tuple[Grid, list[tuple[Any, int]]], rows: int
) -> None:
    grid, shapes = scene
    whole = rasterize(shapes, out_shape=grid.shape, transform=grid.transform, dtype="uint8")
    assert np.array_equal(burn_in_strips(grid, shapes, rows), whole)


@settings(deadline=None, max_examples=25)
@given(scenes())
def test_all_touched_equals_the_whole_grid_in_one_strip(
    scene: tuple[Grid, list[tuple[Any, int]]],
) -> None:
    grid, shapes = scene
    whole = rasterize(
        shapes, out_shape=grid.shape, transform=grid.transform, dtype="uint8", all_touched=True
    )
    assert np.array_equal(burn_in_strips(grid, shapes, HEIGHT, all_touched=True), whole)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, HEIGHT))
def test_all_touched_in_strips_where_no_edge_meets_a_corner(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    grid = Grid(None, Affine(1.5, 0, 660_000, 0, -1.5, 6_360_000), WIDTH, HEIGHT)
    points = rng.uniform([660_000, 6_359_940], [660_067, 6_360_000], (6, 3, 2))
    shapes = [(shapely.Polygon(p), i + 1) for i, p in enumerate(points)]
    whole = rasterize(
        shapes, out_shape=grid.shape, transform=grid.transform, dtype="uint8", all_touched=True
    )
    assert np.array_equal(burn_in_strips(grid, shapes, rows, all_touched=True), whole)


@pytest.mark.parametrize("at_once", [1, 7, 64])
def test_groups_of_any_size_equal_one(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    grid = Grid(None, Affine(1, 0, 0, 0, -1, HEIGHT), WIDTH, HEIGHT)
    places = np.random.default_rng(0).uniform(0, 40, (60, 2))
    shapes = [
        (np.array([shapely.Point(x, y).buffer(6, quad_segs=2) for x, y in some]), code)
        for code, some in enumerate(np.split(places, 6), start=1)
    ]
    wanted = rasterize(
        [(shape, code) for geometries, code in shapes for shape in geometries],
        out_shape=(HEIGHT, WIDTH),
        transform=grid.transform,
    )
    monkeypatch.setattr("lcmap.reference.burning._VERTICES_AT_ONCE", at_once)
    frame = PixelFrame.of(grid)
    (strip,) = iter_strips(grid, HEIGHT)
    pixels = [(frame.to_pixels(geometries), code) for geometries, code in shapes]
    np.testing.assert_array_equal(frame.burn(pixels, strip, all_touched=False), wanted)


def test_invalid_polygons_are_mended_and_valid_ones_kept() -> None:
    bow_tie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    overlapping = shapely.MultiPolygon([shapely.box(0, 0, 2, 2), shapely.box(1, 0, 3, 2)])
    valid, line = shapely.box(0, 0, 1, 1), shapely.LineString([(0, 0), (1, 1)])
    mended = repair(np.array([bow_tie, overlapping, valid, line], object))
    assert shapely.is_valid(mended).all()
    assert mended[0].area == pytest.approx(2.0)
    assert mended[1].area == pytest.approx(6.0)
    assert mended[2] is valid
    assert mended[3] is line


def test_collections_are_taken_apart_where_they_stand() -> None:
    line, box = shapely.LineString([(0, 0), (1, 1)]), shapely.box(0, 0, 1, 1)
    lines, empty = shapely.MultiLineString([line, line]), shapely.GeometryCollection()
    nested = shapely.GeometryCollection([lines, shapely.GeometryCollection([box, empty]), line])
    given = [box, nested, empty, lines, shapely.GeometryCollection([box])]
    parts, owners = taken_apart(np.array(given, object))
    assert parts.tolist() == [box, lines, box, line, lines, box]
    assert owners.tolist() == [0, 1, 1, 1, 3, 4]


def test_lines_get_their_own_width_and_polygons_none() -> None:
    line, box = shapely.LineString([(0, 0), (100, 0)]), shapely.box(0, 0, 1, 1)
    widened = widen_lines(np.array([line, line, box], object), np.array([2.0, 6.0, 50.0]))
    assert widened[0].bounds == pytest.approx((-1, -1, 101, 1))
    assert widened[1].bounds == pytest.approx((-3, -3, 103, 3))
    assert widened[2] is box
