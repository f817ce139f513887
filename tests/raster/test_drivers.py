"""Drivers that the environment hides from GDAL are named, with the variable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import shapely
from rasterio.shutil import copy
from support import write_raster

RULES = """name = "r"
title = "r"
nomenclature = "topo6"
[[rules]]
layer = "roofs"
class = "Buildings"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_raster(tmp_path / "image.tif", np.ones((1, 8, 8), np.uint8))
    copy(tmp_path / "image.tif", tmp_path / "image.jp2", driver="JP2OpenJPEG")
    (tmp_path / "r.toml").write_text(RULES, encoding="utf-8")
    roof = shapely.to_wkb([shapely.box(721_105, 6_249_284, 721_108, 6_249_287)])
    for name, driver in (("roofs.gpkg", "GPKG"), ("roofs.fgb", "FlatGeobuf")):
        pyogrio.raw.write(tmp_path / name, roof, [], [], geometry_type="Polygon",
                          crs="EPSG:2154", driver=driver)  # fmt: skip
    return tmp_path


def run(folder: Path, skip: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "lcmap", *args],
        cwd=folder, env=os.environ | skip, capture_output=True, text=True,
    )  # fmt: skip
    assert "a bug" not in done.stderr and "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize("skipped", ["GTiff", "MEM", "VRT", "COG", "PNG,GTiff"])
def test_a_driver_that_every_raster_needs(folder: Path, skipped: str) -> None:
    done = run(folder, {"GDAL_SKIP": skipped}, "prepare", "image.tif", "-o", "stack.tif")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"lcmap: GDAL_SKIP={skipped}: hides from lcmap what it needs, ")
    assert skipped.replace(",", " ").split()[-1] in done.stderr.split("driver")[1]
    assert "unset GDAL_SKIP" in done.stderr and not (folder / "stack.tif").exists()


def test_a_driver_that_this_run_does_not_need(folder: Path) -> None:
    hidden = {"GDAL_SKIP": "PNG JP2OpenJPEG", "OGR_SKIP": "GeoJSON"}
    assert run(folder, hidden, "prepare", "image.tif", "-o", "stack.tif").returncode == 0
    done = run(folder, hidden, "prepare", "image.jp2", "-o", "other.tif")
    assert done.returncode == 65
    assert "unset GDAL_SKIP=PNG JP2OpenJPEG and OGR_SKIP=GeoJSON, which may hide" in done.stderr


@pytest.mark.parametrize(
    ("variable", "skipped", "source", "code"),
    [
        ("GDAL_SKIP", "GPKG", "roofs.gpkg", 2),
        ("OGR_SKIP", "GPKG", "roofs.gpkg", 2),
        ("OGR_SKIP", "GPKG", "roofs.fgb", 0),
        ("OGR_SKIP", "FlatGeobuf", "roofs.gpkg", 2),
        ("OGR_SKIP", "OGR_VRT", "roofs.gpkg", 2),
        ("GDAL_SKIP", "MEM", "roofs.gpkg", 2),
    ],
)
def test_drivers_of_vector_files(
    folder: Path, variable: str, skipped: str, source: str, code: int
) -> None:
    done = run(folder, {variable: skipped}, "rasterize-ref", source, "--rules", "r.toml",
               "--like", "image.tif", "-o", "labels.tif")  # fmt: skip
    assert done.returncode == code, done.stderr
    if code:
        assert done.stderr.startswith(f"lcmap: {variable}={skipped}: hides from lcmap")
        assert done.stderr.count("\n") == 1
