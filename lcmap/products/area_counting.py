"""Counting the area of classes, and of pairs of classes, block by block, in all and by zone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely
from exactextract import exact_extract
from exactextract.feature import JSONFeatureSource
from exactextract.raster import NumPyRasterSource
from numpy.typing import NDArray

from lcmap.products.zones import Zones
from lcmap.raster.code_counts import code_counts
from lcmap.raster.windows import Window

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
    covered = shapely.covers(polygon, boxes)
    areas: Areas = Counter()
    for top, bottom, tiles in zip(tops, bottoms, covered, strict=True):
        rows = slice(top, bottom)
        for first, last in _runs(tiles):
            areas.update(count_block(cells[rows, lefts[first] : rights[last]], row_areas[rows]))
    crossed = boxes[shapely.intersects(polygon, boxes) & ~covered]
    areas.update(_count_border(cells, window, row_areas, shapely.intersection(polygon, crossed)))
    return areas


def _runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of each run of flags that are set."""
    steps = np.diff(flags.astype(np.int8), prepend=0, append=0)
    yield from zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1, strict=True)


def _count_border(
    cells: Cells, window: Window, row_areas: NDArray[np.float64], parts: NDArray[Any]
) -> Areas:
    """Return the areas of a block by cell, each pixel by how much of it parts of a zone cover."""
    polygons = shapely.get_parts(shapely.get_parts(parts))
    polygons = polygons[shapely.get_dimensions(polygons) == 2]
    if not polygons.size:
        return Counter()
    west, south, east, north = shapely.bounds(_box(window)).tolist()
    source = NumPyRasterSource(cells, west, south, east, north)
    feature = {
        "type": "Feature",
        "geometry": shapely.geometry.mapping(shapely.MultiPolygon(list(polygons))),
        "properties": {},
    }
    (found,) = exact_extract(source, JSONFeatureSource([feature]), ["cell_id", "coverage"])
    pixels = found["properties"]["cell_id"]
    areas = found["properties"]["coverage"] * row_areas[pixels // cells.shape[1]]
    sums = np.bincount(cells.ravel()[pixels], areas)
    present = np.flatnonzero(sums)
    return Counter(dict(zip(present.tolist(), sums[present].tolist(), strict=True)))


def _box(window: Window) -> Any:
    """Return a window in pixels with y upwards."""
    return shapely.box(window.col, -window.stop_row, window.stop_col, -window.row)
