"""Drawing pixels at random: which of a stratum's, and where these are, block by block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.raster.windows import Window


class Pixels(NamedTuple):
    """Pixels of a raster: their rows and columns, and the codes of their strata, [n] each."""

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    codes: NDArray[np.uint8]

    def taken(self, order: NDArray[np.int64]) -> Pixels:
        """Return those at these places, in their order."""
        return Pixels(self.rows[order], self.cols[order], self.codes[order])


def joined(parts: Sequence[Pixels]) -> Pixels:
    """Return pixels of several blocks as one."""
    empty = Pixels(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint8))
    return Pixels(*(np.concatenate(arrays) for arrays in zip(empty, *parts, strict=True)))


class RankedDraw:
    """Pixels of strata drawn without replacement, each of a stratum as likely as another.

    A pixel's rank is its place among those of its stratum, counted through the blocks in order and
    through each row by row: so the raster need not be in memory.
    """

    def __init__(
        self,
        counts: NDArray[np.int64],
        wanted: dict[int, int],
        generator: np.random.Generator,
    ) -> None:
        """Draw so many pixels of each code; `counts` [blocks, 256] is how many each block has."""
        self._before = np.zeros_like(counts)
        np.cumsum(counts[:-1], axis=0, out=self._before[1:])
        self._counts = counts
        totals = counts.sum(axis=0)
        self._ranks = {
            code: np.sort(generator.choice(int(totals[code]), number, replace=False, shuffle=False))
            for code, number in sorted(wanted.items())
        }

    def any_in(self, block: int) -> bool:
        """Tell whether a pixel of the block with this number was drawn."""
        return any(found.size for found in self._in_block(block).values())

    def _in_block(self, block: int) -> dict[int, NDArray[np.int64]]:
        """Return the ranks within a block that were drawn, by code."""
        found = {}
        for code, ranks in self._ranks.items():
            first = self._before[block, code]
            start, stop = np.searchsorted(ranks, (first, first + self._counts[block, code]))
            found[code] = ranks[start:stop] - first
        return found

    def in_block(self, block: int, window: Window, codes: NDArray[np.uint8]) -> Pixels:
        """Return the pixels drawn of a block, whose codes, uint8 [height, width], are given."""
        parts = []
        for code, ranks in self._in_block(block).items():
            if ranks.size:
                places = np.flatnonzero(codes == code)[ranks]
                rows, cols = np.divmod(places, window.width)
                parts.append(
                    Pixels(
                        rows + window.row, cols + window.col, np.full(len(places), code, np.uint8)
                    )
                )
        return joined(parts)


class Lattice(NamedTuple):
    """Every `step`-th pixel of every `step`-th row, from a first one that was drawn."""

    step: int
    row: int
    col: int

    @classmethod
    def drawn(cls, pixels: int, size: int, generator: np.random.Generator) -> Lattice:
        """Return a lattice that has about `size` of so many pixels."""
        step = max(1, math.floor(math.sqrt(pixels / size)))
        row, col = generator.integers(step, size=2).tolist()
        return cls(step, row, col)

    @property
    def inclusion_probability(self) -> float:
        """The probability with which a pixel is on it."""
        return 1 / self.step**2

    def any_in(self, block: int) -> bool:
        """Tell whether a block may have pixels of it."""
        return True

    def in_block(self, block: int, window: Window, codes: NDArray[np.uint8]) -> Pixels:
        """Return its pixels in a window that have a code, uint8 [height, width]."""
        rows, cols = (
            _multiples(start, stop, first, self.step)
            for start, stop, first in (
                (window.row, window.stop_row, self.row),
                (window.col, window.stop_col, self.col),
            )
        )
        here = codes[np.ix_(rows - window.row, cols - window.col)]
        at, across = np.nonzero(here)
        return Pixels(rows[at], cols[across], here[at, across])


def _multiples(start: int, stop: int, first: int, step: int) -> NDArray[np.int64]:
    """Return the numbers from start to stop that are `first` and some steps."""
    begin = first + max(0, -(-(start - first) // step)) * step
    return np.arange(begin, stop, step, dtype=np.int64)
