"""GDAL's block cache is as large as the commands mean it to be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio._env import get_gdal_config

from lcmap.accuracy import score
from lcmap.imagery import prepare
from lcmap.inference import inputs
from lcmap.products import update


@pytest.mark.parametrize(
    "size", [inputs.CACHE_BYTES, score._CACHE_BYTES, prepare._CACHE_BYTES, update._CACHE_BYTES]
)
def test_a_limit_is_in_bytes(size: int) -> None:
    with rasterio.Env(GDAL_CACHEMAX=size):
        assert get_gdal_config("GDAL_CACHEMAX") == size
    assert 64 << 20 <= size <= 512 << 20


def test_a_block_is_decoded_once_for_windows_that_overlap(tmp_path: Path) -> None:
    """What is in the cache is not read again: the file may change below it."""
    path = tmp_path / "image.tif"
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "width": 512,
        "height": 512,
        "count": 1,
        "dtype": "uint8",
    }
    profile["transform"] = Affine(1, 0, 0, 0, -1, 512)
    with rasterio.open(path, "w", **profile, tiled=True, crs="EPSG:2154") as made:
        made.write(np.full((1, 512, 512), 7, np.uint8))
    with rasterio.Env(GDAL_CACHEMAX=inputs.CACHE_BYTES), rasterio.open(path) as dataset:
        dataset.read(window=((0, 300), (0, 300)))
        content = path.read_bytes()
        path.write_bytes(content.replace(b"\7" * 100, b"\1" * 100))
        assert (dataset.read(window=((100, 400), (100, 400))) == 7).all()
