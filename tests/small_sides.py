"""Side inputs for the tiles of an index, with data where a test wants it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.tile_index import Side, read_tile_index, write_tile_index


def write_side(path: Path, image: Path, has_data: NDArray[np.bool_]) -> Path:
    """Write an image of two bands on the grid of another, with data where it is said to be."""
    with rasterio.open(image) as dataset:
        profile = dataset.profile | {"count": 2, "dtype": "uint8", "nodata": 0}
    values = np.random.default_rng(2).integers(1, 255, (2, *has_data.shape), np.uint8)
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.where(has_data, values, np.uint8(0)))
    return path


def with_side(index: Path, content: RasterContent, has_data: Sequence[NDArray[np.bool_]]) -> Path:
    """Give the tiles of an index a side input: an image, or dates of a series."""
    read = read_tile_index(index)
    side: Side = tuple(
        write_side(index.with_name(f"side_2018070{n + 1}.tif"), read.tiles[0].image, one)
        for n, one in enumerate(has_data)
    )
    if content.kind != "series":
        (side,) = side
    tiles = tuple(replace(tile, sides=(side,)) for tile in read.tiles)
    write_tile_index(replace(read, sides=(content,), tiles=tiles), overwrite=True)
    return index
