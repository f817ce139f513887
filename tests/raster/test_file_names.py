"""Names that promise another format are refused before anything is written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from support import Run, run_lcmap, write_raster

from lcmap.errors import UsageError
from lcmap.raster.file_names import check_raster_name


@pytest.mark.parametrize(
    "name",
    ["a.tif", "a.TIF", "a.tiff", "a.gtiff", "a", "a.2018", "map.v1.tif", ".hidden", "-",
     "/dev/null", "/dev/stdout"],
)  # fmt: skip
def test_names_of_geotiffs_streams_and_names_of_no_format(name: str) -> None:
    check_raster_name(name)


@pytest.mark.parametrize(
    ("name", "format", "remedy"),
    [
        ("x.png", "PNG", "x.tif"),
        ("x.JP2", "JP2", "x.tif"),
        ("a/x.v1.img", "HFA", "x.v1.tif"),
        ("x.vrt", "VRT", "x.tif"),
        ("x.json", "JSON", "x.tif"),
        ("x.tif.gz", "gzip", "x.tif"),
    ],
)
def test_names_of_other_formats(name: str, format: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=f"format {format}.* GeoTIFF; name it {remedy}$"):
        check_raster_name(name)


def test_a_fifo_has_any_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    check_raster_name(tmp_path / "pipe.png")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(1, 255, (4, 40, 40), "uint8")
    return write_raster(tmp_path / "image.tif", pixels, names=["red", "green", "blue", "nir"])


def assert_refused(run: Run, folder: Path) -> None:
    assert run.exit_code == 2, run.stderr
    assert "x.png: ends as a file in the format PNG does" in run.stderr
    assert "name it x.tif" in run.stderr
    assert not [path for path in folder.iterdir() if path.name != "image.tif"]


def test_every_command_that_writes_rasters(image: Path, model: Path) -> None:
    folder, wrong, right = image.parent, image.with_name("x.png"), image.with_name("x.tif")
    mapping = ("predict", image, "-m", model)
    for command in (
        ("prepare", image, "-o", wrong),
        (*mapping, "-o", wrong),
        (*mapping, "-o", right, "--confidence", wrong),
        (*mapping, "-o", right, "--probabilities", wrong, "--overwrite"),
        ("reclassify-oso", image, image, "--oso", "oso23", "--crosswalk-only", "-o", wrong),
        ("rasterize-ref", folder, "--rules", "bdtopo-topo6", "--like", image, "-o", wrong),
        ("rasterize-ref", folder, "--rules", "bdtopo-topo6", "--like", image, "-o", right,
         "--conflicts", wrong),
    ):  # fmt: skip
        assert_refused(run_lcmap(*command), folder)
