"""Where on earth a model was trained."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.warp import transform_bounds

from lcmap.dataset.tile_index import IndexedTile
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster
from lcmap.raster.usable_crs import places

_DIGITS = 6
"""Of degrees: a tenth of a metre."""

Bounds = tuple[float, float, float, float]


def bounds_in_degrees(tiles: Iterable[IndexedTile]) -> Bounds | None:
    """Return west, south, east and north of all tiles in degrees of WGS 84.

    None where a coordinate reference system has no place on earth, or tiles cross the 180th
    meridian.
    """
    grids: dict[Path, Grid] = {}
    found: list[Bounds] = []
    for tile in tiles:
        if tile.image not in grids:
            with open_raster(tile.image) as dataset:
                grids[tile.image] = Grid.of(dataset)
        grid = grids[tile.image].subgrid(tile.window)
        if grid.crs is None or not places(grid.crs):
            return None
        try:
            west, south, east, north = transform_bounds(grid.crs, "EPSG:4326", *grid.bounds)
        except (RasterioError, CPLE_BaseError):
            return None
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            return None
        found.append((west, south, east, north))
    if not found:
        return None
    wests, souths, easts, norths = zip(*found, strict=True)
    return (
        round(min(wests), _DIGITS),
        round(min(souths), _DIGITS),
        round(max(easts), _DIGITS),
        round(max(norths), _DIGITS),
    )
