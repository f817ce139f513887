"""Files beside a raster that would make GDAL read elsewhere are refused before it opens them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from support import write_raster

from lcmap.errors import NotARasterError
from lcmap.raster.opening import open_raster

VRT = """<VRTDataset rasterXSize="2" rasterYSize="2"><VRTRasterBand dataType="Byte" band="1">
<SimpleSource><SourceFilename>{elsewhere}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>
</VRTRasterBand></VRTDataset>"""


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "image.tif", np.ones((1, 4, 4), np.uint8))


@pytest.mark.parametrize("ending", [".ovr", ".OVR", ".msk"])
def test_overviews_and_masks_that_are_virtual(raster: Path, ending: str) -> None:
    beside = raster.with_name(f"{raster.name}{ending}")
    beside.write_text(VRT.format(elsewhere="/vsicurl/http://127.0.0.1:9/x.tif"))
    message = rf"image\.tif: image\.tif\{ending} beside it is not a TIFF"
    with pytest.raises(NotARasterError, match=message), open_raster(raster):
        pass
    with open_raster(raster, allow_vrt=True) as dataset:
        assert dataset.count == 1


def test_overviews_elsewhere(raster: Path) -> None:
    raster.with_name("image.tif.aux.xml").write_text(
        '<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">/etc/passwd</MDI>'
        "</Metadata></PAMDataset>"
    )
    with pytest.raises(NotARasterError, match="names another file"), open_raster(raster):
        pass


def test_true_overviews_masks_and_statistics_are_read(raster: Path) -> None:
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(raster, "r+") as dataset:
        dataset.build_overviews([2])
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(raster, "r+") as dataset:
        dataset.write_mask(np.array([[255, 0, 255, 255]] * 4, np.uint8))
    assert {path.name for path in raster.parent.iterdir()} > {"image.tif.ovr", "image.tif.msk"}
    with open_raster(raster) as dataset:
        assert dataset.overviews(1) == [2]
        assert dataset.read_masks(1).tolist() == [[255, 0, 255, 255]] * 4


@pytest.mark.parametrize("ending", [".ovr", ".msk", ".aux.xml"])
def test_a_sidecar_that_is_a_link_to_elsewhere(raster: Path, ending: str) -> None:
    elsewhere = raster.parent / "elsewhere"
    elsewhere.mkdir()
    if ending == ".aux.xml":
        (elsewhere / "a").write_text("<PAMDataset/>")
    else:
        write_raster(elsewhere / "a", np.ones((1, 4, 4), np.uint8))
    beside = raster.with_name(f"{raster.name}{ending}")
    beside.symlink_to(elsewhere / "a")
    message = rf"image\.tif: image\.tif\{ending} beside it is a link to elsewhere; remove it"
    with pytest.raises(NotARasterError, match=message), open_raster(raster):
        pass
    # a raster that is linked to with what is beside it, and a folder that is a link
    beside.unlink()
    (elsewhere / "a").rename(raster.with_name(f"real{ending}"))
    beside.symlink_to(raster.with_name(f"real{ending}"))
    for name in ("image.tif", f"image.tif{ending}"):
        (elsewhere / name).symlink_to(raster.with_name(name))
    (raster.parent / "link").symlink_to(elsewhere)
    for path in (raster, elsewhere / "image.tif", raster.parent / "link" / "image.tif"):
        with open_raster(path) as dataset:
            assert dataset.count == 1
