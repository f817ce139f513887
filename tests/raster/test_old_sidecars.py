"""Sidecars of a raster that is replaced go with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from support import write_raster

Lcmap = Callable[..., Any]

OTHERS = ("stack.tiff.msk", "stack2.tif.ovr", "stack2.qml", "other.tif.aux.xml")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(1, 255, (4, 600, 600), "uint8")
    return write_raster(tmp_path / "image.tif", pixels)


def old_stack(path: Path) -> None:
    """Write a raster that is hidden by a mask and has overviews and statistics beside it."""
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False, TIFF_USE_OVR=True):
        write_raster(path, np.full((4, 600, 600), 9, "uint8"))
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(np.zeros((600, 600), "uint8"))
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews([2])
    path.with_suffix(".qml").write_text("<qgis/>")
    Path(f"{path}.aux.xml").write_text("<PAMDataset/>")


def test_the_mask_and_overviews_of_the_old_stack_do_not_hide_the_new_one(
    lcmap: Lcmap, image: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    stack = folder / "stack.tif"
    old_stack(stack)
    assert {"stack.tif.msk", "stack.tif.ovr"} <= set(os.listdir(folder))
    for name in OTHERS:
        (folder / name).write_bytes(b"mine")
    run = lcmap("prepare", image, "-o", stack)
    assert run.exit_code == 73 and (folder / "stack.tif.msk").exists()
    run = lcmap("prepare", image, "-o", stack, "--overwrite")
    assert run.exit_code == 0, run.stderr
    assert sorted(os.listdir(folder)) == sorted([".stack.tif.lcmap-made", "stack.tif", *OTHERS])
    with rasterio.open(stack) as new, rasterio.open(image) as source:
        np.testing.assert_array_equal(new.read(), source.read())
        assert (new.dataset_mask() == 255).all()


def test_a_style_that_may_be_of_another_layer_stays(
    lcmap: Lcmap, image: Path, tmp_path: Path
) -> None:
    stack = tmp_path / "stack.tif"
    old_stack(stack)
    (tmp_path / "stack.gpkg").write_bytes(b"mine")
    assert lcmap("prepare", image, "-o", stack, "--overwrite").exit_code == 0
    assert (tmp_path / "stack.qml").exists() and not (tmp_path / "stack.tif.aux.xml").exists()


@pytest.mark.parametrize("qml", [[], ["--qml"], ["--no-qml"]])
def test_a_map_has_its_own_sidecars_only(
    lcmap: Lcmap, image: Path, model: Path, tmp_path: Path, qml: list[str]
) -> None:
    stack, output = tmp_path / "stack.tif", tmp_path / "map.tif"
    assert lcmap("prepare", image, "-o", stack).exit_code == 0
    old_stack(output)
    run = lcmap("predict", stack, "-m", model, "-o", output, "--overwrite", "--tile", 256, *qml)
    assert run.exit_code == 0, run.stderr
    beside = {name for name in os.listdir(tmp_path) if name.startswith("map.")} - {"map.tif"}
    assert beside == (set() if "--no-qml" in qml else {"map.qml", "map.tif.aux.xml"})
    if beside:
        assert "paletted" in (tmp_path / "map.qml").read_text()
        assert "CategoryNames" in (tmp_path / "map.tif.aux.xml").read_text()
