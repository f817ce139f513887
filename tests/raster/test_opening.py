"""Opening: what is refused, and what counts as valid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from lcmap.errors import InputMissingError, NotARasterError
from lcmap.raster.grid import Grid
from lcmap.raster.opening import band_names, has_band_names, open_raster, read_valid
from lcmap.raster.windows import Window
from lcmap.raster.writing import RasterFormat, atomic_raster


@pytest.fixture
def raster(tmp_path: Path, grid: Grid) -> Path:
    path = tmp_path / "image.tif"
    values = np.random.default_rng(0).integers(1, 200, (2, *grid.shape)).astype("uint8")
    with atomic_raster(
        path,
        grid,
        RasterFormat(count=2, dtype="uint8", nodata=None, band_names=("red", "nir")),
        overwrite=False,
    ) as dataset:
        dataset.write(values)
    return path


def test_opens_and_names_bands(raster: Path) -> None:
    with open_raster(raster) as dataset:
        assert band_names(dataset) == ("red", "nir")
        assert has_band_names(band_names(dataset))


def test_bands_without_names_are_numbered(tmp_path: Path) -> None:
    with rasterio.open(
        tmp_path / "a.tif",
        "w",
        driver="GTiff",
        width=8,
        height=8,
        count=2,
        dtype="uint8",
        transform=rasterio.Affine(2, 0, 0, 0, -2, 8),
    ) as dataset:
        dataset.write(np.ones((2, 8, 8), "uint8"))
    with open_raster(tmp_path / "a.tif") as dataset:
        assert band_names(dataset) == ("band 1", "band 2")
        assert not has_band_names(band_names(dataset))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_file_is_refused_before_a_pixel_is_read(raster: Path, share: float) -> None:
    whole = raster.read_bytes()
    raster.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(NotARasterError, match=r"truncated|whole"), open_raster(raster):
        pass


def test_damaged_block_is_named_with_its_file(raster: Path) -> None:
    damaged = bytearray(raster.read_bytes())
    with rasterio.open(raster) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", dm="TIFF", bidx=1))
    damaged[offset : offset + 2000] = bytes(2000)
    raster.write_bytes(damaged)
    with pytest.raises(NotARasterError, match=r"image\.tif.*damaged"), open_raster(raster) as d:
        d.read()


def test_missing_folder_and_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no raster")
    for path, error in (
        (tmp_path / "none.tif", InputMissingError),
        (tmp_path, InputMissingError),
        (tmp_path / "text.tif", NotARasterError),
    ):
        with pytest.raises(error, match=path.name), open_raster(path):
            pass


def test_vrt_is_opened_only_on_request(raster: Path, tmp_path: Path) -> None:
    disguised = tmp_path / "disguised.tif"
    disguised.write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="4"><GeoTransform>0, 2, 0, 8, 0, -2</GeoTransform>'
        '<VRTRasterBand dataType="Byte" band="1">'
        f"<SimpleSource><SourceFilename>{raster}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(NotARasterError, match="`allow_vrt`"), open_raster(disguised):
        pass
    with open_raster(disguised, allow_vrt=True) as dataset:
        assert dataset.shape == (4, 4)


def test_valid_is_where_every_band_is_valid(tmp_path: Path, grid: Grid) -> None:
    values = np.ones((2, *grid.shape), "float32")
    values[0, 0, 0] = -9999
    values[1, 1, 1] = np.nan
    values[1, 2, 2] = np.inf
    path = tmp_path / "float.tif"
    with atomic_raster(
        path, grid, RasterFormat(count=2, dtype="float32", nodata=-9999), overwrite=False
    ) as dataset:
        dataset.write(values)
    with open_raster(path) as dataset:
        valid = read_valid(dataset, Window(0, 0, 4, 4))
    assert valid.tolist() == (~np.eye(4, dtype=bool) | (np.eye(4) * np.arange(4) == 3)).tolist()


def test_internal_mask_counts(tmp_path: Path) -> None:
    path = tmp_path / "masked.tif"
    profile = {"driver": "GTiff", "width": 4, "height": 2, "count": 1, "dtype": "uint8"}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", transform=rasterio.Affine(2, 0, 0, 0, -2, 8), **profile) as d,
    ):
        d.write(np.ones((1, 2, 4), "uint8"))
        d.write_mask(np.array([[1, 1, 0, 1], [1, 1, 1, 1]], bool))
    with open_raster(path) as dataset:
        assert read_valid(dataset, Window(0, 1, 2, 3)).tolist() == [
            [True, False, True],
            [True, True, True],
        ]


@pytest.mark.parametrize(("name", "hides"), [("nir", False), ("", True), ("Alpha", True)])
def test_fourth_band_hides_pixels_unless_it_has_another_name(
    tmp_path: Path, name: str, hides: bool
) -> None:
    path = tmp_path / "four.tif"
    values = np.ones((4, 1, 2), "uint8")
    values[3, 0, 0] = 0
    profile = {"driver": "GTiff", "width": 2, "height": 1, "count": 4, "dtype": "uint8"}
    transform = rasterio.Affine(2, 0, 0, 0, -2, 8)
    with rasterio.open(
        path, "w", transform=transform, photometric="RGB", alpha="YES", **profile
    ) as d:
        d.set_band_description(4, name)
        d.write(values)
    with open_raster(path) as dataset:
        assert "alpha" in {meaning.name for meaning in dataset.colorinterp}
        assert read_valid(dataset, Window(0, 0, 1, 2)).tolist() == [[not hides, True]]


@pytest.mark.parametrize(("name", "hides"), [("nir", False), ("", True)])
def test_nodata_holds_beside_a_fourth_band_that_may_be_alpha(
    tmp_path: Path, name: str, hides: bool
) -> None:
    path = tmp_path / "four.tif"
    values = np.ones((4, 1, 3), "uint8")
    values[1, 0, 0] = 9
    values[3, 0, 1] = 0
    profile = {"driver": "GTiff", "width": 3, "height": 1, "count": 4, "dtype": "uint8"}
    transform = rasterio.Affine(2, 0, 0, 0, -2, 8)
    with rasterio.open(
        path, "w", transform=transform, photometric="RGB", alpha="YES", nodata=9, **profile
    ) as d:
        d.set_band_description(4, name)
        d.write(values)
    with open_raster(path) as dataset:
        assert read_valid(dataset, Window(0, 0, 1, 3)).tolist() == [[False, not hides, True]]


def test_a_size_that_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "absurd.tif"
    profile = {"driver": "GTiff", "width": 200_000, "height": 200_000, "count": 1,
               "dtype": "uint8", "tiled": True, "blockxsize": 512, "blockysize": 512,
               "sparse_ok": True, "transform": rasterio.Affine(2, 0, 0, 0, -2, 8)}  # fmt: skip
    with rasterio.open(path, "w", **profile):
        pass
    with (
        pytest.raises(NotARasterError, match=r"absurd\.tif: declares 40 GB of pixels in a file of"),
        open_raster(path),
    ):
        pass


def test_a_block_that_fits_no_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "absurd.tif"
    profile = {"driver": "GTiff", "width": 40_000, "height": 40_000, "count": 1,
               "dtype": "uint8", "tiled": True, "blockxsize": 39_936, "blockysize": 39_936,
               "sparse_ok": True, "transform": rasterio.Affine(2, 0, 0, 0, -2, 8)}  # fmt: skip
    with rasterio.open(path, "w", **profile):
        pass
    with (
        pytest.raises(NotARasterError, match=r"in blocks of 1595 MB, .*; write it again in tiles"),
        open_raster(path),
    ):
        pass
