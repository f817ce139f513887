"""The outlines of a block's objects, simplified so that neighbours and other blocks fit.

All objects of a block are simplified together, so that two that are neighbours keep one outline
between them. The border of the block stays as it is, and so fits the blocks around it. Coordinates
are pixels of the map, whose corners are integers: parts of an object fit exactly, and are joined
without rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes

from lcmap.products.objects import Numbers, connected, ends, summed
from lcmap.raster.windows import Window

TOLERANCE = 2.0
"""How far outlines are simplified: the square root of the area, in pixels, of the triangles that
`shapely.coverage_simplify` leaves out. A stair of single pixels becomes a straight line."""

Points = NDArray[np.float64]


def outlines(numbers: Numbers, around: NDArray[np.uint8], window: Window) -> NDArray[Any]:
    """Return the simplified polygon of each object of a window of a map, [N], in pixels of the map.

    `numbers`, int32 [height, width], are those of the objects, from 0 to N - 1. `around`, uint8
    [height + 2, width + 2], are the codes with those of the pixels around the window, which are
    repeated at the end of the map.
    """
    rings: list[Any] = []
    of_rings: list[int] = []
    for polygon, number in shapes(numbers, connectivity=4):
        rings += polygon["coordinates"]
        of_rings += [int(number)] * len(polygon["coordinates"])
    points = np.array([point for ring in rings for point in ring])
    of_points = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    rows, cols = np.nonzero(_nodes(around))
    nodes = np.stack([cols, rows], axis=1)
    for axis in (0, 1):
        points, of_points = _with_nodes(points, of_points, nodes, axis)
    points += (window.col, window.row)
    order = np.argsort(of_rings, kind="stable")
    closed = shapely.linearrings(points, indices=of_points)[order]
    polygons = shapely.polygons(closed, indices=np.array(of_rings)[order])
    simplified: NDArray[Any] = shapely.coverage_simplify(
        polygons, TOLERANCE, simplify_boundary=False
    )
    return simplified


def joined(parts: list[Any]) -> Any:
    """Return the polygon that one or several parts of an object make."""
    return parts[0] if len(parts) == 1 else shapely.coverage_union_all(parts)


def groups(count: int, ones: Numbers, others: Numbers) -> tuple[int, Numbers]:
    """Return how many objects so many parts make, and that of each part, int32 [N].

    `ones` and `others` [E] are parts that belong together.
    """
    edges = summed(count, ones, others, np.ones(len(ones), np.int32))
    return connected(count, *ends(edges)[:2])


def _nodes(around: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which corners of pixels are to be vertices, bool [height + 1, width + 1].

    Inside, these are the corners where three borders meet: one object goes straight on, and its
    outline has no vertex where those of the others have. On the border of the block they are those
    where codes change along it, on either side.
    """
    beside = around[:, 1:] != around[:, :-1]
    above = around[1:] != around[:-1]
    borders = [
        part.view(np.uint8) for part in (beside[:-1], beside[1:], above[:, :-1], above[:, 1:])
    ]
    nodes: NDArray[np.bool_] = sum(borders) == np.uint8(3)
    for side in (0, -1):
        nodes[side] |= beside[side] | beside[1 if side == 0 else -2]
        nodes[:, side] |= above[:, side] | above[:, 1 if side == 0 else -2]
    return nodes


def _with_nodes(
    points: Points, of_points: NDArray[np.int64], nodes: NDArray[np.int64], axis: int
) -> tuple[Points, NDArray[np.int64]]:
    """Return the points of rings, [P, 2], and the ring of each, with nodes that sides pass.

    Only sides along an axis (0: x) are looked at. `nodes` [M, 2] are pairs of integers.
    """
    # a number for each place, so that those of one line follow each other
    line = np.array([1, 1 << 32])[:: 1 if axis == 0 else -1]
    places = np.sort(nodes @ line)
    here = points.astype(np.int64) @ line
    along = (points[:-1, 1 - axis] == points[1:, 1 - axis]) & (of_points[:-1] == of_points[1:])
    low = np.searchsorted(places, np.minimum(here[:-1], here[1:]), "right")
    high = np.searchsorted(places, np.maximum(here[:-1], here[1:]), "left")
    counts = np.append(np.where(along, np.maximum(high - low, 0), 0), 0)
    taken = np.repeat(np.arange(len(points)), counts + 1)
    step = np.arange(len(taken)) - np.repeat(np.cumsum(counts + 1) - counts, counts + 1)
    new = np.flatnonzero(step >= 0)
    side = taken[new]
    ahead = here[side] < here[side + 1]
    result = points[taken]
    passed = places[np.where(ahead, low[side] + step[new], high[side] - 1 - step[new])]
    result[new, axis] = passed % (1 << 32)
    return result, of_points[taken]
