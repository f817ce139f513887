"""Counting the area of classes, and of pairs of classes, block by block, in all and by zone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import shapely
from exactextract import exact_extract
from exactextract.feature import JSONFeatureSource
from exactextract.raster import NumPyRasterSource
from numpy.typing import NDArray

from lcmap.products.zones import Zones
from lcmap.raster.windows import Window, iter_blocks

TILE = 256
"""Edge, in pixels, of the parts of a block that are counted whole where a zone covers them."""

Cells = NDArray[np.uint16]
"""Of each pixel its class, or its pair of classes, as a number."""

Areas = Counter[int]
"""The area of each cell that occurs."""


def count_block(cells: Cells, row_areas: NDArray[np.float64]) -> Areas:
    """Return the area of each cell of a block, [height, width].

    `row_areas` [height] is the area of a pixel in each row.
    """
    pixels = np.bincount(cells.ravel())
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
            found.setdefault(int(self._zones.of_polygons[number]), Counter()).update(areas)
        return found


def _count_parts(
    cells: Cells, window: Window, row_areas: NDArray[np.float64], polygon: Any
) -> Areas:
    """Return the areas that a polygon covers of a block."""
    height, width = cells.shape
    tiles = list(iter_blocks(height, width, TILE))
    boxes = np.array([_box(tile.shifted(window.row, window.col)) for tile in tiles])
    shapely.prepare(polygon)
    covered = shapely.covers(polygon, boxes)
    crossed = np.flatnonzero(shapely.intersects(polygon, boxes) & ~covered)
    areas: Areas = Counter()
    for number in np.flatnonzero(covered):
        rows, cols = tiles[number].slices
        areas.update(count_block(cells[rows, cols], row_areas[rows]))
    for number, part in zip(crossed, shapely.intersection(polygon, boxes[crossed]), strict=True):
        rows, cols = tiles[number].slices
        bounds = shapely.bounds(boxes[number])
        areas.update(_count_border(cells[rows, cols], row_areas[rows], part, bounds))
    return areas


def _count_border(
    cells: Cells, row_areas: NDArray[np.float64], part: Any, bounds: NDArray[np.float64]
) -> Areas:
    """Return the areas of a tile, each pixel by the part of it that a polygon covers."""
    polygons = [item for item in shapely.get_parts(part) if shapely.get_dimensions(item) == 2]
    if not polygons:
        return Counter()
    source = NumPyRasterSource(np.ascontiguousarray(cells), *bounds.tolist())
    feature = {
        "type": "Feature",
        "geometry": shapely.geometry.mapping(shapely.MultiPolygon(polygons)),
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
