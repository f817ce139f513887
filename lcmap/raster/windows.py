"""Pixel windows and padding to a grid: pure arithmetic, no files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Window(NamedTuple):
    """A rectangle of whole pixels: first row, first column, height, width."""

    row: int
    col: int
    height: int
    width: int

    @property
    def stop_row(self) -> int:
        """The row after the last."""
        return self.row + self.height

    @property
    def stop_col(self) -> int:
        """The column after the last."""
        return self.col + self.width

    @property
    def pixels(self) -> int:
        """How many pixels it has."""
        return self.height * self.width

    @property
    def ranges(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """((row, stop_row), (col, stop_col)), the form that rasterio takes as `window=`."""
        return (self.row, self.stop_row), (self.col, self.stop_col)

    @property
    def slices(self) -> tuple[slice, slice]:
        """The window as an index into an array [rows, columns]."""
        return slice(self.row, self.stop_row), slice(self.col, self.stop_col)

    def intersection(self, other: Window) -> Window | None:
        """Return the pixels that both windows hold, None where they hold none."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        height = min(self.stop_row, other.stop_row) - row
        width = min(self.stop_col, other.stop_col) - col
        return Window(row, col, height, width) if height > 0 and width > 0 else None

    def expanded(self, pixels: int) -> Window:
        """Return the window with so many pixels more on every side."""
        return Window(
            self.row - pixels, self.col - pixels, self.height + 2 * pixels, self.width + 2 * pixels
        )

    def clipped(self, height: int, width: int) -> Window:
        """Return the part inside an image of this size; empty (0 pixels) where there is none."""
        row, col = min(max(self.row, 0), height), min(max(self.col, 0), width)
        return Window(
            row,
            col,
            max(min(self.stop_row, height) - row, 0),
            max(min(self.stop_col, width) - col, 0),
        )

    def coarsened(self, level: int) -> Window:
        """Return the cells of 2^level × 2^level pixels that the window touches, as a window."""
        cell = 1 << level
        row, col = self.row // cell, self.col // cell
        return Window(row, col, -(-self.stop_row // cell) - row, -(-self.stop_col // cell) - col)

    def aligned(self, multiple: int) -> Window:
        """Return the smallest window around this one whose sides are multiples of a number."""
        row, col = self.row // multiple * multiple, self.col // multiple * multiple
        stop_row, stop_col = round_up(self.stop_row, multiple), round_up(self.stop_col, multiple)
        return Window(row, col, stop_row - row, stop_col - col)

    def shifted(self, rows: int, cols: int) -> Window:
        """Return the window moved by so many rows and columns."""
        return Window(self.row + rows, self.col + cols, self.height, self.width)


def iter_blocks(height: int, width: int, block: int) -> Iterator[Window]:
    """Yield windows of `block` × `block` pixels that cover an image, row by row, the last clipped.

    Raises:
        ValueError: `block` is below 1.
    """
    if block < 1:
        raise ValueError(f"a block has at least one pixel, not {block}")
    for row in range(0, height, block):
        for col in range(0, width, block):
            yield Window(row, col, min(block, height - row), min(block, width - col))


def round_up(length: int, multiple: int) -> int:
    """Return the smallest multiple that is not below a length."""
    return -(-length // multiple) * multiple


def padded_length(length: int, stride: int) -> int:
    """Return the length of the padded image along an axis of the image."""
    return max(round_up(length, stride), 2 * stride)


def at_pixels(
    cells: npt.NDArray[Any], around: Window, level: int, window: Window
) -> npt.NDArray[Any]:
    """Return what each pixel of a window has by its cell of 2^level × 2^level pixels, [h, w].

    cells: [rows, columns], those of the window `around`, which is counted in cells.
    """
    if level == 0:
        return cells[window.shifted(-around.row, -around.col).slices]
    rows = (np.arange(window.row, window.stop_row) >> level) - around.row
    cols = (np.arange(window.col, window.stop_col) >> level) - around.col
    found: npt.NDArray[Any] = cells[rows].take(cols, axis=1)
    return found


def mirror(pixels: npt.NDArray[Any], window: Window) -> npt.NDArray[Any]:
    """Fill a window beyond the image's right and bottom border by mirroring.

    Takes the window's pixels inside the image, [..., rows, columns], and returns all of them,
    [..., window.height, window.width]. The border's own pixels are not repeated.
    """
    *others, rows, cols = pixels.shape
    missing = (0, window.height - rows), (0, window.width - cols)
    if missing == ((0, 0), (0, 0)):
        return pixels
    return np.pad(pixels, (*[(0, 0)] * len(others), *missing), mode="reflect")
