"""Training tiles that cover the ground of validation or test tiles: refused, or said."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from lcmap.dataset.tile_index import IndexedTile, Split
from lcmap.dataset.tile_overlap import SharedGround, shared_ground_of_splits
from lcmap.errors import TileIndexError
from lcmap.paths import PathLike
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster

logger = logging.getLogger(__name__)

_HELD_OUT: tuple[Split, ...] = ("validation", "test")
_NAMED = 3


def check_shared_ground(
    indexes: Sequence[PathLike], tiles: Sequence[IndexedTile], *, allow_overlap: bool
) -> None:
    """Check that training tiles share no ground with validation and test tiles.

    Raises:
        TileIndexError: they do, and it is not allowed.
    """
    grids: dict[Path, Grid] = {}
    for tile in tiles:
        if tile.image not in grids:
            with open_raster(tile.image) as dataset:
                grids[tile.image] = Grid.of(dataset)
    found = ((split, shared_ground_of_splits(tiles, grids, split)) for split in _HELD_OUT)
    shared = "; ".join(_said(split, ground) for split, ground in found if ground.pairs)
    if not shared:
        return
    names = ", ".join(os.fspath(path) for path in indexes)
    if not allow_overlap:
        raise TileIndexError(
            names, shared, "prepare images that do not overlap, or give `allow_overlap`"
        )
    logger.warning("%s: %s: scores are too high", names, shared)


def _said(split: Split, ground: SharedGround) -> str:
    tiles = ", ".join(f"{_place(a)} on {_place(b)}" for a, b in ground.pairs[:_NAMED])
    more = len(ground.pairs) - _NAMED
    return (
        f"{100 * ground.share:.1f} % of the {split} ground is training ground too ({tiles}"
        f"{f' and {more} more' if more > 0 else ''})"
    )


def _place(tile: IndexedTile) -> str:
    return f"{tile.image.name} row {tile.window.row} column {tile.window.col}"
