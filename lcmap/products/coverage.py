"""Which part of each pixel polygons cover, exactly.

The area under a polygon's edges is summed with its sign: an edge that goes down through a pixel by
dy, whose middle is m of the pixel's width from its left side, adds dy · (1 - m) to this pixel and
dy to all on its right. So the sum from the left of a row up to a pixel is what is covered of it.
Font rasterisers fill outlines like this (R. Levien, "Inside the fastest font renderer in the
world", 2016).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ROUNDING = 1e-9


def coverage(polygons: NDArray[Any], corners: NDArray[np.int64], side: int) -> Floats:
    """Return how much polygons cover of the pixels of squares, float64 [N, side, side], 0 to 1.

    Each of the N `polygons`, or what has polygons among its parts, lies inside its square of `side`
    pixels, whose top left is a row and a column, `corners` [N, 2]. Coordinates are in pixels: x
    is the column, y the row downwards, negative.
    """
    parts, square = shapely.get_parts(polygons, return_index=True)
    areas = shapely.get_dimensions(parts) == 2
    # a collection may hold multipolygons
    parts, inner = shapely.get_parts(parts[areas], return_index=True)
    square = square[areas][inner]
    rings, of_part = shapely.get_rings(shapely.orient_polygons(parts), return_index=True)
    points, of_ring = shapely.get_coordinates(rings, return_index=True)
    places = np.stack([-points[:, 1], points[:, 0]], axis=1)  # row, column
    same = of_ring[1:] == of_ring[:-1]
    where = square[of_part[of_ring[1:][same]]]
    # what was cut to a square may be beside it by a rounding error
    starts, stops = (
        np.clip(ends[same] - corners[where], 0, side) for ends in (places[:-1], places[1:])
    )
    for axis in (0, 1):
        starts, stops, pieces = _cut_at_pixels(starts, stops, axis)
        where = where[pieces]
    down = stops[:, 0] - starts[:, 0]
    middles = (starts + stops) / 2
    rows, cols = np.floor(middles).astype(np.int64).T
    # edges along the bottom go neither up nor down
    rows = np.minimum(rows, side - 1)
    right = middles[:, 1] - cols
    first = (where * side + rows) * (side + 2) + cols
    size = len(polygons) * side * (side + 2)
    sums = np.bincount(first, down * (1 - right), size) + np.bincount(first + 1, down * right, size)
    covered: Floats = np.cumsum(sums.reshape(-1, side, side + 2), axis=2)[:, :, :side]
    # what is left of sums that cancel out covers nothing
    covered[np.abs(covered) < _ROUNDING] = 0
    return covered


def _cut_at_pixels(
    starts: Floats, stops: Floats, axis: int
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Cut segments [n, 2] where they go from pixel to pixel along an axis.

    Returns starts and stops of the pieces, [m, 2], and the segment of each, [m].
    """
    one, other = starts[:, axis], stops[:, axis]
    first = np.floor(np.minimum(one, other)) + 1
    cuts = np.maximum(np.ceil(np.maximum(one, other)) - first, 0).astype(np.int64)
    ends = np.cumsum(cuts + 1)
    segment = np.repeat(np.arange(len(starts)), cuts + 1)
    number = np.arange(len(segment)) - (ends - cuts - 1)[segment]
    count, up = cuts[segment], (other > one)[segment]
    at_stop = first[segment] + np.where(up, number, count - 1 - number)
    length = np.where(cuts > 0, other - one, 1.0)[segment]
    share = (at_stop - one[segment]) / length
    cut = starts[segment] + share[:, None] * (stops - starts)[segment]
    cut[:, axis] = at_stop
    is_last = (number == count)[:, None]
    to = np.where(is_last, stops[segment], cut)
    begins = number == 0
    come = np.empty_like(to)
    come[begins] = starts
    come[~begins] = to[:-1][~begins[1:]]
    return come, to, segment
