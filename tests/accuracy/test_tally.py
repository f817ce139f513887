from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lcmap.accuracy.confusion import margins
from lcmap.accuracy.tally import Tally, cut
from lcmap.raster.windows import Window, iter_blocks

K = 3


@given(st.builds(Window, *[st.integers(0, 40)] * 2, *[st.integers(1, 40)] * 2), st.integers(1, 50))
def test_a_cut_window_has_each_pixel_once_and_in_its_block(window: Window, block: int) -> None:
    times = np.zeros((window.height, window.width), int)
    for (block_row, block_col), part in cut(window, block):
        times[part.slices] += 1
        rows = np.arange(part.row, part.stop_row) + window.row
        cols = np.arange(part.col, part.stop_col) + window.col
        assert (rows // block == block_row).all()
        assert (cols // block == block_col).all()
    assert (times == 1).all()


@given(st.data(), st.integers(1, 7), st.integers(1, 7), st.booleans())
def test_matrices_and_blocks_do_not_depend_on_how_the_image_is_read(
    data: st.DataObject, step: int, block: int, ignore: bool
) -> None:
    shape = (9, 11)
    states = hnp.arrays(np.uint8, shape, elements=st.integers(0, K))
    reference, one, two = (data.draw(states) for _ in range(3))
    covered = [data.draw(hnp.arrays(bool, shape)) for _ in range(2)]
    tally = Tally(K, 2, ignore_unclassified=ignore, by_block=True)
    for window in iter_blocks(*shape, step):
        at = window.slices
        tally.add(
            reference[at], [one[at], two[at]], [c[at] for c in covered], list(cut(window, block))
        )
    expected = np.zeros((2, K, K + 1), int)
    by_block: dict[tuple[int, int], np.ndarray] = {}
    outside = left_out = 0
    for row, col in np.ndindex(*shape):
        if reference[row, col] == K:
            continue
        if not (covered[0][row, col] and covered[1][row, col]):
            outside += 1
            continue
        if ignore and K in (one[row, col], two[row, col]):
            left_out += 1
            continue
        key = row // block, col // block
        for m, predicted in enumerate((one, two)):
            cell = reference[row, col], predicted[row, col]
            expected[m][cell] += 1
            by_block.setdefault(key, np.zeros((2, K, K + 1), int))[m][cell] += 1
    assert tally.matrices.tolist() == expected.tolist()
    assert (tally.not_covered, tally.left_out) == (outside, left_out)
    assert tally.pixels == expected[0].sum()
    found = sorted(item.tolist() for item in tally.blocks)
    assert found == sorted([margins(m).tolist() for m in pair] for pair in by_block.values())


def test_without_blocks_none_are_kept() -> None:
    tally = Tally(K, 1, ignore_unclassified=False, by_block=False)
    ones = np.ones((2, 2), np.uint8)
    tally.add(ones, [ones], [ones.astype(bool)], [("a", Window(0, 0, 2, 2))])
    assert tally.pixels == 4
    assert tally.blocks.shape == (0, 1, 3, K)


def test_pixels_without_a_confidence_are_counted_apart() -> None:
    tally = Tally(K, 1, ignore_unclassified=False, by_block=False)
    reference, mapped = np.array([[0, 0, 1, K]], np.uint8), np.array([[0, 1, K, 0]], np.uint8)
    percent = np.array([[90, np.nan, np.nan, np.nan]], np.float32)
    covered = np.ones((1, 4), bool)
    tally.add(reference, [mapped], [covered], [((0, 0, 0), Window(0, 0, 1, 4))], {0: percent})
    assert tally.reliability[0].sum(axis=1) == pytest.approx([1, 0.9, 1])
    assert tally.without_confidence == {0: 1}, "where the map has a class"
