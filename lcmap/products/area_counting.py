"""Counting the area of classes, and of pairs of classes, block by block, in all and by zone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from lcmap.products.coverage import coverage
from lcmap.raster.code_counts import code_counts
from lcmap.raster.windows import Window

if TYPE_CHECKING:
    from lcmap.products.zones import Zones

TILE = 64
"""Edge, in pixels, of the parts of a block that are counted whole where a zone covers them."""

Cells = NDArray[np.uint8] | NDArray[np.uint16]
"""Of each pixel its class, uint8, or its pair of classes as a number, uint16."""

Areas = Counter[int]
"""The area of each cell that occurs."""


def count_block(cells: Cells, row_areas: NDArray[np.float64]) -> Areas:
    """Return the area of each cell of a block, [height, width].

    `row_areas` [height] is the area of a pixel in each row.
    """
    pixels = (
        code_counts(cells.astype(np.uint8, copy=False))
        if cells.dtype == np.uint8
        else np.bincount(cells.ravel())
    )
    present = np.flatnonzero(pixels)
    if (row_areas == row_areas[0]).all():
        areas = pixels[present] * row_areas[0]
    else:
        place = np.zeros(len(pixels), np.int64)
        place[present] = np.arange(len(present))
        by_row = place[cells] + np.arange(len(cells))[:, None] * len(present)
        counts = np.bincount(by_row.ravel(), minlength=len(cells) * len(present))
        areas = row_areas @ counts.reshape(len(cells), len(present))
    return Counter(dict(zip(present.tolist(), areas.tolist(), strict=True)))


class ZoneCounter:
    """Counts the cells of blocks by zone; pixels on a zone's border by the part that it covers."""

    def __init__(self, zones: Zones) -> None:
        """Count in these zones."""
        self._zones = zones
        self._tree = shapely.STRtree(zones.polygons)
        shapely.prepare(zones.polygons)

    def count(
        self, cells: Cells, window: Window, row_areas: NDArray[np.float64]
    ) -> dict[int, Areas]:
        """Return the areas of a block, [height, width], by the number of the zone."""
        found: dict[int, Areas] = {}
        block = _box(window)
        for number in self._tree.query(block, predicate="intersects").tolist():
            polygon = self._zones.polygons[number]
            if shapely.covers(polygon, block):
                areas = count_block(cells, row_areas)
            else:
                areas = _count_parts(cells, window, row_areas, shapely.intersection(polygon, block))
            found[number] = areas
        return found


def _count_parts(
    cells: Cells, window: Window, row_areas: NDArray[np.float64], polygon: Any
) -> Areas:
    """Return the areas that a polygon covers of a block."""
    tops, lefts = (np.arange(0, length, TILE) for length in cells.shape)
    bottoms, rights = (
        np.minimum(starts + TILE, length)
        for starts, length in zip((tops, lefts), cells.shape, strict=True)
    )
    boxes = shapely.box(  # [rows of tiles, columns of tiles]
        window.col + lefts,
        -(window.row + bottoms[:, None]),
        window.col + rights,
        -(window.row + tops[:, None]),
    )
    shapely.prepare(polygon)
    whole = shapely.covers(polygon, boxes)
    areas: Areas = Counter()
    for row, first, stop in _runs(whole):
        rows, cols = slice(tops[row], bottoms[row]), slice(lefts[first], rights[stop - 1])
        areas.update(count_block(cells[rows, cols], row_areas[rows]))
    rows_crossed, cols_crossed = np.nonzero(shapely.intersects(polygon, boxes) & ~whole)
    corners = np.stack([tops[rows_crossed], lefts[cols_crossed]], axis=1)
    parts = shapely.intersection(polygon, boxes[rows_crossed, cols_crossed])
    covered = coverage(parts, corners + np.array([window.row, window.col]), TILE)
    areas.update(_count_border(cells, row_areas, covered, corners))
    return areas


def _runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int, int]]:
    """Yield the runs of flags that are set in rows: the row, the first and the one after the last.

    `flags` is bool [rows, columns].
    """
    steps = np.diff(flags.astype(np.int8), axis=1, prepend=0, append=0)
    rows, firsts = np.nonzero(steps == 1)
    _, stops = np.nonzero(steps == -1)
    yield from zip(rows.tolist(), firsts.tolist(), stops.tolist(), strict=True)


def _count_border(
    cells: Cells,
    row_areas: NDArray[np.float64],
    covered: NDArray[np.float64],
    corners: NDArray[np.int64],
) -> Areas:
    """Return the areas of tiles of a block by cell, each pixel by how much of it is covered.

    `covered` [n, TILE, TILE] are the parts of pixels of tiles from `corners` [n, 2] in the block
    on; of pixels beyond it nothing is covered.
    """
    across = np.arange(TILE)
    rows, cols = (  # [n, TILE]
        np.minimum(start[:, None] + across, length - 1)
        for start, length in zip(corners.T, cells.shape, strict=True)
    )
    areas = covered * row_areas[rows][:, :, None]
    sums = np.bincount(cells[rows[:, :, None], cols[:, None, :]].ravel(), areas.ravel())
    present = np.flatnonzero(sums)
    return Counter(dict(zip(present.tolist(), sums[present].tolist(), strict=True)))


def _box(window: Window) -> Any:
    """Return a window in pixels with y upwards."""
    return shapely.box(window.col, -window.stop_row, window.stop_col, -window.row)
