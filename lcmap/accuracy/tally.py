"""Counting several maps against one reference, in all and block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lcmap.accuracy.calibration import reliability
from lcmap.accuracy.confusion import cells, count, margins
from lcmap.raster.windows import Window

BlockKey = tuple[int, int, int]
"""The number of a reference, and the row and the column of a block in it."""


class Tally:
    """The confusion matrices of all pixels so far, and the margins of each block of pixels."""

    def __init__(self, classes: int, maps: int, *, ignore_unclassified: bool, by_block: bool):
        """Count for so many classes and maps, over all and if asked by block."""
        self.classes = classes
        self.ignore_unclassified = ignore_unclassified
        self.matrices = np.zeros((maps, classes, classes + 1), np.int64)
        self.not_covered = 0
        self.left_out = 0
        self.reliability: dict[int, NDArray[np.float64]] = {}
        self.without_confidence: dict[int, int] = {}
        self._by_block = by_block
        self._blocks: dict[BlockKey, NDArray[np.int64]] = {}

    @property
    def pixels(self) -> int:
        """The number of pixels scored."""
        return int(self.matrices[0].sum())

    @property
    def block_bytes(self) -> int:
        """The memory that each block with a scored pixel takes."""
        return len(self.matrices) * 3 * self.classes * 8 if self._by_block else 0

    @property
    def blocks(self) -> NDArray[np.int64]:
        """Margins, int64 [blocks, maps, 3, K], of the blocks that hold a scored pixel."""
        if not self._blocks:
            return np.zeros((0, len(self.matrices), 3, self.classes), np.int64)
        return np.stack(list(self._blocks.values()))

    @property
    def by_block(self) -> Mapping[BlockKey, NDArray[np.int64]]:
        """Margins, int64 [maps, 3, K], of each block that holds a scored pixel, by its key."""
        return self._blocks

    def add(
        self,
        reference: NDArray[np.uint8],
        predicted: Sequence[NDArray[np.uint8]],
        covered: Sequence[NDArray[np.bool_]],
        pieces: Sequence[tuple[BlockKey, Window]],
        confidence: Mapping[int, NDArray[np.float32]] | None = None,
    ) -> None:
        """Count states, all [height, width]: one reference, and each map with where it covers.

        The pieces, a block's key and its window each, partition the arrays. The `confidence` of
        maps, by their number, is in percent, NaN where there is none; it is counted where the map
        has a class.
        """
        scored = reference < self.classes
        outside = scored & ~np.logical_and.reduce(covered)
        if outside.any():
            self.not_covered += int(outside.sum())
            scored &= ~outside
        if self.ignore_unclassified:
            unclassified = scored & np.logical_or.reduce([p == self.classes for p in predicted])
            self.left_out += int(unclassified.sum())
            scored &= ~unclassified
        reference = np.where(scored, reference, np.uint8(self.classes))
        for number, percent in (confidence or {}).items():
            classified = scored & (predicted[number] < self.classes)
            known = classified & ~np.isnan(percent)
            without = int(np.count_nonzero(classified)) - int(np.count_nonzero(known))
            self.without_confidence[number] = self.without_confidence.get(number, 0) + without
            agreed = predicted[number][known] == reference[known]
            found = reliability(percent[known] / 100, agreed)
            self.reliability[number] = self.reliability.get(number, 0.0) + found
        numbers = [cells(reference, states, self.classes) for states in predicted]
        for key, window in pieces:
            if scored[window.slices].any():
                self._add_piece(key, [item[window.slices] for item in numbers])

    def _add_piece(self, key: BlockKey, numbers: Sequence[NDArray[np.uint16]]) -> None:
        known = slice(self.classes)
        matrices = np.stack(
            [count(item, self.classes)[known, : self.classes + 1] for item in numbers]
        )
        self.matrices += matrices
        if self._by_block:
            found = np.stack([margins(matrix) for matrix in matrices])
            self._blocks[key] = self._blocks[key] + found if key in self._blocks else found


def cut(
    window: Window, block: int, origin: tuple[int, int] = (0, 0)
) -> Iterator[tuple[tuple[int, int], Window]]:
    """Yield the parts of a window in each block of `block` pixels: the block, the local window.

    A block begins at the row and column `origin`.
    """
    window = window.shifted(-origin[0], -origin[1])
    for block_row in range(window.row // block, -(-window.stop_row // block)):
        for block_col in range(window.col // block, -(-window.stop_col // block)):
            part = window.intersection(Window(block_row * block, block_col * block, block, block))
            if part:
                yield (block_row, block_col), part.shifted(-window.row, -window.col)
