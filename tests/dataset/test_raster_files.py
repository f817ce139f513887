"""The rasters that a folder, a pattern or an index stands for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.io import DatasetReader
from shapely.geometry import box
from support import write_raster

from lcmap.dataset.raster_files import raster_files, would_join
from lcmap.errors import DataError, InputMissingError, NotAVectorError


def test_a_folder_or_a_pattern_stands_for_its_rasters(tmp_path: Path) -> None:
    for name in ("b.tif", "a.TIF", "a.txt", "c.jp2"):
        (tmp_path / name).touch()
    assert [p.name for p in raster_files(tmp_path)] == ["a.TIF", "b.tif", "c.jp2"]
    assert [p.name for p in raster_files(tmp_path / "*.tif")] == ["b.tif"]
    assert raster_files("gone.tif") == (Path("gone.tif"),)


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path: Path) -> None:
    path = tmp_path / "map[1].tif"
    path.touch()
    assert raster_files(path) == (path,)


@pytest.mark.parametrize("text", ["*.tif", ""])
def test_a_folder_or_pattern_without_rasters_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputMissingError):
        raster_files(tmp_path / text)


@pytest.mark.parametrize("suffix", [".gti.gpkg", ".gti.fgb", ".geojson", ".shp"])
def test_an_index_stands_for_its_rasters_in_its_order(
    tmp_path: Path, write_layer: Callable[..., Path], suffix: str
) -> None:
    names = ["scenes/b.tif", "scenes/a.tif", str(tmp_path / "elsewhere.tif"), "scenes/b.tif"]
    index = write_layer(tmp_path / f"index{suffix}", [box(0, 0, 1, 1)] * 4, {"LOCATION": names})
    (tmp_path / "scenes").mkdir()
    for name in names:
        (tmp_path / name).touch()
    assert raster_files(index) == (
        tmp_path / "scenes" / "b.tif",
        tmp_path / "scenes" / "a.tif",
        tmp_path / "elsewhere.tif",
    )


def test_gdal_finds_the_rasters_of_an_index_in_the_same_place(
    tmp_path: Path, write_layer: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    scene = write_raster(tmp_path / "below" / "scene.tif", np.full((1, 20, 30), 7, np.uint8))
    with rasterio.open(scene) as dataset:
        place = box(*dataset.bounds)
    index = write_layer(
        tmp_path / "index.gti.gpkg", [place], {"location": ["below/scene.tif"]},
        geometry_type="Polygon",
    )  # fmt: skip
    monkeypatch.chdir(tmp_path / "below")
    with DatasetReader(str(index), driver=["GTI"]) as mosaic:
        assert (mosaic.read() == 7).all()
    (found,) = raster_files(index)
    assert found.samefile(scene)


def test_an_index_without_rasters_is_refused(
    tmp_path: Path, write_layer: Callable[..., Path]
) -> None:
    other = write_layer(tmp_path / "zones.gpkg", [box(0, 0, 1, 1)], {"name": ["here"]})
    with pytest.raises(DataError, match=r'zones\.gpkg: is no index .* field "location"'):
        raster_files(other)
    empty = write_layer(tmp_path / "empty.gpkg", [box(0, 0, 1, 1)], {"location": [""]})
    with pytest.raises(InputMissingError, match="names no raster"):
        raster_files(empty)
    (tmp_path / "no.gpkg").write_bytes(b"nothing of that kind")
    with pytest.raises(NotAVectorError, match="cannot be read as a vector database"):
        raster_files(tmp_path / "no.gpkg")


def test_an_index_of_what_is_not_there_is_refused(
    tmp_path: Path, write_layer: Callable[..., Path]
) -> None:
    index = write_layer(tmp_path / "i.gpkg", [box(0, 0, 1, 1)], {"location": ["scenes/a.tif"]})
    with pytest.raises(InputMissingError, match=r"scenes/a\.tif: no such file, though .*i\.gpkg"):
        raster_files(index)


@pytest.mark.parametrize(
    ("path", "given", "joins"),
    [
        ("scenes/map.tif", "scenes", True),
        ("scenes/map.TIF", "scenes/", True),
        ("scenes/map.json", "scenes", False),
        ("scenes/below/map.tif", "scenes", False),
        ("map.tif", "scenes", False),
        ("scenes/map.tif", "scenes/*.tif", True),
        ("scenes/below/map.tif", "scenes/*.tif", False),
        ("scenes/below/map.tif", "scenes/**/*.tif", True),
        ("scenes/map.tif", "scenes/s*.tif", False),
        ("scenes/map.tif", "scenes/other.tif", False),
    ],
)
def test_an_output_that_would_be_an_input_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, given: str, joins: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenes" / "below").mkdir(parents=True)
    (tmp_path / "scenes" / "s.tif").touch()
    assert would_join(path, given) == joins
    if not path.endswith("json"):
        (tmp_path / path).touch()
        assert ((tmp_path / path).resolve() in [f.resolve() for f in raster_files(given)]) == joins


def test_an_index_with_a_row_that_names_no_raster_is_refused(
    tmp_path: Path, write_layer: Callable[..., Path]
) -> None:
    (tmp_path / "a.tif").touch()
    index = write_layer(
        tmp_path / "i.gpkg", [box(0, 0, 1, 1), box(1, 0, 2, 1)], {"location": ["a.tif", ""]}
    )
    with pytest.raises(DataError, match=r"i\.gpkg: names no raster in 1 of its 2 rows"):
        raster_files(index)
