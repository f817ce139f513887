"""Where a model was trained, in degrees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform
from support import write_raster

from lcmap.raster.windows import Window
from lcmap.training.ground import bounds_in_degrees


@dataclass(frozen=True)
class SomeTile:
    image: Path
    window: Window


def image(path: Path, **options: Any) -> Path:
    return write_raster(path, np.ones((1, 60, 50), "uint8"), **options)


def test_bounds_of_tiles_in_two_projections(tmp_path: Path) -> None:
    lambert = image(tmp_path / "a.tif", pixel=100.0)
    utm = image(tmp_path / "b.tif", pixel=100.0, epsg=32631, corner=(400_000.0, 4_800_000.0))
    tiles: Any = [SomeTile(lambert, Window(10, 20, 30, 20)), SomeTile(utm, Window(0, 0, 60, 50))]
    found = bounds_in_degrees(tiles)
    xs, ys = [], []
    for path, cols, rows in ((lambert, (20, 40), (10, 40)), (utm, (0, 50), (0, 60))):
        with rasterio.open(path) as dataset:
            corners = [dataset.transform @ (col, row) for col in cols for row in rows]
            lon, lat = transform(dataset.crs, "EPSG:4326", *zip(*corners, strict=True))
        xs += lon
        ys += lat
    # edges of a projection are curved, so the box is a little larger than its corners
    assert found == pytest.approx((min(xs), min(ys), max(xs), max(ys)), abs=2e-3)
    assert found[0] <= min(xs) + 1e-6 and found[3] >= max(ys) - 1e-6


def test_no_place_on_earth(tmp_path: Path) -> None:
    path = image(tmp_path / "a.tif", epsg=None)
    local = 'LOCAL_CS["somewhere",UNIT["metre",1]]'
    with rasterio.open(path, "r+") as dataset:
        dataset.crs = rasterio.CRS.from_wkt(local)
    tiles: Any = [SomeTile(path, Window(0, 0, 10, 10))]
    assert bounds_in_degrees(tiles) is None
    assert bounds_in_degrees([]) is None
