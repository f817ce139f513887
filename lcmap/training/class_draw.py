"""Crops drawn by the class of one of their pixels, so that rare classes are shown more often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.tile_index import IndexedTile
from lcmap.raster.windows import Window


class Focus(NamedTuple):
    """A class by its code, and numbers 0 … 1 that choose a pixel of it and the window around it.

    They are drawn without looking at the labels, which only who cuts the crop reads.
    """

    code: int
    pixel: float
    row: float
    col: float


class ClassDraw:
    """Draws a class, then a tile in proportion to its pixels of that class."""

    def __init__(self, tiles: Sequence[IndexedTile], power: float) -> None:
        """Draw from these tiles, classes by their share to the power of `power`."""
        self._codes = sorted({code for t in tiles for code, n in t.class_counts.items() if n})
        counts = np.array(
            [[tile.class_counts.get(code, 0) for tile in tiles] for code in self._codes], np.float64
        )  # [K, T]
        totals = counts.sum(axis=1)
        weights = (totals / totals.sum()) ** power
        self._classes = np.cumsum(weights / weights.sum())
        self._tiles = np.cumsum(counts / totals[:, None], axis=1)

    def draw(self, random: np.random.Generator) -> tuple[int, Focus]:
        """Return the place of a tile, and what its crop is drawn around."""
        which, where, pixel, row, col = random.random(5).tolist()
        number = _place(self._classes, which)
        return _place(self._tiles[number], where), Focus(self._codes[number], pixel, row, col)


def window_around(
    labels: NDArray[np.uint8], index: int, side: int, focus: Focus, alignment: int = 1
) -> Window:
    """Return a window of `side` pixels, or of the tile's if less, with a pixel of a class.

    labels: the tile's class indices, uint8 [h, w]. Where none of them is `index`, the window is
    anywhere. It begins on multiples of `alignment`, and where none is beside the pixel, before it.
    """
    height, width = labels.shape
    found = np.flatnonzero(labels == index)
    if len(found):
        row, col = divmod(int(found[int(focus.pixel * len(found))]), width)
    else:
        row, col = int(focus.pixel * height), int(focus.pixel * width)
    rows, cols = min(side, height), min(side, width)
    return Window(
        _start(row, rows, height, focus.row, alignment),
        _start(col, cols, width, focus.col, alignment),
        rows, cols,
    )  # fmt: skip


def _start(pixel: int, side: int, length: int, where: float, alignment: int) -> int:
    """Return where `side` of `length` pixels begin, so that they hold `pixel`."""
    last = min(pixel, length - side) // alignment
    first = min(-(-max(pixel - side + 1, 0) // alignment), last)
    return (first + int(where * (last - first + 1))) * alignment


def _place(cumulated: NDArray[np.float64], number: float) -> int:
    """Return the place of a number 0 … 1 among cumulated probabilities."""
    return min(int(np.searchsorted(cumulated, number, side="right")), len(cumulated) - 1)
