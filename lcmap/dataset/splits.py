"""Which tiles are for training, validation and test: pure functions of counts and windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from lcmap import defaults
from lcmap.raster.windows import Window

QUOTAS = (0.6, 0.2, 0.2)
"""Shares of train, validation and test (paper, section 3.1)."""

TRAIN, VALIDATION, TEST = range(3)
_DRAWS = 64
_FEWEST_BLOCKS = 8
# of a class, to train, validation, test: without it in train it cannot be learnt at all
_COST_OF_LACKING = np.array([4, 1, 2])

_SHORTEST_SIDE = 16
"""Shorter remains of a cut tile are dropped: the default network pools over 16 px."""


def split_at_random(tiles: int, seed: int) -> NDArray[np.intp]:
    """Return each tile's split, drawn tile by tile as in the paper (section 3.1), intp [tiles]."""
    order = np.random.default_rng(seed).permutation(tiles)
    return _split_in_order(np.ones(tiles), order)


def split_by_blocks(
    counts: NDArray[np.int64], rows: int, cols: int, block_tiles: int, seed: int
) -> NDArray[np.intp]:
    """Return each tile's split, intp [tiles], whole blocks of tiles going to one split.

    `counts` [tiles, classes] are labelled pixels, tiles in row-major order on `rows` × `cols`.
    A random order of the blocks is cut where the labelled pixels come nearest to the quotas. Of
    64 such draws the one is taken whose splits lack the fewest classes (a class in one block only
    goes to train, in two to train and test) and, among those, have sizes nearest to the quotas
    and class shares nearest to the image's.
    """
    blocks = block_of_tiles(rows, cols, block_tiles)  # [tiles]
    sums = np.zeros((int(blocks.max()) + 1, counts.shape[1]), np.int64)
    np.add.at(sums, blocks, counts)
    weights = sums.sum(axis=1).astype(np.float64)
    if not weights.any():
        weights = np.bincount(blocks).astype(np.float64)
    random = np.random.default_rng(seed)
    draws = [_split_in_order(weights, random.permutation(len(sums))) for _ in range(_DRAWS)]
    best = min(draws, key=lambda draw: _unlikeness(draw, sums))
    splits: NDArray[np.intp] = best[blocks]
    return splits


def default_block_tiles(rows: int, cols: int) -> int:
    """Return the side of a block in tiles: 8, halved until there are at least 8 blocks, or 1."""
    side = defaults.BLOCK_TILES
    while side > 1 and math.ceil(rows / side) * math.ceil(cols / side) < _FEWEST_BLOCKS:
        side //= 2
    return side


def block_of_tiles(rows: int, cols: int, block_tiles: int) -> NDArray[np.intp]:
    """Return the number of the block that each tile is in, intp [rows · cols]."""
    row, col = np.divmod(np.arange(rows * cols), cols)
    across = math.ceil(cols / block_tiles)
    blocks: NDArray[np.intp] = (row // block_tiles) * across + col // block_tiles
    return blocks


def _split_in_order(weights: NDArray[np.float64], order: NDArray[np.intp]) -> NDArray[np.intp]:
    """Cut a sequence of items where the sums of their weights come nearest to the quotas.

    Each split is within one item of its quota, and none is empty where there are three items.
    """
    reached = np.concatenate([[0.0], np.cumsum(weights[order])])
    n = len(order)
    first, second = (
        int(np.abs(reached - quota * reached[-1]).argmin()) for quota in np.cumsum(QUOTAS)[:2]
    )
    if n >= 3:
        first = min(max(first, 1), n - 2)
        second = min(max(second, first + 1), n - 1)
    splits = np.full(n, TEST, np.intp)
    splits[order[:second]] = VALIDATION
    splits[order[:first]] = TRAIN
    return splits


def _unlikeness(splits: NDArray[np.intp], sums: NDArray[np.int64]) -> tuple[int, float]:
    """Return how badly the splits lack classes, and how far they are from quotas and shares.

    `sums` [items, classes]. The distance adds up the absolute differences of each split's size
    from its quota and of its class shares from the whole's.
    """
    by_split = np.stack([sums[splits == split].sum(axis=0) for split in range(len(QUOTAS))])
    whole = sums.sum(axis=0)
    lacking = int((_COST_OF_LACKING[:, None] * ((by_split == 0) & (whole > 0))).sum())
    sizes = by_split.sum(axis=1)
    shares = by_split / np.maximum(sizes, 1)[:, None]
    distance = np.abs(shares - whole / max(whole.sum(), 1)).sum()
    distance += np.abs(sizes / max(whole.sum(), 1) - QUOTAS).sum()
    return lacking, round(float(distance), 12)


def keep_apart(
    windows: Sequence[Window], splits: NDArray[np.intp], gap: int
) -> list[Window | None]:
    """Return the windows, cut back to leave `gap` pixels between those of different splits.

    Train gives way to validation and test, validation to test, which stays whole. Of a window
    that must give way the largest rectangle is kept; None where less than 16 px across (or
    than it had) remains of it.
    """
    kept: list[Window | None] = list(windows)
    for giving in (VALIDATION, TRAIN):
        near = _Neighbours([w for w, s in zip(kept, splits, strict=True) if w and s > giving], gap)
        for i, split in enumerate(splits):
            window = windows[i]
            if split == giving:
                kept[i] = _largest_outside(window, near.forbidden(window))
    return kept


class _Neighbours:
    """Windows grown by a gap, found by place."""

    def __init__(self, windows: Sequence[Window], gap: int) -> None:
        self._grown = np.array(
            [(*w.expanded(gap),) for w in windows] or np.empty((0, 4)), np.int64
        )  # [n, 4]: row, col, height, width

    def forbidden(self, window: Window) -> list[Window]:
        """Return the parts of the window nearer to a neighbour than the gap."""
        row, col, height, width = self._grown.T
        meets = (row < window.stop_row) & (row + height > window.row)
        meets &= (col < window.stop_col) & (col + width > window.col)
        grown = (Window(*map(int, values)) for values in self._grown[meets])
        return [part for w in grown if (part := window.intersection(w))]


def _largest_outside(window: Window, forbidden: Sequence[Window]) -> Window | None:
    """Return the largest rectangle in `window` that meets no forbidden one, None if too small."""
    if not forbidden:
        return window
    # a largest rectangle is bounded on each side by the window or by a forbidden rectangle
    starts_row = sorted({window.row, *(f.stop_row for f in forbidden)})
    stops_row = sorted({window.stop_row, *(f.row for f in forbidden)})
    starts_col = sorted({window.col, *(f.stop_col for f in forbidden)})
    stops_col = sorted({window.stop_col, *(f.col for f in forbidden)})
    least_height, least_width = (min(side, _SHORTEST_SIDE) for side in window[2:])
    best, best_area = None, 0
    for row, stop_row, col, stop_col in product(starts_row, stops_row, starts_col, stops_col):
        candidate = Window(row, col, stop_row - row, stop_col - col)
        if candidate.height < least_height or candidate.width < least_width:
            continue
        if candidate.height * candidate.width <= best_area:
            continue
        if not any(candidate.intersection(f) for f in forbidden):
            best, best_area = candidate, candidate.height * candidate.width
    return best
