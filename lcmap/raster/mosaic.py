"""Overlapping rasters as one: where each lies on their common grid. Pure arithmetic, no files.

Rasters are numbered from 1 in the order in which they were given; 0 is none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lcmap.errors import GridMismatchError, OverlapError, UsageError
from lcmap.raster.grid import Grid, same_crs
from lcmap.raster.usable_crs import no_crs
from lcmap.raster.windows import Window

MOST_RASTERS = (1 << 16) - 1
"""Their numbers are stored in 16 bits."""

_SPARSE = 1 / 4
"""Rasters that lie together cover more of their grid, as a diagonal strip of three does."""
_LEAST_COVERED = 1e-4
"""Rasters that cover less of their grid are misplaced: a chain of islands covers some thousandths,
and what is written and stored of the rest is 10 000 times what there is."""

_BLOCKS = 8
"""Blocks along a side of those that an estimate looks at."""
_CELLS = 128
"""Cells along a side of such a block."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mosaic:
    """The smallest grid that holds several rasters, and the window of each in it."""

    grid: Grid
    windows: tuple[Window, ...]

    def meeting(self, window: Window, order: Iterable[int]) -> Iterator[int]:
        """Yield those numbers of an order whose rasters have pixels of a window."""
        rows, cols, stop_rows, stop_cols = self._bounds
        meets = (rows < window.stop_row) & (window.row < stop_rows)
        meets &= (cols < window.stop_col) & (window.col < stop_cols)
        yield from (number for number in order if meets[number - 1])

    @cached_property
    def _bounds(self) -> NDArray[np.int64]:
        """First rows and columns of the rasters, and those after the last, int64 [4, N]."""
        rows, cols, heights, widths = np.array(self.windows, np.int64).T
        return np.stack([rows, cols, rows + heights, cols + widths])

    def seen_in_block(self, side: int, order: Sequence[int], *, covered: bool) -> float:
        """Return how many rasters have pixels in a block of the grid, in the mean of some blocks.

        Blocks are squares of `side` pixels. A raster counts where it is the first in the order;
        where it may be `covered`, anywhere. That is estimated from the rasters' windows.
        """
        rows, cols = (_some_blocks(length, side) for length in self.grid.shape)
        blocks = (
            Window(row, col, side, side).clipped(*self.grid.shape) for row in rows for col in cols
        )
        return float(np.mean([self._seen(block, order, covered=covered) for block in blocks]))

    def _seen(self, block: Window, order: Sequence[int], *, covered: bool) -> int:
        cell = -(-max(block.height, block.width) // _CELLS)
        taken = np.zeros((-(-block.height // cell), -(-block.width // cell)), bool)
        seen = 0
        for number in self.meeting(block, order):
            part = self.windows[number - 1].intersection(block)
            assert part is not None
            row, col = part.row - block.row, part.col - block.col
            cells = (
                slice(round(row / cell), round((row + part.height) / cell)),
                slice(round(col / cell), round((col + part.width) / cell)),
            )
            seen += covered or not taken[cells].all()
            taken[cells] = True
        return seen

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


def _some_blocks(length: int, side: int) -> list[int]:
    """Return where some of the blocks of an axis start, evenly spread over all."""
    count = -(-length // side)
    some = min(count, _BLOCKS)
    return [side * ((2 * number + 1) * count // (2 * some)) for number in range(some)]


def mosaic_of(grids: Sequence[Grid], names: Sequence[str]) -> Mosaic:
    """Return how rasters lie on one grid, which is that of the first, extended to all.

    Messages call them by their `names`.

    Raises:
        NoCrsError: one does not say where on earth it is.
        GridMismatchError: one is in another coordinate reference system than the first, has pixels
            of another size, or lies between the pixels of the first.
        OverlapError: they lie so far apart that hardly anything of the grid is theirs.
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
    found = Mosaic(first.subgrid(whole), tuple(window.shifted(-row, -col) for window in windows))
    _check_together(found, names)
    return found


def _check_together(mosaic: Mosaic, names: Sequence[str]) -> None:
    """Warn of the raster that makes the grid large, where rasters cover little of it.

    Raises:
        OverlapError: they cover next to nothing of it.
    """
    height, width = mosaic.grid.shape
    rows, cols, heights, widths = np.array(mosaic.windows, dtype=np.float64).T
    size, covered = height * width, float(heights @ widths)
    if covered >= _SPARSE * size:
        return
    # of the grid that each leaves to the others
    tall = -_without_each(-rows - heights) - _without_each(rows)
    wide = -_without_each(-cols - widths) - _without_each(cols)
    left = tall * wide
    far = int(left.argmin())
    if covered < _LEAST_COVERED * size:
        raise OverlapError(
            names[far],
            f"lies so far from the other images that they would be {100 * covered / size:.1g} % of "
            f"a map of {size / 1e6:.3g} megapixels",
            "check its coordinates, and map what lies apart in runs of its own",
        )
    if left[far] < size / 2:
        logger.warning(
            "%s: lies far from the other images: the map is %.3g megapixels, %.3g without it",
            *(names[far], size / 1e6, left[far] / 1e6),
        )


def _without_each(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each of some values the least of the others, [N]."""
    least, second = np.sort(values)[:2]
    others: NDArray[np.float64] = np.where(values == least, second, least)
    return others


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
