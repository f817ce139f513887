"""Ground shared by tiles of different splits, against counting pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.warp import transform_bounds

from lcmap.dataset.tile_index import IndexedTile, Split
from lcmap.dataset.tile_overlap import shared_ground_of_splits
from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window

LAMBERT = CRS.from_epsg(2154)
A, B = Path("a.tif"), Path("b.tif")


def tile(image: Path, window: Window, split: Split) -> IndexedTile:
    return IndexedTile(image, None, (), window, split, 1.0, {})


def grid(x: float, y: float = 6_250_000.0) -> Grid:
    return Grid(LAMBERT, Affine(2, 0, x, 0, -2, y), 100, 100)


@given(st.integers(-90, 90), st.integers(-90, 90), st.integers(0, 2**32 - 1))
def test_overlapping_images_share_what_pixels_say(right: int, down: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    grids = {A: grid(0.0), B: grid(2.0 * right, 6_250_000.0 - 2 * down)}
    windows = [Window(r, c, 25, 25) for r in range(0, 100, 25) for c in range(0, 100, 25)]
    tiles = [
        tile(image, window, "train" if random.random() < 0.5 else "test")
        for image in (A, B)
        for window in windows
    ]
    ground = {
        split: np.zeros((300, 300), bool) for split in ("train", "validation", "test")
    }  # from (-100, -100) of A
    for item in tiles:
        row, col = (100, 100) if item.image == A else (100 + down, 100 + right)
        ground[item.split][item.window.shifted(row, col).slices] = True
    found = shared_ground_of_splits(tiles, grids, "test")
    both = ground["train"] & ground["test"]
    assert found.share == pytest.approx(both.sum() / max(ground["test"].sum(), 1), abs=2e-3)
    assert bool(found.pairs) == (found.share > 0)
    for training, held_out in found.pairs:
        assert (training.split, held_out.split) == ("train", "test")


def test_neighbours_share_nothing_across_systems() -> None:
    utm = CRS.from_epsg(32631)
    west, _, _, north = transform_bounds(LAMBERT, utm, *grid(700_000.0).bounds)
    other = Grid(utm, Affine(2, 0, west, 0, -2, north), 100, 100)
    grids = {A: grid(700_000.0), B: other}
    tiles = [tile(A, Window(0, 0, 100, 100), "train"), tile(B, Window(0, 0, 100, 100), "test")]
    assert shared_ground_of_splits(tiles, grids, "test").share > 0.9
    away = {
        A: grid(700_000.0),
        B: Grid(utm, other.transform @ Affine.translation(200, 0), 100, 100),
    }
    assert shared_ground_of_splits(tiles, away, "test").pairs == ()
    beside = [tile(A, Window(0, 0, 50, 100), "train"), tile(A, Window(50, 0, 50, 100), "test")]
    assert shared_ground_of_splits(beside, grids, "test").share == 0
    assert shared_ground_of_splits(beside, grids, "validation").share == 0
