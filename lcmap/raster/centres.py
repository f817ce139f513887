"""Where the pixel centres of one grid are in another, the same for every window.

No centre depends on the window that it is asked for in: coordinates come from the affine
transforms, or from a lattice that is fixed to the target grid.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.raster.alignment import to_pixels
from lcmap.raster.grid import Grid, same_crs
from lcmap.raster.windows import Window

_LATTICE = 32
"""Target pixels between the points that are projected; between them coordinates are linear."""

_NO_TURN = 1e-6
_NOWHERE = -1e9


class Centres(NamedTuple):
    """Where target pixel centres are in source pixels, counted from the source's corner.

    `cols` and `rows` are float64 that broadcast to [h, w]: [1, w] and [h, 1] where the grids are
    `parallel`, so that a column of the target is in one of the source and rows likewise, else both
    [h, w].
    """

    cols: NDArray[np.float64]
    rows: NDArray[np.float64]
    parallel: bool

    def counted_from(self, part: Window) -> Centres:
        """Return the same points counted from the corner of a part of the source."""
        return Centres(self.cols - part.col, self.rows - part.row, self.parallel)

    def of_rows(self, start: int, stop: int) -> Centres:
        """Return the points of these rows of the target's window."""
        if self.parallel:
            return self._replace(rows=self.rows[start:stop])
        return Centres(self.cols[start:stop], self.rows[start:stop], False)


class Placed(NamedTuple):
    """The part of a source that a window of a target is in, and its pixel centres in that part."""

    part: Window
    centres: Centres


class Alignment:
    """From the pixels of a target grid to those of a source grid.

    Alignments of one `key` are the same.
    """

    def __init__(self, source: Grid, target: Grid) -> None:
        """Align two grids of any coordinate reference systems."""
        self._source = source
        self._target = target
        self.key: Hashable = _key(source), _key(target)
        self._affine = (
            ~source.transform @ target.transform if same_crs(source.crs, target.crs) else None
        )

    def centres(self, window: Window) -> Centres:
        """Return where the pixels of a window of the target are; far outside if nowhere."""
        cols = np.arange(window.col, window.stop_col) + 0.5
        rows = np.arange(window.row, window.stop_row) + 0.5
        if self._affine is None:
            return self._projected(window)
        t = self._affine
        size = max(self._target.shape)
        if max(abs(t.b), abs(t.d)) * size < _NO_TURN:
            return Centres((t.a * cols + t.c)[None], (t.e * rows + t.f)[:, None], True)
        return Centres(
            t.a * cols + (t.b * rows)[:, None] + t.c,
            t.d * cols + (t.e * rows)[:, None] + t.f,
            False,
        )

    def placed(self, window: Window) -> Placed | None:
        """Return where a window of the target is in the source; None where it is outside."""
        centres = self.centres(window)
        part = window_around(centres, *self._source.shape)
        return None if part is None else Placed(part, centres.counted_from(part))

    def _projected(self, window: Window) -> Centres:
        first_row, first_col = window.row // _LATTICE, window.col // _LATTICE
        knot_rows = np.arange(first_row, (window.stop_row - 1) // _LATTICE + 2)
        knot_cols = np.arange(first_col, (window.stop_col - 1) // _LATTICE + 2)
        at_rows, at_cols = np.meshgrid(
            knot_rows * float(_LATTICE), knot_cols * float(_LATTICE), indexing="ij"
        )
        found = to_pixels(self._source, self._target, at_cols.ravel(), at_rows.ravel())
        row, row_share = _knots(window.row, window.height, first_row)
        col, col_share = _knots(window.col, window.width, first_col)
        cols, rows = (
            _between(
                np.where(np.isfinite(axis), axis, _NOWHERE).reshape(at_rows.shape),
                row, row_share, col, col_share,
            )
            for axis in found
        )  # fmt: skip
        return Centres(cols, rows, False)


def _key(grid: Grid) -> Hashable:
    return grid.crs and grid.crs.to_wkt(), grid.transform, grid.shape


def _knots(start: int, length: int, first: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return for each pixel centre the lattice point before it and the share of the next."""
    centres = np.arange(start, start + length) + 0.5
    before = np.floor(centres / _LATTICE).astype(np.intp)
    return before - first, centres / _LATTICE - before


def _between(
    knots: NDArray[np.float64],
    row: NDArray[np.intp],
    row_share: NDArray[np.float64],
    col: NDArray[np.intp],
    col_share: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Interpolate linearly between lattice points [m, n]; return [h, w]."""
    across = knots[:, col] + (knots[:, col + 1] - knots[:, col]) * col_share  # [m, w]
    result = np.empty((len(row), len(col)))
    ends = np.searchsorted(row, np.arange(len(knots)))
    for start, stop, line, following in zip(ends, ends[1:], across, across[1:], strict=False):
        some = result[start:stop]
        np.multiply(following - line, row_share[start:stop, None], out=some)
        some += line
    return result


def window_around(centres: Centres, height: int, width: int) -> Window | None:
    """Return the source's pixels that points are in or between; None where all are outside."""
    cols, rows, _ = centres
    west, east, north, south = cols.min(), cols.max(), rows.min(), rows.max()
    if min(west, north) <= -1 or east >= width + 1 or south >= height + 1:
        inside = (cols > -1) & (cols < width + 1) & (rows > -1) & (rows < height + 1)
        if not inside.any():
            return None
        cols = np.broadcast_to(cols, inside.shape)[inside]
        rows = np.broadcast_to(rows, inside.shape)[inside]
        west, east, north, south = cols.min(), cols.max(), rows.min(), rows.max()
    row, col = math.floor(north) - 1, math.floor(west) - 1
    stop_row, stop_col = math.floor(south) + 2, math.floor(east) + 2
    window = Window(row, col, stop_row - row, stop_col - col).clipped(height, width)
    return window if window.height and window.width else None
