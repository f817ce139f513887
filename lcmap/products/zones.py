"""The zones that areas are counted in: polygons of a vector file, in the pixels of a map."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.warp import transform as transform_coordinates
from rasterio.warp import transform_bounds

from lcmap.errors import OverlapError, UsageError
from lcmap.paths import PathLike
from lcmap.raster.datum_shift import check_datum_shift
from lcmap.raster.grid import Grid, same_crs
from lcmap.vector.columns import as_text
from lcmap.vector.layer import VectorLayer
from lcmap.vector.names import find_field
from lcmap.vector.sources import find_layer, read_features

_NAMES = ("nom", "name", "nom_officiel", "libelle", "nom_com", "label")
"""The fields that are taken for the names of zones, the first that is there."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Zones:
    """Zones, each a polygon or several.

    names: the name of each zone, Z in all.
    polygons: [Z], in pixels of the map with y upwards: the pixel of row r and column c is the
        square from (c, -r - 1) to (c + 1, -r).
    """

    names: Sequence[str]
    polygons: NDArray[Any]


def read_zones(given: PathLike, field: str | None, grid: Grid, name: str) -> Zones:
    """Return the zones of a vector file that meet a grid, which messages call by `name`.

    Their names are in a `field`, else in one that is called so, else those that meet the grid are
    numbered from 1 on. Polygons of the same name are one zone.

    Raises:
        InputMissingError, NotAVectorError, DataError, UsageError: as `find_layer`.
        UsageError: the file has no such field.
        NoCrsError: it does not say its CRS.
        DataError: it has other geometries than polygons; or as `check_datum_shift`.
        OverlapError: no zone meets the grid.
    """
    layer = find_layer(given)
    layer.require_crs()
    chosen = find_field(layer.fields, _NAMES if field is None else [field])
    if chosen is None and field is not None:
        raise UsageError(
            f"`zone_name={field}`",
            f"is no field of {layer}",
            f"it has {', '.join(layer.fields) or 'none'}",
        )
    bounds = _bounds(grid, layer, name)
    features = read_features(layer, [chosen] if chosen else [], bounds)
    features.require_polygons(layer)
    if features.broken:
        logger.warning("%s: some zones have no geometry that can be meant: left out", layer)
    polygons = _in_pixels(_near(features.geometries, bounds), layer, grid)
    inside = shapely.intersects(polygons, shapely.box(0, -grid.height, grid.width, 0))
    if not inside.any():
        raise OverlapError(str(layer), f"no zone meets {name}", "give zones of its ground")
    polygons = polygons[inside]
    values = [None] * len(polygons) if chosen is None else features.columns[chosen][inside].tolist()
    parts: dict[str, list[Any]] = {}
    for number, (value, polygon) in enumerate(zip(values, polygons, strict=True), start=1):
        own = str(number) if chosen is None else f"without a name {number}"
        parts.setdefault(as_text(value) or own, []).append(polygon)
    # what several polygons of a zone cover counts once
    whole = [some[0] if len(some) == 1 else shapely.union_all(some) for some in parts.values()]
    return Zones(tuple(parts), np.array(whole, object))


def _bounds(grid: Grid, layer: VectorLayer, name: str) -> tuple[float, float, float, float]:
    """Return the bounds of a grid in the CRS of a layer."""
    if same_crs(grid.crs, layer.crs):
        return grid.bounds
    check_datum_shift(layer.crs, grid.crs, grid.bounds)
    try:
        bounds: tuple[float, float, float, float] = transform_bounds(
            grid.crs, layer.crs, *grid.bounds
        )
    except RasterioError as error:
        raise OverlapError(
            str(layer), f"does not reach {name}", "give zones of its ground"
        ) from error
    return bounds


def _near(geometries: NDArray[Any], bounds: tuple[float, float, float, float]) -> NDArray[Any]:
    """Return geometries without what is far from bounds: it may have no place in a map's system."""
    west, south, east, north = bounds
    width, height = (east - west) / 10, (north - south) / 10
    near = shapely.box(west - width, south - height, east + width, north + height)
    found, beyond = geometries.copy(), ~shapely.covers(near, geometries)
    found[beyond] = shapely.intersection(shapely.make_valid(found[beyond]), near)
    return found


def _in_pixels(geometries: NDArray[Any], layer: VectorLayer, grid: Grid) -> NDArray[Any]:
    """Return polygons in pixels with y upwards; those that cross themselves are mended."""
    back = ~grid.transform
    reprojected = not same_crs(grid.crs, layer.crs)

    def convert(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = points[:, 0], points[:, 1]
        if reprojected:
            x, y = (np.array(values) for values in transform_coordinates(layer.crs, grid.crs, x, y))
        cols = back.a * x + back.b * y + back.c
        rows = back.d * x + back.e * y + back.f
        return np.stack([cols, -rows], axis=1)

    converted = shapely.transform(geometries, convert)
    wrong = ~shapely.is_valid(converted)
    converted[wrong] = shapely.make_valid(converted[wrong])
    return np.asarray(converted)
