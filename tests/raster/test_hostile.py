"""Rasters that declare what cannot be meant, and texts nested without end, are one clear line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from support import write_raster

from lcmap.dataset.tile_index import read_tile_index
from lcmap.errors import NomenclatureError, NotARasterError, TileIndexError
from lcmap.nomenclature.tag import NOMENCLATURE_JSON_TAG, read_nomenclature
from lcmap.raster.classes import CLASSES_TAG, read_class_table
from lcmap.raster.opening import open_raster

DEEP = "[" * 100_000 + "]" * 100_000


def write_hollow(path: Path, **profile: object) -> Path:
    """Write a raster of which no pixel takes space."""
    with rasterio.open(path, "w", driver="GTiff", dtype="uint8", sparse_ok=True, crs="EPSG:2154",
                       transform=rasterio.Affine(1, 0, 7e5, 0, -1, 66e5), **profile):  # fmt: skip
        pass
    return path


@pytest.mark.parametrize(
    "profile",
    [
        {"count": 5000, "width": 4, "height": 4},
        {"count": 1, "width": 1, "height": 100_000_000, "blockysize": 4096},
        {"count": 1, "width": 32_768, "height": 32_768, "tiled": True, "blockxsize": 32_768,
         "blockysize": 32_768},
    ],
    ids=["bands", "rows", "tiles"],
)  # fmt: skip
def test_sizes_that_cannot_be_meant(tmp_path: Path, profile: dict[str, object]) -> None:
    path = write_hollow(tmp_path / "image.tif", **profile)
    with pytest.raises(NotARasterError, match=r"image\.tif: "), open_raster(path):
        pass


def test_one_strip_as_high_as_the_image(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_raster(path, np.zeros((4, 5000, 5000), np.uint8), compress="deflate", blockysize=5000,
                 interleave="pixel")  # fmt: skip
    assert path.stat().st_size < 1_000_000
    with pytest.raises(NotARasterError, match=r"in one strip of 0\.1 GB"), open_raster(path):
        pass


@pytest.mark.parametrize(
    ("transform", "problem"),
    [
        ((1, 0, 7e5, 0, -1, 1e300), "lies nowhere on earth"),
        ((1, 0, 1e18, 0, -1, 66e5), "lies nowhere on earth"),
        ((1e300, 0, 7e5, 0, -1e300, 66e5), "lies nowhere on earth"),
        ((1, 0, np.inf, 0, -1, 66e5), "lies nowhere on earth"),
        ((1, 0, 7e5, 0, np.nan, 66e5), "lies nowhere on earth"),
        ((0, 0, 7e5, 0, 0, 66e5), "pixels without an area"),
        ((1, 1, 7e5, 1, 1, 66e5), "pixels without an area"),
        ((1e-12, 0, 7e5, 0, -1e-12, 66e5), "pixels without an area"),
        ((1, 0, 7e5, 0, -1e-9, 66e5), "pixels without an area"),
    ],
)
def test_georeferences_that_cannot_be_meant(
    tmp_path: Path, transform: tuple[float, ...], problem: str
) -> None:
    path = tmp_path / "image.tif"
    with rasterio.open(path, "w", driver="GTiff", dtype="uint8", count=1, width=8, height=8,
                       crs="EPSG:2154", transform=rasterio.Affine(*transform)):  # fmt: skip
        pass
    with pytest.raises(NotARasterError, match=problem), open_raster(path):
        pass


def test_a_rotated_grid_is_none_of_them(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    with rasterio.open(path, "w", driver="GTiff", dtype="uint8", count=1, width=8, height=8,
                       crs="EPSG:2154", transform=rasterio.Affine(0.7, 0.7, 7e5, 0.7, -0.7, 66e5)
                       ):  # fmt: skip
        pass
    with open_raster(path) as dataset:
        assert dataset.shape == (8, 8)


def test_metadata_beside_it_out_of_proportion(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "image.tif", np.ones((1, 8, 8), np.uint8))
    items = "".join(f'<MDI key="k{i}">v</MDI>' for i in range(200_000))
    (tmp_path / "image.tif.aux.xml").write_text(
        f"<PAMDataset><Metadata>{items}</Metadata></PAMDataset>"
    )
    with pytest.raises(NotARasterError, match="is out of proportion"), open_raster(path):
        pass


def test_pixels_without_an_area(tmp_path: Path) -> None:
    path = tmp_path / "image.vrt"
    path.write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="4"><GeoTransform>0, 0, 0, 8, 0, 0</GeoTransform>'
        '<VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'
    )
    with (
        pytest.raises(NotARasterError, match="pixels without an area"),
        open_raster(path, allow_vrt=True),
    ):
        pass


def test_texts_nested_without_end(tmp_path: Path) -> None:
    index = tmp_path / "t.geojson"
    index.write_text(DEEP)
    with pytest.raises(TileIndexError, match="is not JSON"):
        read_tile_index(index)
    path = write_raster(tmp_path / "map.tif", np.ones((1, 4, 4), np.uint8))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(**{CLASSES_TAG: DEEP, NOMENCLATURE_JSON_TAG: DEEP})
    with rasterio.open(path) as dataset:
        assert read_class_table(dataset) is None
        with pytest.raises(NomenclatureError, match="is not a JSON object"):
            read_nomenclature(dataset, path)


@pytest.mark.parametrize("change", [{"tile_size": 0}, {"tile_size": -5}, {"gap": -1}])
def test_lengths_of_an_index_that_cannot_be(tmp_path: Path, change: dict[str, int]) -> None:
    about = {"version": 2, "nomenclature": None, "sides": [], "tile_size": 16, "split": "blocks",
             "seed": 0, "gap": 0} | change  # fmt: skip
    index = tmp_path / "t.geojson"
    index.write_text(json.dumps({"type": "FeatureCollection", "lcmap": about, "features": []}))
    with pytest.raises(TileIndexError, match="has tiles of"):
        read_tile_index(index)
