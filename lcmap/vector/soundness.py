"""Geometries that cannot be meant: no numbers, no rings, or crossings without end."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

_FURTHEST = 1e10
"""Units of the CRS; the earth is 4e7 m around."""

MOST_VERTICES = 1 << 20
"""Of a feature."""

_MOST_CROSSINGS = 50_000
"""Of a feature's edges with one another: each takes time and memory, in whatever is done to it."""

_MOST_LAYERS = 64
"""How often what is near a feature's edges may cover the ground that it lies on."""

_UNCHECKED = 256
"""So few vertices have fewer crossings."""

_SAMPLE = 64
_FEW = 4
_EDGES_COMPARED = 1 << 22
_SURELY = 100
"""So many times too many that a few edges of the sample tell."""


def read_wkb(wkb: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return geometries [N] of WKB, with open rings closed, and which are no geometries, bool [N].

    Those are None: they do not have the points that they need, or coordinates that are no numbers
    or not on earth.
    """
    geometries = np.asarray(shapely.from_wkb(wkb, on_invalid="fix"), dtype=object)
    given = np.array([value is not None for value in wkb], bool)
    broken = given & shapely.is_missing(geometries)
    points, owners = shapely.get_coordinates(geometries, return_index=True)
    # a comparison with NaN is false
    broken[owners[~(np.abs(points) <= _FURTHEST).all(axis=1)]] = True
    geometries[broken] = None
    return geometries, broken


def excess(geometries: NDArray[Any], reach: float) -> str:
    """Return what a feature of geometries [N] has too much of to be burnt; "" where none has.

    `reach` is how far from it something depends on it.
    """
    counts = shapely.get_num_coordinates(geometries)
    for geometry, count in zip(
        geometries[counts > _UNCHECKED], counts[counts > _UNCHECKED], strict=True
    ):
        if count > MOST_VERTICES:
            return f"{count} vertices, at most {MOST_VERTICES} can be burnt"
        west, south, east, north = shapely.bounds(geometry)
        ground = (east - west + reach) * (north - south + reach)
        if shapely.length(geometry) * reach > _MOST_LAYERS * ground:
            return f"{count} vertices and covers its ground more than {_MOST_LAYERS} times"
        crossings = _crossings(geometry)
        if crossings > _MOST_CROSSINGS:
            return f"{count} vertices and crosses itself some {crossings:.0f} times"
    return ""


def _crossings(geometry: Any) -> float:
    """Return about how often the edges of a geometry cross one another, from a sample of them."""
    points, line = shapely.get_coordinates(_lines(geometry), return_index=True)
    same = line[:-1] == line[1:]
    starts, stops = points[:-1][same], points[1:][same]  # [E, 2]
    few = max(_EDGES_COMPARED // max(len(starts), 1), 2 * _FEW)
    chosen = np.random.default_rng(0).permutation(len(starts))[: min(few, _SAMPLE)]
    found, crossings = 0, 0.0
    for tried, edge in enumerate(chosen, start=1):
        apart = _side(starts[edge], stops[edge], starts) * _side(starts[edge], stops[edge], stops)
        across = _side(starts, stops, starts[edge]) * _side(starts, stops, stops[edge])
        found += int(np.count_nonzero((apart < 0) & (across < 0)))
        crossings = found / tried * len(starts) / 2
        if tried >= _FEW and crossings > _SURELY * _MOST_CROSSINGS:
            break
    return crossings


def _side(
    start: NDArray[np.float64], stop: NDArray[np.float64], point: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return a positive number where a point lies left of an edge, negative where right, [E]."""
    (dx, dy), (px, py) = (stop - start).T, (point - start).T
    side: NDArray[np.float64] = dx * py - dy * px
    return side


def _lines(geometry: Any) -> NDArray[Any]:
    """Return the lines and rings of a geometry, one by one."""
    parts = shapely.get_parts(shapely.get_parts(np.array([geometry], dtype=object)))
    polygonal = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    return np.concatenate([parts[~polygonal], shapely.get_rings(parts[polygonal])])
