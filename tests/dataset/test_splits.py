"""Splits: what must hold for every image, by property."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lcmap.dataset.splits import (
    QUOTAS,
    TEST,
    TRAIN,
    VALIDATION,
    block_of_tiles,
    default_block_tiles,
    keep_apart,
    split_at_random,
    split_by_blocks,
)
from lcmap.raster.windows import Window, iter_blocks


@st.composite
def counted_grids(draw: st.DrawFn) -> tuple[NDArray[np.int64], int, int]:
    """Class counts [tiles, classes] of a grid of tiles, many of them zero."""
    rows, cols = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    counts = random.integers(0, 1000, (rows * cols, draw(st.integers(1, 4))))
    counts[random.random(counts.shape) < draw(st.sampled_from([0.0, 0.5, 0.95]))] = 0
    return counts, rows, cols


@settings(deadline=None, max_examples=60)
@given(counted_grids(), st.integers(1, 4), st.integers(0, 99))
def test_blocks_go_whole_to_one_split(
    grid: tuple[NDArray[np.int64], int, int], side: int, seed: int
) -> None:
    counts, rows, cols = grid
    splits = split_by_blocks(counts, rows, cols, side, seed)
    assert splits.shape == (rows * cols,)
    assert set(splits.tolist()) <= {TRAIN, VALIDATION, TEST}
    by_tile = splits.reshape(rows, cols)
    for row in range(0, rows, side):
        for col in range(0, cols, side):
            assert len(np.unique(by_tile[row : row + side, col : col + side])) == 1


@settings(deadline=None, max_examples=60)
@given(counted_grids(), st.integers(1, 4), st.integers(0, 99))
def test_quotas_are_met_within_one_block(
    grid: tuple[NDArray[np.int64], int, int], side: int, seed: int
) -> None:
    counts, rows, cols = grid
    splits = split_by_blocks(counts, rows, cols, side, seed)
    labelled = counts.sum(axis=1) if counts.any() else np.ones(rows * cols)
    blocks = block_of_tiles(rows, cols, side)
    count = blocks.max() + 1
    # of three blocks or more each split has one, whatever its quota
    fewest = min(len(np.unique(blocks[splits == split])) for split in range(len(QUOTAS)))
    assume(count < 3 or fewest > 1)
    largest = max(labelled[blocks == block].sum() for block in range(count))
    for split, quota in enumerate(QUOTAS):
        share = labelled[splits == split].sum()
        assert abs(share - quota * labelled.sum()) <= largest + 1e-6


@settings(deadline=None, max_examples=30)
@given(counted_grids(), st.integers(1, 3), st.integers(0, 99))
def test_seed_decides(grid: tuple[NDArray[np.int64], int, int], side: int, seed: int) -> None:
    first, again = (split_by_blocks(*grid, side, seed) for _ in range(2))
    assert first.tolist() == again.tolist()


def test_other_seeds_split_otherwise() -> None:
    counts = np.ones((64, 1), np.int64)
    outcomes = {tuple(split_by_blocks(counts, 8, 8, 1, seed).tolist()) for seed in range(5)}
    assert len(outcomes) == 5
    assert len({tuple(split_at_random(64, seed).tolist()) for seed in range(5)}) == 5


@given(st.integers(0, 500), st.integers(0, 99))
def test_random_split_meets_its_quotas_within_one_tile(tiles: int, seed: int) -> None:
    splits = split_at_random(tiles, seed)
    for split, quota in enumerate(QUOTAS):
        assert abs((splits == split).sum() - quota * tiles) <= 1.0 + 1e-9
    assert splits.tolist() == split_at_random(tiles, seed).tolist()


@given(st.integers(3, 60), st.integers(0, 20))
def test_no_split_is_empty_from_three_tiles_on(tiles: int, seed: int) -> None:
    assert set(split_at_random(tiles, seed).tolist()) == {TRAIN, VALIDATION, TEST}


def test_rare_class_is_in_every_split_where_it_can_be() -> None:
    """A class in three blocks of sixteen, and few pixels of it: a random split would lose it."""
    counts = np.zeros((16, 2), np.int64)
    counts[:, 0] = 10_000
    counts[[2, 7, 12], 1] = 3
    for seed in range(20):
        splits = split_by_blocks(counts, 4, 4, 1, seed)
        assert sorted(splits[[2, 7, 12]]) == [TRAIN, VALIDATION, TEST]


@pytest.mark.parametrize(("where", "lacking"), [([5], {TEST, VALIDATION}), ([5, 9], {VALIDATION})])
def test_class_too_rare_for_all_splits_is_trained_first_and_tested_next(
    where: list[int], lacking: set[int]
) -> None:
    counts = np.zeros((16, 2), np.int64)
    counts[:, 0] = 10_000
    counts[where, 1] = 3
    for seed in range(10):
        splits = split_by_blocks(counts, 4, 4, 1, seed)
        assert {TRAIN, VALIDATION, TEST} - set(splits[where].tolist()) == lacking


@pytest.mark.parametrize(
    ("rows", "cols", "side"), [(3, 8, 2), (1, 1, 1), (1, 7, 1), (1, 8, 1), (32, 32, 8), (16, 17, 4)]
)
def test_default_blocks_are_large_but_eight_at_least(rows: int, cols: int, side: int) -> None:
    assert default_block_tiles(rows, cols) == side


def test_blocks_at_the_rim_are_smaller() -> None:
    assert block_of_tiles(3, 5, 2).reshape(3, 5).tolist() == [
        [0, 0, 1, 1, 2],
        [0, 0, 1, 1, 2],
        [3, 3, 4, 4, 5],
    ]


def pixels_between(a: Window, b: Window) -> int:
    """Chebyshev distance in whole pixels between two windows, 0 where they touch."""
    rows = max(a.row - b.stop_row, b.row - a.stop_row, 0)
    cols = max(a.col - b.stop_col, b.col - a.stop_col, 0)
    return max(rows, cols)


@settings(deadline=None, max_examples=80)
@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.integers(5, 64),
    st.integers(0, 70),
    st.integers(0, 99),
)
def test_splits_keep_their_distance_and_test_stays_whole(
    height: int, width: int, tile: int, gap: int, seed: int
) -> None:
    windows = list(iter_blocks(height, width, tile))
    splits = np.random.default_rng(seed).integers(0, 3, len(windows))
    kept = keep_apart(windows, splits, gap)
    for whole, part, split in zip(windows, kept, splits, strict=True):
        assert part is None or part.intersection(whole) == part
        if split == TEST:
            assert part == whole
    apart = [(w, s) for w, s in zip(kept, splits, strict=True) if w is not None]
    for i, (a, split) in enumerate(apart):
        for b, other in apart[:i]:
            if split != other:
                assert pixels_between(a, b) >= gap


@settings(deadline=None, max_examples=25)
@given(st.integers(20, 40), st.integers(20, 40), st.integers(1, 24), st.integers(0, 99))
def test_what_is_cut_away_is_as_little_as_can_be(
    height: int, width: int, gap: int, seed: int
) -> None:
    """Against every rectangle in the window, one by one, in sight of one test tile."""
    train = Window(0, 0, height, width)
    row, col = np.random.default_rng(seed).integers(0, 40, 2).tolist()
    test = Window(row if col >= width else height + row % 9, col, 8, 8)
    kept = keep_apart([train, test], np.array([TRAIN, TEST]), gap)[0]
    largest = 0
    for top in range(0, height - 15):
        for bottom in range(top + 16, height + 1):
            # the widest span of columns is bounded by the test tile alone
            spans = [(0, width)]
            if max(test.row - bottom, top - test.stop_row, 0) < gap:
                spans = [(0, min(width, test.col - gap)), (max(0, test.stop_col + gap), width)]
            best = max((stop - start for start, stop in spans), default=0)
            if best >= 16:
                largest = max(largest, (bottom - top) * best)
    assert (kept.height * kept.width if kept else 0) == largest


def test_nothing_is_cut_without_a_gap() -> None:
    windows = list(iter_blocks(100, 100, 25))
    splits = np.arange(16) % 3
    assert keep_apart(windows, splits, 0) == windows


def test_thin_tile_is_cut_along_its_length_alone() -> None:
    kept = keep_apart([Window(0, 0, 5, 90), Window(0, 90, 5, 9)], np.array([TRAIN, TEST]), 30)
    assert kept == [Window(0, 0, 5, 60), Window(0, 90, 5, 9)]


def test_tile_shut_in_on_all_sides_is_dropped() -> None:
    windows = list(iter_blocks(96, 96, 32))
    splits = np.full(9, TEST)
    splits[4] = TRAIN
    assert keep_apart(windows, splits, 16)[4] is None
    assert keep_apart(windows, splits, 8)[4] == Window(40, 40, 16, 16)
