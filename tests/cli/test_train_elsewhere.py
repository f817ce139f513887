"""lcmap train --calibrate elsewhere: images left out in turn say how sure a model is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.crs import CRS

from lcmap.raster.grid import Grid
from lcmap.raster.writing import RasterFormat, atomic_raster

Lcmap = Callable[..., Any]


def place(lcmap: Lcmap, folder: Path, name: str, east: int, bands: np.ndarray) -> Path:
    """Prepare an image, the right half of which is of another class; return its tiles."""
    grid = Grid(CRS.from_epsg(2154), rasterio.Affine(1.5, 0, east, 0, -1.5, 0), 64, 64)
    codes = np.ones((1, 64, 64), np.uint8)
    codes[:, :, 32:] = 2
    for kind, values in (("image", bands), ("reference", codes)):
        format = RasterFormat(len(values), "uint8", 0 if kind == "reference" else None)
        path = folder / f"{name}.{kind}.tif"
        with atomic_raster(path, grid, format, overwrite=False) as dataset:
            dataset.write(values)
    done = lcmap(
        "prepare", folder / f"{name}.image.tif", "--labels", folder / f"{name}.reference.tif",
        "--nomenclature", "flair7", "--tiles", folder / f"{name}.tiles.geojson", "--tile-size", 16,
        "--gap", 0, "-o", folder / f"{name}.stack.tif",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    return folder / f"{name}.tiles.geojson"


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        found: np.ndarray = dataset.read(1)
    return found


def test_the_map_is_the_same_and_its_confidence_lower(lcmap: Lcmap, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    noise = random.integers(-20, 21, (3, 2, 64, 64))
    dark = np.full((64, 64), 60)
    light = dark.copy()
    light[:, 32:] = 180
    # the second class is light in two bands, in one, and in the other
    images = [np.stack(bands) for bands in ((light, light), (light, dark), (dark, light))]
    tiles = [
        place(lcmap, tmp_path, f"zone{n}", 10_000 * n, (image + noise[n]).astype(np.uint8))
        for n, image in enumerate(images)
    ]
    for how in ("beside", "elsewhere"):
        done = lcmap(
            "train", *tiles, "-o", tmp_path / f"{how}.onnx", "--width", 8, "--depth", 1,
            "--epochs", 1, "--calibrate", how, "--stac",
        )  # fmt: skip
        assert done.exit_code == 0, done.stderr
        assert ("on images left out, mean of 3 parts:" in done.stdout) == (how == "elsewhere")
        mapped = lcmap(
            "predict", tmp_path / "zone0.stack.tif", "-m", tmp_path / f"{how}.onnx",
            "-o", tmp_path / f"{how}.tif", "--confidence", tmp_path / f"{how}.c.tif",
        )  # fmt: skip
        assert mapped.exit_code == 0, mapped.stderr
    assert np.array_equal(read(tmp_path / "beside.tif"), read(tmp_path / "elsewhere.tif"))
    assert read(tmp_path / "elsewhere.c.tif").mean() < read(tmp_path / "beside.c.tif").mean() - 5
    item = json.loads((tmp_path / "elsewhere.stac.json").read_text())
    calibration = item["properties"]["mlm:hyperparameters"]["calibration"]
    assert calibration["fitted on"] == "images left out"
    assert not list(tmp_path.glob("*.pt"))
