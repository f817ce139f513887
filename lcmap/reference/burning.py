"""Geometry onto pixels: widths, buffers and rings, and burning that no block edge disturbs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize

from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window

_POLYGONAL = (3, 6)  # GEOS type ids of Polygon and MultiPolygon
_LINEAR = (1, 2, 5)  # LineString, LinearRing, MultiLineString
_COLLECTION = 7  # GeometryCollection
_QUARTER_CIRCLE_SEGMENTS = 8
_LARGE = 10_000
"""Vertices; what has more is grown in pieces."""

_PIECE = 1000
_VERTICES_AT_ONCE = 1 << 18

Geometries = NDArray[Any]
Shapes = Sequence[tuple[Geometries, int]]


def iter_strips(grid: Grid, rows: int) -> Iterator[Window]:
    """Yield windows of so many rows over the whole width of a grid, the last one clipped."""
    for row in range(0, grid.height, rows):
        yield Window(row, 0, min(rows, grid.height - row), grid.width)


def taken_apart(geometries: Geometries) -> tuple[Geometries, NDArray[np.intp]]:
    """Return geometries [N] with collections' parts in their place [M], and whose each is, int [M].

    Parts may be multi-geometries; collections in collections are taken apart too.
    """
    owners = np.arange(len(geometries))
    while (mixed := shapely.get_type_id(geometries) == _COLLECTION).any():
        counts = np.where(mixed, shapely.get_num_geometries(geometries), 1)
        parts = shapely.get_parts(geometries[mixed])
        geometries, owners = np.repeat(geometries, counts), np.repeat(owners, counts)
        geometries[np.repeat(mixed, counts)] = parts
    return geometries, owners


def repair(geometries: Geometries) -> Geometries:
    """Return geometries [N] with invalid polygons mended: what any of their rings encloses."""
    broken = np.isin(shapely.get_type_id(geometries), _POLYGONAL)
    broken &= ~shapely.is_valid(geometries)
    if not broken.any():
        return geometries
    mended = geometries.copy()
    mended[broken] = shapely.make_valid(
        geometries[broken], method="structure", keep_collapsed=False
    )
    return mended


def widen_lines(geometries: Geometries, widths: NDArray[np.float64]) -> Geometries:
    """Return geometries [N] with each line grown to its width [N], in units of the coordinates."""
    lines = np.isin(shapely.get_type_id(geometries), _LINEAR)
    if not lines.any():
        return geometries
    widened = geometries.copy()
    widened[lines] = grow(geometries[lines], widths[lines] / 2)
    return widened


def grow(geometries: Geometries, distance: float | NDArray[np.float64]) -> Geometries:
    """Return geometries [N] with all ground nearer than a distance, corners and ends round."""
    grown = np.empty(len(geometries), dtype=object)
    large = shapely.get_num_coordinates(geometries) > _LARGE
    distances = np.broadcast_to(distance, len(geometries))
    grown[~large] = _buffer(geometries[~large], distances[~large])
    for i in np.flatnonzero(large):
        grown[i] = _grow_in_pieces(geometries[i], distances[i])
    return grown


def _buffer(geometries: Geometries, distance: Any) -> Geometries:
    return np.asarray(
        shapely.buffer(geometries, distance, quad_segs=_QUARTER_CIRCLE_SEGMENTS), dtype=object
    )


def _grow_in_pieces(geometry: Any, distance: float) -> Any:
    """Return a geometry grown, as polygons that overlap: time and memory grow with its length.

    What is near a line is near one of its pieces, what is near a polygon near a piece of its rings.
    """
    parts = shapely.get_parts(shapely.get_parts(np.array([geometry], dtype=object)))
    polygonal = shapely.get_type_id(parts) == _POLYGONAL[0]
    rings = shapely.get_rings(parts[polygonal])
    pieces = [
        shapely.linestrings(points[start : start + _PIECE + 1])
        for line in (*parts[~polygonal], *rings)
        for points in (shapely.get_coordinates(line),)
        for start in range(0, max(len(points) - 1, 1), _PIECE)
    ]
    around = shapely.get_parts(_buffer(np.array(pieces, dtype=object), distance))
    return shapely.multipolygons(np.concatenate([parts[polygonal], around]))


@dataclass(frozen=True)
class PixelFrame:
    """Pixel coordinates of a grid, with the very rounding that GDAL's rasterization has.

    GDAL takes a vertex to pixel coordinates of the whole raster and then subtracts the first row
    of the part that it works on. Burning a strip with a transform of its own instead moves
    vertices by some 1e-10 pixels, and an edge through pixel centres, as surveyed coordinates in
    decimetres often give, goes to the other side. So vertices are taken to pixels of the whole
    grid here, in GDAL's order of operations, and shifted by whole rows.
    """

    coefficients: tuple[float, float, float, float, float, float]
    orientation: int

    @classmethod
    def of(cls, grid: Grid) -> PixelFrame:
        """Return the frame of a grid."""
        a, b, c, d, e, f = grid.transform[:6]
        determinant = a * e - b * d
        if b == 0 and d == 0:
            inverse = (-c / a, 1 / a, 0.0, -f / e, 0.0, 1 / e)
        else:
            k = 1 / determinant
            inverse = ((b * f - c * e) * k, e * k, -b * k, (c * d - a * f) * k, -d * k, a * k)
        # GDAL walks a ring by its sense on the ground, so that must not be mirrored
        return cls(inverse, 1 if determinant > 0 else -1)

    def to_pixels(self, geometries: Geometries) -> Geometries:
        """Return geometries [N] in (column, row) coordinates of the whole grid."""
        c, a, b, f, d, e = self.coefficients

        def inverse(points: NDArray[np.float64]) -> NDArray[np.float64]:  # [V, 2]
            x, y = points[:, 0], points[:, 1]
            return np.column_stack([c + x * a + y * b, f + x * d + y * e])

        return np.asarray(shapely.transform(geometries, inverse), dtype=object)

    def burn(self, shapes: Shapes, strip: Window, *, all_touched: bool) -> NDArray[np.uint16]:
        """Burn shapes in pixel coordinates, later ones over earlier; uint16 [height, width].

        Equal to the same rows of the whole grid burnt at once, but for one thing: with
        `all_touched` a pixel that an edge meets in its corner alone, to the last bit, may be burnt
        or not, because GDAL adds up rounding errors from where an edge enters the raster. `strip`
        has the grid's whole width.
        """
        out = np.zeros((strip.height, strip.width), np.uint16)
        signs = np.array([1, self.orientation])
        offset = np.array([0, strip.row])
        transform = Affine(1, 0, 0, 0, self.orientation, 0)
        for geometries, code in shapes:
            for some in _in_groups(geometries):
                moved = shapely.transform(some, lambda points: (points - offset) * signs)
                rasterize(
                    ((mapping, code) for mapping in _mappings(moved)),
                    out=out,
                    transform=transform,
                    all_touched=all_touched,
                )
        return out


def _in_groups(geometries: Geometries) -> Iterator[Geometries]:
    """Yield the simple parts of geometries [N] in groups: mappings take ten times their memory."""
    parts = shapely.get_parts(shapely.get_parts(geometries))
    groups = np.cumsum(shapely.get_num_coordinates(parts)) // _VERTICES_AT_ONCE
    yield from np.split(parts, np.flatnonzero(np.diff(groups)) + 1) if len(parts) else ()


def _mappings(parts: Geometries) -> Iterator[Any]:
    """Yield simple parts [N] as GeoJSON mappings, which rasterio takes.

    Polygons are taken apart all at once: shapely's own mapping of each takes most of the time.
    """
    polygonal = shapely.get_type_id(parts) == _POLYGONAL[0]
    if polygonal.any():
        _, points, (ring_starts, starts) = shapely.to_ragged_array(parts[polygonal])
        vertices, rings, polygons = points.tolist(), ring_starts.tolist(), starts.tolist()
        for first, stop in pairwise(polygons):
            yield {
                "type": "Polygon",
                "coordinates": [
                    vertices[begin:end] for begin, end in pairwise(rings[first : stop + 1])
                ],
            }
    for part in parts[~polygonal]:
        yield part.__geo_interface__
