"""Label rasters that a user names, opened and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from small_labels import WriteLabels

from lcmap.accuracy.label_raster import LabelFile, open_labels
from lcmap.dataset.inputs import InputOptions
from lcmap.errors import InputMissingError, LabelBandError, NoCrsError, UnknownLabelError
from lcmap.raster.windows import Window

WEST, NORTH = 700_000.0, 6_250_000.0


@pytest.mark.parametrize(
    ("codes", "nodata"),
    [
        (np.array([[7, 1], [2, 7]], np.uint8), 7),
        (np.array([[-9999, 1], [2, -9999]], np.int16), -9999),
        (np.array([[np.nan, 1], [2, np.nan]], np.float32), None),
        (np.array([[np.nan, 1], [2, -1e9]], np.float32), -1e9),
        (np.array([[0, 1], [2, 0]], np.uint16), 0),
    ],
)
def test_nodata_becomes_0(
    write_labels: WriteLabels, codes: NDArray[np.generic], nodata: float | None
) -> None:
    with open_labels(write_labels("map.tif", codes, nodata=nodata)) as raster:
        assert raster.read(Window(0, 0, 2, 2)).tolist() == [[0, 1], [2, 0]]


def test_a_mask_inside_the_file_becomes_0(tmp_path: Path, write_labels: WriteLabels) -> None:
    path = write_labels("map.tif", np.array([[3, 1], [2, 3]], np.uint8), nodata=None)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.array([[False, True], [True, False]]))
    with open_labels(path) as raster:
        assert raster.read(Window(0, 0, 2, 2)).tolist() == [[0, 1], [2, 0]]


def test_values_that_are_not_codes_are_refused(write_labels: WriteLabels) -> None:
    path = write_labels("map.tif", np.array([[1.5, 300.0]], np.float32), nodata=None)
    with (
        open_labels(path) as raster,
        pytest.raises(UnknownLabelError, match=r"map\.tif: .*1\.5, 300"),
    ):
        raster.read(Window(0, 0, 1, 2))


def test_an_image_is_not_a_label_raster(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    profile = {"driver": "GTiff", "width": 2, "height": 2, "dtype": "uint8", "crs": "EPSG:2154"}
    transform = rasterio.Affine(1, 0, WEST, 0, -1, NORTH)
    with rasterio.open(path, "w", count=3, transform=transform, **profile) as dataset:
        dataset.write(np.ones((3, 2, 2), np.uint8))
    with (
        pytest.raises(LabelBandError, match=r"image\.tif: has 3 bands, labels have one"),
        open_labels(path),
    ):
        pass


def test_a_raster_without_crs_is_refused(write_labels: WriteLabels) -> None:
    path = write_labels("map.tif", np.ones((2, 2), np.uint8), crs=None)
    with pytest.raises(NoCrsError, match=r"map\.tif: has no coordinate"), open_labels(path):
        pass


def test_a_file_that_is_open_already_is_not_opened_again(write_labels: WriteLabels) -> None:
    path = write_labels("map.tif", np.ones((1, 1), np.uint8))
    with open_labels(path) as raster:
        path.unlink()
        with LabelFile(path, raster).opened(InputOptions()) as again:
            assert again is raster
        assert not raster.dataset.closed
    with pytest.raises(InputMissingError), LabelFile(path).opened(InputOptions()):
        pass
