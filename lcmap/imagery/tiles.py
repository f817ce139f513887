"""Cutting an image into tiles for training, validation and test."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lcmap import defaults
from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.splits import (
    default_block_tiles,
    keep_apart,
    split_at_random,
    split_by_blocks,
)
from lcmap.dataset.tile_index import (
    SPLITS,
    IndexedTile,
    Side,
    Split,
    TileIndex,
    read_tile_index,
)
from lcmap.errors import GridMismatchError, TileIndexError, UsageError
from lcmap.nomenclature import Nomenclature
from lcmap.paths import PathLike
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster
from lcmap.raster.windows import Window, iter_blocks

SplitMethod = Literal["blocks", "random"]


@dataclass(frozen=True)
class Tiling:
    """How an image is cut into tiles and how these are split.

    tile_size: pixels along a side of a tile; fewer at the image border.
    split: by whole blocks of tiles, or tile by tile at random.
    seed: of the random order in which blocks or tiles go to the splits.
    gap: pixels left between splits; None: the default for blocks, 0 for a random split.
    block_tiles: tiles along a side of a block; None: the default, less in a small image.
    """

    tile_size: int = defaults.TILE_SIZE
    split: SplitMethod = defaults.SPLIT
    seed: int = defaults.SEED
    gap: int | None = None
    block_tiles: int | None = None

    def check(self) -> None:
        """Check the lengths.

        Raises:
            UsageError: one that makes no tiles, or blocks for a random split.
        """
        if self.tile_size < 16:
            raise UsageError("`tile_size`", f"{self.tile_size} px is too small", "take 16 or more")
        if self.gap is not None and self.gap < 0:
            raise UsageError("`gap`", "is negative", "take 0 or more")
        if self.block_tiles is not None and self.block_tiles < 1:
            raise UsageError("`block_tiles`", "is below 1", "take 1 or more")
        if self.block_tiles is not None and self.split == "random":
            raise UsageError("`block_tiles`", "goes with `split=blocks`", "drop one")

    @property
    def actual_gap(self) -> int:
        """The gap, given or by default."""
        if self.gap is not None:
            return self.gap
        return defaults.GAP if self.split == "blocks" else 0


def read_tiles_to_take(path: PathLike, grid: Grid) -> TileIndex:
    """Read an index whose tiles and splits another image is to have, which is on `grid`.

    Raises:
        InputMissingError, TileIndexError: as `read_tile_index`, or it is of several images or none.
        GridMismatchError: the image of the index is on another grid.
    """
    index = read_tile_index(path)
    images = {tile.image for tile in index.tiles}
    if len(images) != 1:
        raise TileIndexError(path, f"is of {len(images)} images", "name the index of one image")
    image = images.pop()
    with open_raster(image) as dataset:
        if not Grid.of(dataset).matches(grid):
            raise GridMismatchError(
                path,
                "has the tiles of another grid than the stack's",
                f"`like={image}`, or name an index on the stack's grid",
            )
    return index


def make_tile_index(
    path: Path,
    image: Path,
    labels: Path | None,
    nomenclature: Nomenclature | None,
    sides: Sequence[tuple[Side, RasterContent]],
    tiling: Tiling,
    taken: TileIndex | None = None,
) -> TileIndex:
    """Cut an image on disk into tiles, count the labels in them and split them.

    `path` is where the index is to be written. Without labels the splits are made by area. The side
    inputs stay as and where they are. Where `taken` is given, the windows and splits are its own,
    not those of `tiling`.
    """
    index = _index(path, image, labels, nomenclature, tiling, taken)
    paths = tuple(side for side, _ in sides)
    return replace(
        index,
        sides=tuple(what for _, what in sides),
        tiles=tuple(replace(tile, sides=paths) for tile in index.tiles),
    )


def _index(
    path: Path,
    image: Path,
    labels: Path | None,
    nomenclature: Nomenclature | None,
    tiling: Tiling,
    taken: TileIndex | None,
) -> TileIndex:
    with open_raster(image) as dataset:
        grid = Grid.of(dataset)
    if labels is None or nomenclature is None:
        return _counted(path, image, None, None, grid, tiling, taken, _no_labels)
    with open_raster(labels) as dataset:
        codes = np.array(nomenclature.codes)

        def count(windows: Sequence[Window]) -> NDArray[np.int64]:
            counts = np.zeros((len(windows), len(codes)), np.int64)
            for i, window in enumerate(windows):
                values = dataset.read(1, window=window.ranges)
                counts[i] = np.bincount(values.ravel(), minlength=256)[codes]
            return counts

        return _counted(path, image, labels, nomenclature, grid, tiling, taken, count)


def _no_labels(windows: Sequence[Window]) -> NDArray[np.int64]:
    return np.zeros((len(windows), 0), np.int64)


def _counted(
    path: Path,
    image: Path,
    labels: Path | None,
    nomenclature: Nomenclature | None,
    grid: Grid,
    tiling: Tiling,
    taken: TileIndex | None,
    count: Callable[[Sequence[Window]], NDArray[np.int64]],
) -> TileIndex:
    if taken is None:
        windows, splits = _split(grid, tiling, count)
        block_tiles = _block_tiles(grid, tiling)
    else:
        windows = [tile.window for tile in taken.tiles]
        splits = [tile.split for tile in taken.tiles]
        block_tiles = taken.block_tiles
    codes = nomenclature.codes if nomenclature else ()
    tiles = tuple(
        IndexedTile(
            image=image,
            labels=labels,
            sides=(),
            window=window,
            split=split,
            labelled_share=round(float(counts.sum()) / (window.height * window.width), 6),
            class_counts={code: int(n) for code, n in zip(codes, counts, strict=True) if n},
        )
        for window, split, counts in zip(windows, splits, count(windows), strict=True)
    )
    return TileIndex(
        path=path,
        nomenclature=nomenclature,
        sides=(),
        tiles=tiles,
        tile_size=taken.tile_size if taken else tiling.tile_size,
        split_method=taken.split_method if taken else tiling.split,
        seed=taken.seed if taken else tiling.seed,
        gap=taken.gap if taken else tiling.actual_gap,
        block_tiles=block_tiles,
    )


def _block_tiles(grid: Grid, tiling: Tiling) -> int | None:
    """Return the side of a block in tiles; None where tiles are split one by one."""
    if tiling.split == "random":
        return None
    rows, cols = (math.ceil(length / tiling.tile_size) for length in grid.shape)
    return tiling.block_tiles or default_block_tiles(rows, cols)


def _split(
    grid: Grid, tiling: Tiling, count: Callable[[Sequence[Window]], NDArray[np.int64]]
) -> tuple[list[Window], list[Split]]:
    """Return the windows that are left between the gaps, and the split of each."""
    whole = list(iter_blocks(grid.height, grid.width, tiling.tile_size))
    side = _block_tiles(grid, tiling)
    if side is None:
        splits = split_at_random(len(whole), tiling.seed)
    else:
        rows, cols = (math.ceil(length / tiling.tile_size) for length in grid.shape)
        splits = split_by_blocks(count(whole), rows, cols, side, tiling.seed)
    kept = keep_apart(whole, splits, tiling.actual_gap)
    pairs = [
        (window, SPLITS[split])
        for window, split in zip(kept, splits, strict=True)
        if window is not None
    ]
    return [window for window, _ in pairs], [split for _, split in pairs]
