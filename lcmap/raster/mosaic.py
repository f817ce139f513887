"""Overlapping rasters as one: where each lies on their common grid. Pure arithmetic, no files.

Rasters are numbered from 1 in the order in which they were given; 0 is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lcmap.errors import GridMismatchError, UsageError
from lcmap.raster.grid import Grid, same_crs
from lcmap.raster.opening import no_crs
from lcmap.raster.windows import Window

MOST_RASTERS = (1 << 16) - 1
"""Their numbers are stored in 16 bits."""


@dataclass(frozen=True)
class Mosaic:
    """The smallest grid that holds several rasters, and the window of each in it."""

    grid: Grid
    windows: tuple[Window, ...]

    def meeting(self, window: Window, order: Iterable[int]) -> Iterator[int]:
        """Yield those numbers of an order whose rasters have pixels of a window."""
        for number in order:
            if self.windows[number - 1].intersection(window) is not None:
                yield number

    @property
    def depth(self) -> int:
        """The most rasters that have a pixel in common."""
        rows, cols, heights, widths = np.array(self.windows).T
        deepest = 0
        for row in np.unique(rows):
            across = (rows <= row) & (row < rows + heights)
            starts, stops = cols[across], (cols + widths)[across]
            here = (starts <= starts[:, None]) & (starts[:, None] < stops)
            deepest = max(deepest, int(here.sum(axis=1).max()))
        return deepest


def mosaic_of(grids: Sequence[Grid], names: Sequence[str]) -> Mosaic:
    """Return how rasters lie on one grid, which is that of the first, extended to all.

    Messages call them by their `names`.

    Raises:
        NoCrsError: one does not say where on earth it is.
        GridMismatchError: one is in another coordinate reference system than the first, has pixels
            of another size, or lies between the pixels of the first.
        UsageError: there are more than can be numbered.
    """
    if len(grids) > MOST_RASTERS:
        raise UsageError(
            f"{len(grids)} images", f"are more than {MOST_RASTERS}", "map them in several runs"
        )
    first, place = grids[0], names[0]
    windows = [_window(grid, name, first, place) for grid, name in zip(grids, names, strict=True)]
    row, col = min(w.row for w in windows), min(w.col for w in windows)
    stop_row, stop_col = max(w.stop_row for w in windows), max(w.stop_col for w in windows)
    whole = Window(row, col, stop_row - row, stop_col - col)
    return Mosaic(first.subgrid(whole), tuple(window.shifted(-row, -col) for window in windows))


def _window(grid: Grid, name: str, first: Grid, place: str) -> Window:
    """Return where a grid lies in pixels of the first, beyond which it may reach."""
    for one, lacking in ((first, place), (grid, name)):
        if one.crs is None:
            raise no_crs(lacking)
    if not same_crs(grid.crs, first.crs):
        raise GridMismatchError(
            name,
            f"is in another coordinate reference system than {place}",
            "bring it there with gdalwarp -t_srs, -tr and -tap, or map it by itself",
        )
    inverse = ~first.transform
    col, row = inverse @ (grid.transform @ (0, 0))
    window = Window(round(row), round(col), grid.height, grid.width)
    if not first.subgrid(window).matches(grid):
        x, y = first.gsd
        raise GridMismatchError(
            name,
            f"does not lie on the pixels of {place}",
            f"bring all onto one with gdalwarp -tr {x:.12g} {y:.12g} -tap",
        )
    return window
