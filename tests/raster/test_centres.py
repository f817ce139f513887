"""Pixel centres against projecting each by itself."""

from __future__ import annotations

import numpy as np
import pytest
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.warp import transform_bounds

from lcmap.raster.alignment import to_pixels
from lcmap.raster.centres import Alignment, Centres, window_around
from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window

LAMBERT, UTM = CRS.from_epsg(2154), CRS.from_epsg(32631)
SOURCE = Grid(LAMBERT, Affine(10, 0, 721_104, 0, -10, 6_249_288), width=60, height=50)
WEST, _, _, NORTH = transform_bounds(LAMBERT, UTM, *SOURCE.bounds)


def test_the_lattice_is_as_good_as_projecting_every_pixel() -> None:
    # 3 km of Lambert 93 seen from UTM, at 1.5 m
    target = Grid(UTM, Affine(1.5, 0, WEST, 0, -1.5, NORTH), 2000, 40)
    rows, cols = np.mgrid[: target.height, : target.width] + 0.5
    exact = to_pixels(SOURCE, target, cols.ravel(), rows.ravel())
    found = Alignment(SOURCE, target).centres(Window(0, 0, 40, 2000))
    for ours, theirs in zip(found[:2], exact, strict=True):
        assert np.abs(ours.ravel() - theirs).max() < 1e-4


@pytest.mark.parametrize("turn", [0.0, 30.0])
def test_in_one_crs_centres_are_where_the_transforms_say(turn: float) -> None:
    transform = SOURCE.transform @ Affine.translation(5, 7) @ Affine.rotation(turn)
    target = Grid(LAMBERT, transform @ Affine.scale(0.3), 40, 30)
    window = Window(4, 9, 11, 20)
    found = Alignment(SOURCE, target).centres(window)
    assert found.parallel == (turn == 0)
    rows, cols = np.mgrid[4:15, 9:29] + 0.5
    exact = to_pixels(SOURCE, target, cols.ravel(), rows.ravel())
    for ours, theirs in zip(found[:2], exact, strict=True):
        np.testing.assert_allclose(np.broadcast_to(ours, rows.shape).ravel(), theirs, atol=1e-9)


def test_the_window_around_points_is_what_they_need_of_the_raster() -> None:
    centres = Centres(np.array([[-7.0, 3.2, 5.9]]), np.array([[0.4], [2.6]]), True)
    found = window_around(centres, 50, 60)
    assert found is not None
    assert found.row == 0 and found.col <= 3 and found.stop_row >= 3 and found.stop_col >= 6
    assert found.stop_row < 6 and found.stop_col < 9
    shifted = centres.counted_from(found)
    assert (shifted.cols + found.col == centres.cols).all()
    assert window_around(Centres(np.array([[-9.0]]), np.array([[3.0]]), True), 50, 60) is None
