"""The part of a scene that a grid needs."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from affine import Affine
from rasterio.crs import CRS
from small_sentinel2 import CORNER, EPSG, TEN, write_l2a

from lcmap.imagery.masked_scenes import write_masked_scene
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster
from lcmap.sentinel2.esa import read_safe


def test_only_what_a_grid_needs_is_written(tmp_path: Path) -> None:
    """The part reaches beyond the grid by what a kernel reads, and no further."""
    (scene,) = read_safe(write_l2a(tmp_path), TEN)
    assert scene.day == date(2018, 7, 5)
    target = Grid(
        CRS.from_epsg(EPSG), Affine(10, 0, CORNER[0] + 400, 0, -10, CORNER[1] - 500), 10, 20
    )
    fine, coarse = write_masked_scene(scene, TEN, target, tmp_path, 1)
    assert (fine.names, coarse.names) == (
        ("B2", "B3", "B4", "B8"),
        ("B5", "B6", "B7", "B8A", "B11", "B12"),
    )
    for source in (fine, coarse):
        with open_raster(source.path) as dataset:
            assert Grid.of(dataset) == source.grid
        inner = source.grid.window_of(target.bounds)
        for margin in (
            inner.row,
            inner.col,
            source.grid.height - inner.stop_row,
            source.grid.width - inner.stop_col,
        ):
            assert 2 <= margin <= 10
