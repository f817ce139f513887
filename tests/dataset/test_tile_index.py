"""The tile index: written, read back, opened as a GIS would, and refused when it is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.warp import transform_geom
from shapely import box
from shapely.geometry import shape

from lcmap.dataset.class_shares import class_counts, class_shares
from lcmap.dataset.inputs import InputOptions
from lcmap.dataset.side_options import SideOptions
from lcmap.dataset.tile_index import TileIndex, read_tile_index, write_tile_index
from lcmap.errors import InputMissingError, OutputExistsError, TileIndexError, UsageError
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster
from lcmap.raster.writing import RasterFormat, atomic_raster

GRID = Grid(CRS.from_epsg(2154), rasterio.Affine(0.8, 0, 721104, 0, -0.8, 6249288), 50, 70)


def test_reads_back_as_written(index: TileIndex) -> None:
    assert read_tile_index(index.path) == index


def test_splits_hold_every_tile_once(index: TileIndex) -> None:
    parts = [index.split(name) for name in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [2, 2, 2]
    assert {tile for part in parts for tile in map(id, part)} == set(map(id, index.tiles))


def test_moves_with_its_rasters(index: TileIndex, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.copytree(tmp_path / "rasters", moved / "rasters")
    shutil.copy(index.path, moved)
    shutil.rmtree(tmp_path / "rasters")
    assert read_tile_index(moved / index.path.name).tiles[0].image == moved / "rasters/image.tif"


def test_opens_in_a_gis_where_the_tiles_lie(index: TileIndex) -> None:
    layer = pyogrio.read_info(index.path)
    assert layer["crs"] == "EPSG:4326"
    assert layer["features"] == len(index.tiles)
    assert {"image", "labels", "row", "col", "height", "width", "split", "labelled_share"} <= set(
        layer["fields"]
    )
    with open_raster(index.tiles[0].image) as dataset:
        grid = Grid.of(dataset)
    for feature, tile in zip(
        json.loads(index.path.read_text())["features"], index.tiles, strict=True
    ):
        back = shape(transform_geom("EPSG:4326", grid.crs, feature["geometry"]))
        expected = box(*grid.subgrid(tile.window).bounds)
        # coordinates are rounded to a centimetre
        assert back.symmetric_difference(expected).area < 0.05 * expected.length
        assert shape(feature["geometry"]).exterior.is_ccw


def test_class_shares_are_those_of_the_labels(index: TileIndex) -> None:
    assert index.nomenclature is not None
    counts = class_counts(index.tiles, index.nomenclature)
    assert counts.sum() == sum(sum(tile.class_counts.values()) for tile in index.tiles)
    assert class_shares(index.tiles, index.nomenclature).sum() == pytest.approx(1.0)
    assert class_shares([], index.nomenclature).tolist() == [0.0] * 7


def test_standard_output_has_no_place(index: TileIndex) -> None:
    with pytest.raises(UsageError, match="relative"):
        write_tile_index(replace(index, path=Path("-")), overwrite=True)


def test_does_not_replace_unasked(index: TileIndex) -> None:
    before = index.path.read_bytes()
    with pytest.raises(OutputExistsError):
        write_tile_index(index, overwrite=False)
    assert index.path.read_bytes() == before


def test_what_was_said_of_side_inputs_is_kept_and_older_indexes_say_nothing(
    index: TileIndex,
) -> None:
    said = replace(index, side_options=SideOptions(-1.5, "EPSG:2154"))
    write_tile_index(said, overwrite=True)
    assert read_tile_index(index.path) == said
    assert SideOptions.of(InputOptions(nodata=float("nan"))) == SideOptions()

    def aged(document: Any) -> None:
        document["lcmap"]["version"] = 3
        del document["lcmap"]["side_options"]

    assert read_tile_index(edit(index, aged)) == index


def edit(index: TileIndex, change: Callable[[Any], None]) -> Path:
    document = json.loads(index.path.read_text())
    change(document)
    index.path.write_text(json.dumps(document))
    return index.path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.pop("lcmap"), "is not a tile index of lcmap"),
        (lambda d: d["lcmap"].update(version=99), "newer lcmap"),
        (lambda d: d["lcmap"].pop("seed"), "lacks 'seed'"),
        (lambda d: d["lcmap"].update(side_options={"nodata": 0}), "lacks 'assume_crs'"),
        (lambda d: d["lcmap"]["side_options"].update(nodata="none"), "damaged"),
        (lambda d: d["lcmap"]["side_options"].update(assume_crs=2154), "damaged"),
        (lambda d: d["features"][1]["properties"].pop("row"), "lacks 'row'"),
        (lambda d: d["features"][1]["properties"].update(row="first"), "damaged"),
        (lambda d: d["features"][1]["properties"].update(split="exam"), "'exam' is not a split"),
        (lambda d: d["features"][1]["properties"].update(row=60), "outside the 70 × 50 px"),
        (lambda d: d["features"][1]["properties"].update(width=0), "outside the 70 × 50 px"),
        (lambda d: d["features"][1]["properties"].update(col=-1), "outside the 70 × 50 px"),
        (lambda d: d["features"][1]["properties"]["class_counts"].update({"9": 1}), "class 9"),
        (lambda d: d.update(features=None), "damaged"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    index: TileIndex, change: Callable[[Any], None], says: str
) -> None:
    with pytest.raises(TileIndexError) as caught:
        read_tile_index(edit(index, change))
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(index.path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1, 2]", "II*\0", '{"type": "FeatureCollection"}', "\xff"])
def test_foreign_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tiles.geojson"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(TileIndexError, match=r"tiles\.geojson: is not"):
        read_tile_index(path)


def test_missing_files_are_named(index: TileIndex) -> None:
    image = index.tiles[0].image
    image.rename(image.with_name("gone.tif"))
    with pytest.raises(InputMissingError, match=r"image\.tif: no such file, but .*zone\.tiles"):
        read_tile_index(index.path)
    with pytest.raises(InputMissingError, match="no such file"):
        read_tile_index(index.path.with_name("none.geojson"))


def test_labels_of_another_size_are_refused(index: TileIndex) -> None:
    small = index.path.with_name("small.tif")
    grid = replace(GRID, width=10)
    with atomic_raster(
        small, grid, RasterFormat(count=1, dtype="uint8", nodata=0), overwrite=False
    ) as dataset:
        dataset.write(np.ones((1, *grid.shape), "uint8"))
    edit(index, lambda d: d["features"][0]["properties"].update(labels="small.tif"))
    with pytest.raises(TileIndexError, match="of another size"):
        read_tile_index(index.path)
