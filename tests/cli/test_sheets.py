"""Maps in sheets, as a user runs them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.windows
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon, box
from small_campaign import NORTH, WEST, picture
from small_model import BANDS
from small_vectors import write_layer
from support import Run, write_raster

from lcmap.raster.classes import read_class_table

__all__ = ["write_layer"]

Lcmap = Callable[..., Run]
PIXEL = 0.8


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "image.tif", picture(70, 96), names=BANDS)


def place(row: int, col: int, height: int, width: int) -> Polygon:
    """The ground of a window of the image."""
    west, north = WEST + PIXEL * col, NORTH - PIXEL * row
    return box(west, north - PIXEL * height, west + PIXEL * width, north)


SHEETS = {
    "0721-6249 A": place(0, 0, 40, 48),
    "été": place(10, 30, 33, 29),
    # the smallest window that holds it, as far as the map goes
    "east": shapely.affinity.translate(place(60, 80, 40, 40), 0.3, -0.3),
}


def read(path: Path) -> tuple[NDArray[np.generic], rasterio.Affine]:
    with rasterio.open(path) as dataset:
        return dataset.read(), dataset.transform


def test_sheets_are_cut_from_the_whole(
    lcmap: Lcmap, image: Path, model: Path, write_layer: Callable[..., Path]
) -> None:
    folder = image.parent
    beyond = place(500, 0, 10, 10)
    sheets = write_layer(
        folder / "sheets.gpkg", [*SHEETS.values(), beyond], {"NAME": [*SHEETS, "beyond"]}
    )
    files = {"map": "-o", "conf": "--confidence", "margin": "--margin", "prob": "--probabilities",
             "scene": "--scenes"}  # fmt: skip
    outputs = [text for name, flag in files.items() for text in (flag, folder / f"{name}.tif")]
    run = lcmap("predict", image, "-m", model, *outputs, "--sheets", sheets, "--tile", 24)
    assert run.exit_code == 0, run.stderr
    assert "3 sheets" in run.stderr
    assert not list(folder.glob("*beyond*"))
    windows = [(0, 0, 40, 48), (10, 30, 33, 29), (60, 80, 10, 16)]
    for name in files:
        whole, transform = read(folder / f"{name}.tif")
        for sheet, (row, col, height, width) in zip(SHEETS, windows, strict=True):
            found, at = read(folder / f"{name}-{sheet}.tif")
            cut = whole[:, row : row + height, col : col + width]
            assert np.array_equal(found, cut, equal_nan=name == "prob")
            assert at.almost_equals(transform @ rasterio.Affine.translation(col, row))
    with rasterio.open(folder / "map-été.tif") as sheet, rasterio.open(folder / "map.tif") as whole:
        assert read_class_table(sheet) == read_class_table(whole)
        assert sheet.colormap(1) == whole.colormap(1)
        assert sheet.tags()["LCMAP_SHEET"] == "été"
    left = {path.name for path in folder.iterdir() if path.name.startswith(".")}
    assert left == {".map.tif.lcmap-made"}


def test_a_sheet_of_whole_pixels_is_what_gdal_cuts(
    lcmap: Lcmap, image: Path, model: Path, write_layer: Callable[..., Path]
) -> None:
    folder = image.parent
    sheet = place(10, 30, 33, 29)
    write_layer(folder / "sheets.fgb", [sheet], {"id": [7.0]})
    run = lcmap(
        "predict", image, "-m", model, "-o", folder / "map.tif", "--sheets", folder / "sheets.fgb"
    )
    assert run.exit_code == 0, run.stderr
    with rasterio.open(folder / "map.tif") as whole:
        window = rasterio.windows.from_bounds(*sheet.bounds, whole.transform)
        assert np.array_equal(read(folder / "map-7.tif")[0], whole.read(window=window))


def test_sheets_in_degrees(
    lcmap: Lcmap, image: Path, model: Path, write_layer: Callable[..., Path]
) -> None:
    folder = image.parent
    to_degrees = pyproj.Transformer.from_crs(2154, 4326, always_xy=True)
    corners = [to_degrees.transform(x, y) for x, y in place(10, 30, 33, 29).exterior.coords]
    write_layer(folder / "sheets.geojson", [Polygon(corners)], {"n": ["s"]}, crs="EPSG:4326")
    run = lcmap(
        "predict", image, "-m", model, "-o", folder / "map.tif",
        "--sheets", folder / "sheets.geojson",
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    found, _ = read(folder / "map-s.tif")
    # the corners are rounded in the file, so a pixel more may be held
    assert found.shape[1] in (33, 34, 35)
    assert found.shape[2] in (29, 30, 31)


@pytest.mark.parametrize(
    ("columns", "options", "code", "message"),
    [
        ({"a": ["x", "y"], "b": ["u", "v"]}, [], 2, "--sheet-name: is missing: .* fields a, b"),
        ({"a": ["x", "y"]}, ["--sheet-name", "c"], 65, 'has no field "c", but a'),
        ({"a": ["x", "X"]}, [], 65, "has two sheets X"),
        ({"a": ["x", ""]}, [], 65, 'a sheet has no name in "a"'),
        ({"a": ["x", "../y"]}, [], 65, r"no file can be called as the sheet '\.\./y'"),
    ],
)
def test_sheets_that_cannot_be_named_are_refused(
    lcmap: Lcmap,
    image: Path,
    model: Path,
    write_layer: Callable[..., Path],
    columns: dict[str, list[str]],
    options: list[str],
    code: int,
    message: str,
) -> None:
    ground = [place(0, 0, 9, 9), place(9, 0, 9, 9)]
    sheets = write_layer(image.with_name("sheets.gpkg"), ground, columns)
    output = image.with_name("map.tif")
    run = lcmap("predict", image, "-m", model, "-o", output, "--sheets", sheets, *options)
    assert run.exit_code == code
    assert re.search(message, run.stderr), run.stderr
    assert not output.exists()


def test_sheets_that_have_no_place_are_refused(
    lcmap: Lcmap, image: Path, model: Path, write_layer: Callable[..., Path]
) -> None:
    folder = image.parent
    sheets = write_layer(folder / "sheets.gpkg", [place(0, 0, 9, 9)], {"name": ["a"]})
    given = ["predict", image, "-m", model, "--sheets", sheets]
    run = lcmap(*given, "-o", "-")
    assert run.exit_code == 2
    assert "--sheets: needs outputs in files" in run.stderr
    (folder / "map-a.tif").touch()
    run = lcmap(*given, "-o", folder / "map.tif")
    assert run.exit_code == 73
    assert "map-a.tif: exists already" in run.stderr
    far = write_layer(folder / "far.gpkg", [place(900, 0, 9, 9)], {"name": ["a"]})
    run = lcmap("predict", image, "-m", model, "-o", folder / "map.tif", "--sheets", far)
    assert run.exit_code == 65
    assert "no sheet has ground of the map" in run.stderr
    assert not (folder / "map.tif").exists()


def test_sheets_are_polygons(
    lcmap: Lcmap, image: Path, model: Path, write_layer: Callable[..., Path]
) -> None:
    outline = place(0, 0, 9, 9).exterior
    sheets = write_layer(image.with_name("sheets.gpkg"), [outline], {"n": ["s"]})
    output = image.with_name("map.tif")
    run = lcmap("predict", image, "-m", model, "-o", output, "--sheets", sheets)
    assert run.exit_code == 65
    assert "sheets.gpkg: has other geometries than polygons; give polygons" in run.stderr
    run = lcmap("predict", image, "-m", model, "-o", output, "--sheet-name", "n")
    assert run.exit_code == 2
    assert "--sheet-name: there are no sheets; name them with --sheets" in run.stderr
    assert not output.exists()
