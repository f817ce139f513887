"""How large the pieces of ground are that a tile index gives to one split."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from lcmap.dataset.splits import default_block_tiles
from lcmap.dataset.tile_index import IndexedTile, TileIndex


def split_unit(index: TileIndex, image_tiles: Sequence[IndexedTile], shape: tuple[int, int]) -> int:
    """Return the edge, in pixels of an image, of what went to one split together.

    That is a block of tiles, or the tile where tiles were split one by one. `image_tiles` are the
    index's tiles in the image, which has this shape. An index that does not say its blocks has
    those of the default, halved until no block is in two splits.
    """
    if index.block_tiles:
        return index.block_tiles * index.tile_size
    if index.split_method != "blocks":
        return index.tile_size
    rows, cols = (math.ceil(length / index.tile_size) for length in shape)
    side = default_block_tiles(rows, cols)
    while side > 1 and _is_mixed(image_tiles, side * index.tile_size):
        side //= 2
    return side * index.tile_size


def _is_mixed(tiles: Sequence[IndexedTile], edge: int) -> bool:
    splits = defaultdict(set)
    for tile in tiles:
        splits[tile.window.row // edge, tile.window.col // edge].add(tile.split)
    return any(len(found) > 1 for found in splits.values())
