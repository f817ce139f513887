"""A raster seen otherwise than its file says, by everything that reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from support import write_raster

from lcmap.raster.opening import alpha_band, open_raster, read_valid
from lcmap.raster.view import ViewOptions, viewed
from lcmap.raster.windows import Window

WHOLE = Window(0, 0, 3, 4)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 200, (4, 3, 4), dtype=np.uint8)


def test_without_options_the_file_itself_is_seen(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_raster(tmp_path / "image.tif", pixels)
    with open_raster(path) as dataset, viewed(dataset, ViewOptions()) as view:
        assert view is dataset


def test_another_nodata_value(tmp_path: Path, pixels: np.ndarray) -> None:
    pixels[:, 0] = 0
    pixels[2, 2, 2] = 0
    names = ("red", "green", "blue", "nir")
    path = write_raster(tmp_path / "image.tif", pixels, names=names)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(1, LCMAP_Q02="3")
    with open_raster(path) as dataset, viewed(dataset, ViewOptions(nodata=0.0)) as view:
        assert view.nodata == 0
        assert view.descriptions == names
        assert view.tags(1)["LCMAP_Q02"] == "3"
        assert view.transform == dataset.transform and view.crs == dataset.crs
        np.testing.assert_array_equal(view.read(), pixels)
        np.testing.assert_array_equal(read_valid(view, WHOLE), (pixels != 0).all(axis=0))
        assert str(path) in view.files


def test_a_nodata_value_beside_a_mask(tmp_path: Path, pixels: np.ndarray) -> None:
    mask = np.ones((3, 4), bool)
    mask[:, 3] = False
    pixels[:, 0] = 0
    path = write_raster(tmp_path / "image.tif", pixels, mask=mask)
    with open_raster(path) as dataset, viewed(dataset, ViewOptions(nodata=0)) as view:
        np.testing.assert_array_equal(read_valid(view, WHOLE), mask & (pixels[0] != 0))


def test_another_crs(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_raster(tmp_path / "image.tif", pixels, epsg=None)
    crs = CRS.from_epsg(2154)
    with open_raster(path) as dataset, viewed(dataset, ViewOptions(crs=crs)) as view:
        assert dataset.crs is None
        assert view.crs == crs
        np.testing.assert_array_equal(view.read(), pixels)


def test_transparency_that_is_data(tmp_path: Path, pixels: np.ndarray) -> None:
    pixels[3, 1] = 0
    # as GDAL writes four bands unless it is told otherwise
    path = write_raster(tmp_path / "image.tif", pixels, photometric="RGB", alpha="YES")
    with open_raster(path) as dataset, viewed(dataset, ViewOptions(alpha_is_data=True)) as view:
        assert alpha_band(dataset) == 4 and not read_valid(dataset, WHOLE).all()
        assert ColorInterp.alpha not in view.colorinterp
        assert read_valid(view, WHOLE).all()
        np.testing.assert_array_equal(view.read(), pixels)
