"""A VRT counts as plain where it puts local files together and does nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.shutil import copy as copy_raster

from lcmap.raster.plain_vrt import is_plain_mosaic


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", count=1, height=8, width=8, crs="EPSG:2154",
        transform=Affine(1, 0, 7e5, 0, -1, 66e5), nodata=0,
    ) as dataset:  # fmt: skip
        dataset.write(np.ones((1, 8, 8), np.uint8))
        dataset.set_band_description(1, "red")
        dataset.write_colormap(1, {1: (255, 0, 0)})
        dataset.update_tags(sensor="SPOT")
    return path


@pytest.fixture
def vrt(raster: Path) -> Path:
    path = raster.with_suffix(".vrt")
    copy_raster(raster, path, driver="VRT")
    return path


def test_a_mosaic_of_local_files_is_plain(raster: Path, vrt: Path) -> None:
    assert is_plain_mosaic(vrt)
    assert not is_plain_mosaic(raster)
    outer = vrt.with_name("outer.vrt")
    copy_raster(vrt, outer, driver="VRT")
    assert is_plain_mosaic(outer)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('relativeToVRT="1">a.tif', 'relativeToVRT="0">/vsicurl/https://example.com/a.tif'),
        ('relativeToVRT="1">a.tif', 'relativeToVRT="0">https://example.com/a.tif'),
        ('relativeToVRT="1">a.tif', 'relativeToVRT="0">WMS:https://example.com'),
        ('relativeToVRT="1">a.tif', 'relativeToVRT="0">&lt;VRTDataset/&gt;'),
        ('relativeToVRT="1">a.tif', 'relativeToVRT="1">missing.tif'),
        ('relativeToVRT="1">a.tif', 'relativeToVRT="1">self.vrt'),
        ("<VRTRasterBand ", '<VRTRasterBand subClass="VRTRawRasterBand" '),
        ("<VRTDataset ", '<VRTDataset subClass="VRTWarpedDataset" '),
        ("<VRTDataset ", "<!DOCTYPE VRTDataset><VRTDataset "),
        ("</VRTDataset>", "<GDALWarpOptions/></VRTDataset>"),
        ("</VRTDataset>", ""),
    ],
)
def test_all_else_is_not(vrt: Path, old: str, new: str) -> None:
    text = vrt.read_text()
    assert old in text
    changed = vrt.with_name("self.vrt")
    changed.write_text(text.replace(old, new))
    assert not is_plain_mosaic(changed)


def test_a_source_whose_overviews_are_elsewhere_is_not(raster: Path, vrt: Path) -> None:
    raster.with_name("a.tif.ovr").write_text("<VRTDataset/>")
    assert not is_plain_mosaic(vrt)
