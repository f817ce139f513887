from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcmap.dataset.tile_index import IndexedTile
from lcmap.raster.windows import Window
from lcmap.training.class_draw import ClassDraw, Focus, window_around

numbers = st.floats(0, 1, exclude_max=True)


def tile(**counts: int) -> IndexedTile:
    codes = {int(name[1:]): count for name, count in counts.items()}
    return IndexedTile(Path("i.tif"), None, (), Window(0, 0, 9, 9), "train", 1.0, codes)


TILES = [tile(c2=80, c5=0), tile(c2=10, c5=5), tile(c5=4, c9=1)]


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_classes_and_tiles_are_drawn_as_often_as_the_recipe_says(power: float) -> None:
    draw, random = ClassDraw(TILES, power), np.random.default_rng(0)
    drawn = [draw.draw(random) for _ in range(4000)]
    totals = np.array([90, 9, 1]) ** power
    for code, expected in zip((2, 5, 9), totals / totals.sum(), strict=True):
        of_class = [place for place, focus in drawn if focus.code == code]
        assert len(of_class) / 4000 == pytest.approx(expected, abs=0.03)
        pixels = np.array([item.class_counts.get(code, 0) for item in TILES])
        shares = np.bincount(of_class, minlength=3) / len(of_class)
        np.testing.assert_allclose(shares, pixels / pixels.sum(), atol=0.08)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), numbers, numbers, numbers,
       st.integers(0, 10**6))  # fmt: skip
def test_a_window_lies_in_the_tile_and_holds_the_class(
    height: int, width: int, side: int, pixel: float, row: float, col: float, seed: int
) -> None:
    labels = np.random.default_rng(seed).choice([0, 1, 255], (height, width)).astype(np.uint8)
    window = window_around(labels, 1, side, Focus(5, pixel, row, col))
    assert window.clipped(height, width) == window
    assert (window.height, window.width) == (min(side, height), min(side, width))
    assert 1 in labels[window.slices] or 1 not in labels


def test_each_pixel_of_the_class_can_be_anywhere_in_its_window() -> None:
    labels = np.zeros((9, 9), np.uint8)
    labels[4, 4] = labels[0, 8] = 1
    random = np.random.default_rng(0)
    drawn = [window_around(labels, 1, 3, Focus(5, *random.random(3))) for _ in range(600)]
    middle = {(row, col) for row in (2, 3, 4) for col in (2, 3, 4)}
    assert {window[:2] for window in drawn} == middle | {(0, 6)}
    assert 200 < sum(window[:2] == (0, 6) for window in drawn) < 400


@given(st.integers(1, 30), st.integers(0, 29), st.integers(1, 4), numbers, st.integers(0, 10**6))
def test_an_aligned_window_holds_the_pixel_where_one_can(
    length: int, pixel: int, cells: int, where: float, seed: int
) -> None:
    pixel, side = pixel % length, 4 * cells
    labels = np.full((length, length), 1, np.uint8)
    labels[pixel, pixel] = 0
    window = window_around(labels, 0, side, Focus(2, 0.5, where, where), 4)
    assert window.row % 4 == 0 and window.clipped(length, length) == window
    starts = [start for start in range(0, length, 4)
              if start <= pixel < start + side and start + min(side, length) <= length]  # fmt: skip
    assert not starts or window.row in starts
