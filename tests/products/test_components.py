"""Components block by block are those of the whole mask."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from lcmap.products.components import BlockwiseComponents

Mask = NDArray[np.bool_]


def sizes_by_flooding(mask: Mask) -> NDArray[np.int64]:
    """The definition: how many pixels are reached from each, over sides, 0 outside the mask."""
    sizes = np.zeros(mask.shape, np.int64)
    seen = ~mask
    for start in zip(*np.nonzero(mask), strict=True):
        if seen[start]:
            continue
        seen[start] = True
        reached, waiting = [start], [start]
        while waiting:
            row, col = waiting.pop()
            for near in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
                inside = 0 <= near[0] < mask.shape[0] and 0 <= near[1] < mask.shape[1]
                if inside and not seen[near]:
                    seen[near] = True
                    reached.append(near)
                    waiting.append(near)
        sizes[tuple(np.transpose(reached))] = len(reached)
    return sizes


def at_least_by_block(mask: Mask, pixels: int, block: int) -> Mask:
    components = BlockwiseComponents(*mask.shape, block)
    for window in components.windows:
        components.add(window, mask[window.slices])
    components.join()
    kept = np.zeros_like(mask)
    for window in components.windows:
        kept[window.slices] = components.at_least(pixels, window, mask[window.slices])
    return kept


@given(
    shape=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    block=st.integers(1, 26),
    density=st.floats(0, 1),
    pixels=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=150)
def test_it_does_not_depend_on_the_blocks(
    shape: tuple[int, int], block: int, density: float, pixels: int, seed: int
) -> None:
    mask = np.random.default_rng(seed).random(shape) < density
    expected = sizes_by_flooding(mask) >= pixels
    np.testing.assert_array_equal(at_least_by_block(mask, pixels, block), expected)


def spiral(side: int) -> Mask:
    """One component that winds through all blocks: a line of a pixel, a pixel apart."""
    mask = np.zeros((side, side), bool)
    row, col, step = 0, 0, (0, 1)
    top, left, bottom, right = 0, 0, side - 1, side - 1
    while top <= bottom and left <= right:
        mask[row, col] = True
        ahead = row + step[0], col + step[1]
        if not (top <= ahead[0] <= bottom and left <= ahead[1] <= right):
            if step == (0, 1):
                step, top = (1, 0), top + 2
            elif step == (1, 0):
                step, right = (0, -1), right - 2
            elif step == (0, -1):
                step, bottom = (-1, 0), bottom - 2
            else:
                step, left = (0, 1), left + 2
            ahead = row + step[0], col + step[1]
        row, col = ahead
    return mask


@pytest.mark.parametrize("block", [3, 8, 64])
def test_a_spiral_is_one_component(block: int) -> None:
    mask = spiral(40)
    size = int(mask.sum())
    assert sizes_by_flooding(mask).max() == size
    np.testing.assert_array_equal(at_least_by_block(mask, size, block), mask)
    assert not at_least_by_block(mask, size + 1, block).any()


def test_what_is_remembered_grows_with_the_sides_of_blocks() -> None:
    """Components inside a block leave nothing behind."""
    mask = np.zeros((64, 64), bool)
    mask[1:-1:2, 1:-1:2] = True
    mask[::16], mask[15::16], mask[:, ::16], mask[:, 15::16] = False, False, False, False
    components = BlockwiseComponents(64, 64, 16)
    for window in components.windows:
        components.add(window, mask[window.slices])
    components.join()
    assert mask.sum() > 500 and not len(components._joined)
