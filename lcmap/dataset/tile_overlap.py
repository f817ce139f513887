"""Ground that tiles of different splits share, where images or indexes overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.warp import transform as transform_coordinates

from lcmap.dataset.tile_index import IndexedTile, Split
from lcmap.raster.grid import Grid, same_crs

_SLIVER = 1e-3
"""Of a tile's area: neighbours touch, and reprojected ones by a little more than that."""

_EDGE_POINTS = 8
"""Points along an edge of a tile, so that its reprojected outline follows the ground."""


@dataclass(frozen=True)
class SharedGround:
    """Ground of held-out tiles that training tiles cover too.

    `pairs` are (training tile, held-out tile); `share` is the shared part of the area of all
    held-out tiles.
    """

    pairs: tuple[tuple[IndexedTile, IndexedTile], ...]
    share: float


def shared_ground_of_splits(
    tiles: Sequence[IndexedTile], grids: Mapping[Path, Grid], held_out: Split
) -> SharedGround:
    """Return the ground that training tiles share with those of another split.

    `grids` are those of the tiles' images. Outlines are compared in the coordinate reference system
    of the first tile's image.
    """
    training = [tile for tile in tiles if tile.split == "train"]
    others = [tile for tile in tiles if tile.split == held_out]
    if not training or not others:
        return SharedGround((), 0.0)
    target = grids[tiles[0].image]
    outlines = [_outlines(part, grids, target) for part in (training, others)]
    found, places = shapely.STRtree(outlines[0]).query(outlines[1], predicate="intersects")
    parts = shapely.intersection(outlines[0][places], outlines[1][found])
    large = shapely.area(parts) > _SLIVER * shapely.area(outlines[1][found])
    if not large.any():
        return SharedGround((), 0.0)
    covered = shapely.area(shapely.union_all(parts[large]))
    return SharedGround(
        tuple(
            (training[place], others[number])
            for place, number in zip(places[large], found[large], strict=True)
        ),
        float(covered / shapely.area(shapely.union_all(outlines[1]))),
    )


def _outlines(
    tiles: Sequence[IndexedTile], grids: Mapping[Path, Grid], target: Grid
) -> NDArray[np.object_]:
    """Return the outlines of tiles as polygons in the CRS of a target, [n]."""
    rings = []
    for tile in tiles:
        grid, window = grids[tile.image], tile.window
        cols, rows = _edge(window.col, window.stop_col), _edge(window.row, window.stop_row)
        across = np.concatenate(
            [cols, np.full_like(rows, cols[-1]), cols[::-1], np.full_like(rows, cols[0])]
        )
        down = np.concatenate(
            [np.full_like(cols, rows[0]), rows, np.full_like(cols, rows[-1]), rows[::-1]]
        )
        t = grid.transform
        xs, ys = t.a * across + t.b * down + t.c, t.d * across + t.e * down + t.f
        if not same_crs(grid.crs, target.crs):
            converted = transform_coordinates(grid.crs, target.crs, xs, ys)
            xs, ys = np.array(converted[0]), np.array(converted[1])
        rings.append(np.column_stack([xs, ys]))
    return np.asarray(shapely.polygons(np.stack(rings)))


def _edge(start: int, stop: int) -> NDArray[np.float64]:
    return np.linspace(start, stop, _EDGE_POINTS)
