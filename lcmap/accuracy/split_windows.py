"""The windows of one split of tile indexes, in pixels of a reference."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import transform as transform_coordinates

from lcmap.accuracy.label_raster import LabelRaster
from lcmap.dataset.split_unit import split_unit
from lcmap.dataset.tile_index import IndexedTile, TileIndex
from lcmap.raster.datum_shift import check_datum_shift
from lcmap.raster.grid import Grid, same_crs
from lcmap.raster.opening import open_raster
from lcmap.raster.windows import Window

LEARNT_FROM = ("train", "validation")
"""The splits whose tiles a model has seen."""

_POINTS_OF_AN_EDGE = 21


class BlockGrid(NamedTuple):
    """Square blocks of pixels: their edge, and the row and column where one of them begins."""

    edge: int
    row: int = 0
    col: int = 0


class SplitTiles:
    """The tiles of one split, from one or several tile indexes."""

    def __init__(self, indexes: Sequence[TileIndex], split: str) -> None:
        """Take the tiles of this split, or of all where it is "all"."""
        self.split = split
        self._indexes = indexes
        self._tiles = [tile for index in indexes for tile in _tiles_of(index, split)]
        self._grids: dict[Path, Grid] = {}

    def windows(self, reference: LabelRaster) -> list[Window]:
        """Return the tiles' windows in pixels of the reference.

        If any tile names the reference as its labels, only such tiles count. Otherwise all tiles
        count whose image shares ground with it. On another grid a tile holds the pixels whose
        centres are in it.

        Raises:
            InputMissingError, NotARasterError: an image that an index names cannot be opened.
        """
        own = [tile for tile in self._tiles if _same_file(tile.labels, reference.path)]
        if own:
            return [tile.window for tile in own]
        windows = (self._on_ground(tile, reference.grid) for tile in self._tiles)
        return [window for window in windows if window]

    def covering(self, grid: Grid) -> list[Window]:
        """Return windows of a grid, in any CRS, that hold all its pixels in the tiles.

        All tiles on its ground count, whatever their labels. As `window_that_covers`.

        Raises:
            InputMissingError, NotARasterError: an image that an index names cannot be opened.
        """
        windows = (
            window_that_covers(self._grid(tile.image), tile.window, grid) for tile in self._tiles
        )
        return [window for window in windows if window]

    def by_image(self) -> Iterator[tuple[Grid, list[Window]]]:
        """Yield the grid of each image that tiles are of, and their windows in it.

        Raises:
            InputMissingError, NotARasterError: an image that an index names cannot be opened.
        """
        windows: dict[Path, list[Window]] = {}
        for tile in self._tiles:
            windows.setdefault(tile.image, []).append(tile.window)
        for image, of_image in windows.items():
            yield self._grid(image), of_image

    def blocks(self, reference: LabelRaster) -> BlockGrid:
        """Return the blocks that went to one split together, in pixels of the reference.

        Where tiles of several images count on the reference, they are those of the image whose
        blocks are largest on the ground. There must be windows.
        """
        own = [tile for tile in self._tiles if _same_file(tile.labels, reference.path)]
        near = own or [tile for tile in self._tiles if self._on_ground(tile, reference.grid)]
        images = {tile.image for tile in near}
        found = []
        for index in self._indexes:
            for image in sorted(images & {tile.image for tile in index.tiles}):
                tiles = [tile for tile in index.tiles if tile.image == image]
                grid = self._grid(image)
                unit = split_unit(index, tiles, grid.shape)
                found.append(BlockGrid(unit) if own else _blocks_on(grid, unit, reference.grid))
        return max(found)

    def _on_ground(self, tile: IndexedTile, grid: Grid) -> Window | None:
        return window_by_centres(self._grid(tile.image), tile.window, grid)

    def _grid(self, image: Path) -> Grid:
        if image not in self._grids:
            with open_raster(image) as dataset:
                self._grids[image] = Grid.of(dataset)
        return self._grids[image]


def _blocks_on(source: Grid, edge: int, target: Grid) -> BlockGrid:
    """Return blocks of the source grid, from its first pixel on, in whole pixels of the target."""
    place = ~target.transform @ source.transform
    (col, row), (stop_col, stop_row) = place @ (0, 0), place @ (edge, edge)
    length = max(1, round(max(abs(stop_col - col), abs(stop_row - row))))
    return BlockGrid(length, round(row) % length, round(col) % length)


def window_by_centres(source: Grid, window: Window, target: Grid) -> Window | None:
    """Return the pixels of a target grid whose centres are in a window of a source grid.

    None where there are none, or where the grids are in different CRS.
    """
    if not same_crs(source.crs, target.crs):
        return None
    place = ~target.transform @ source.transform
    (left, top), (right, bottom) = (
        place @ (window.col, window.row),
        place @ (window.stop_col, window.stop_row),
    )
    row, stop_row = _first_centre(min(top, bottom)), _first_centre(max(top, bottom))
    col, stop_col = _first_centre(min(left, right)), _first_centre(max(left, right))
    inside = Window(row, col, stop_row - row, stop_col - col).clipped(target.height, target.width)
    return inside if inside.height and inside.width else None


def window_that_covers(source: Grid, window: Window, target: Grid) -> Window | None:
    """Return the least pixels of a target grid that hold all with centres in a source's window.

    Centres on its edge are held too. In another CRS the window is what its outline spans, and a
    pixel more for what the outline bends between its points. None where there are none.

    Raises:
        DataError: as `check_datum_shift`.
    """
    x, y = _placed(source.transform, *_outline(window))
    slack = 1e-6
    if not same_crs(source.crs, target.crs):
        if source.crs is None or target.crs is None:
            return None
        check_datum_shift(source.crs, target.crs, target.bounds)
        x, y = (np.array(v) for v in transform_coordinates(source.crs, target.crs, x, y))
        slack = 1.0
    cols, rows = _placed(~target.transform, x, y)
    known = np.isfinite(cols) & np.isfinite(rows)
    if not known.any():
        return None
    (row, stop_row), (col, stop_col) = (
        (math.ceil(part[known].min() - 0.5 - slack), math.floor(part[known].max() + 0.5 + slack))
        for part in (rows, cols)
    )
    inside = Window(row, col, stop_row - row, stop_col - col).clipped(target.height, target.width)
    return inside if inside.height and inside.width else None


def _outline(window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the columns and the rows of points along the edges of a window, float64 [n] each."""
    along = np.linspace(0, 1, _POINTS_OF_AN_EDGE)
    none, all_ = np.zeros_like(along), np.ones_like(along)
    cols = window.col + window.width * np.concatenate([along, along, none, all_])
    rows = window.row + window.height * np.concatenate([none, all_, along, along])
    return cols, rows


def _placed(
    t: Affine, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f


def _first_centre(edge: float) -> int:
    """Return the first pixel whose centre is at or after an edge, to a rounding error."""
    return math.ceil(edge - 0.5 - 1e-6)


def mask_of(window: Window, inside: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which pixels of a window, [height, width], are in any of other windows, [n, 4]."""
    mask = np.zeros((window.height, window.width), bool)
    row, col, height, width = inside.T
    near = (
        (row < window.stop_row)
        & (row + height > window.row)
        & (col < window.stop_col)
        & (col + width > window.col)
    )
    for values in inside[near]:
        part = window.intersection(Window(*values.tolist()))
        if part:
            mask[part.shifted(-window.row, -window.col).slices] = True
    return mask


def _tiles_of(index: TileIndex, split: str) -> Sequence[IndexedTile]:
    if split == "all":
        return index.tiles
    return [tile for tile in index.tiles if tile.split == split]


def _same_file(labels: Path | None, path: Path) -> bool:
    return labels is not None and os.path.realpath(labels) == os.path.realpath(path)
