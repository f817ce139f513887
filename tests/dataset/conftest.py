"""A small image with labels, tiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from small_vectors import write_layer

from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.tile_index import SPLITS, IndexedTile, TileIndex, write_tile_index
from lcmap.nomenclature import load_nomenclature
from lcmap.raster.grid import Grid
from lcmap.raster.windows import iter_blocks
from lcmap.raster.writing import RasterFormat, atomic_raster

__all__ = ["write_layer"]

GRID = Grid(
    CRS.from_epsg(2154), rasterio.Affine(0.8, 0, 721104, 0, -0.8, 6249288), width=50, height=70
)


@pytest.fixture
def index(tmp_path: Path) -> TileIndex:
    """A written index of tiles of 32 px over an image of 50 × 70 px and 2 bands."""
    random = np.random.default_rng(0)
    codes = random.integers(0, 8, GRID.shape).astype("uint8")
    folder = tmp_path / "rasters"
    folder.mkdir()
    with atomic_raster(
        folder / "image.tif", GRID, RasterFormat(count=2, dtype="uint16", nodata=0), overwrite=False
    ) as dataset:
        dataset.write(random.integers(0, 400, (2, *GRID.shape)).astype("uint16"))
    with atomic_raster(
        folder / "labels.tif", GRID, RasterFormat(count=1, dtype="uint8", nodata=0), overwrite=False
    ) as dataset:
        dataset.write(codes, 1)
    tiles = []
    for i, window in enumerate(iter_blocks(*GRID.shape, 32)):
        counts = np.bincount(codes[window.slices].ravel(), minlength=8)[1:]
        tiles.append(
            IndexedTile(
                image=folder / "image.tif",
                labels=folder / "labels.tif",
                sides=(folder / "image.tif",),
                window=window,
                split=SPLITS[i % 3],
                labelled_share=float(counts.sum() / (window.height * window.width)),
                class_counts={code: int(n) for code, n in enumerate(counts, start=1) if n},
            )
        )
    made = TileIndex(
        path=tmp_path / "zone.tiles.geojson",
        nomenclature=load_nomenclature("flair7"),
        sides=(RasterContent("image"),),
        tiles=tuple(tiles),
        tile_size=32,
        split_method="blocks",
        seed=3,
        gap=8,
    )
    write_tile_index(made, overwrite=False)
    return made
