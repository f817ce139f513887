"""Windows against sets of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcmap.raster.windows import Window, at_pixels, iter_blocks

small = st.integers(0, 12)
windows = st.builds(Window, small, small, st.integers(1, 9), st.integers(1, 9))


def pixels(window: Window) -> set[tuple[int, int]]:
    return {
        (row, col)
        for row in range(window.row, window.stop_row)
        for col in range(window.col, window.stop_col)
    }


@given(windows, windows)
def test_intersection_holds_the_common_pixels(a: Window, b: Window) -> None:
    common = a.intersection(b)
    assert (pixels(common) if common else set()) == pixels(a) & pixels(b)


@given(windows, st.integers(1, 9), st.integers(1, 9), st.integers(0, 4))
def test_expanded_then_clipped_stays_inside(w: Window, height: int, width: int, by: int) -> None:
    inside = pixels(Window(0, 0, height, width))
    assert pixels(w.expanded(by).clipped(height, width)) == pixels(w.expanded(by)) & inside


@given(windows, st.integers(-5, 5), st.integers(-5, 5))
def test_shifted_moves_every_pixel(w: Window, rows: int, cols: int) -> None:
    assert pixels(w.shifted(rows, cols)) == {(r + rows, c + cols) for r, c in pixels(w)}


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 50))
def test_blocks_cover_every_pixel_once(height: int, width: int, block: int) -> None:
    covered = np.zeros((height, width), int)
    for window in iter_blocks(height, width, block):
        assert window.height <= block and window.width <= block
        covered[window.slices] += 1
    assert (covered == 1).all()


def test_blocks_of_no_size_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        next(iter_blocks(4, 4, 0))


@given(windows, st.integers(0, 4))
def test_cells_are_those_that_pixels_lie_in(w: Window, level: int) -> None:
    cell = 2**level
    touched = {(row // cell, col // cell) for row in (w.row, w.stop_row - 1)
               for col in (w.col, w.stop_col - 1)}  # fmt: skip
    cells = w.coarsened(level)
    assert touched == {(row, col) for row in (cells.row, cells.stop_row - 1)
                       for col in (cells.col, cells.stop_col - 1)}  # fmt: skip
    around = w.aligned(cell)
    assert around == Window(*(cell * n for n in cells))
    values = np.random.default_rng(level).integers(0, 99, cells[2:])
    found = at_pixels(values, cells, level, w)
    here = w.shifted(-around.row, -around.col).slices
    np.testing.assert_array_equal(found, np.kron(values, np.ones((cell, cell), int))[here])
