"""Virtual rasters (VRT), allowed, where a command opens several rasters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from support import Run, write_raster

from lcmap.nomenclature import load_nomenclature
from lcmap.raster.classes import write_class_table

Lcmap = Callable[..., Run]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Images of two dates, a map that names its classes, oso23, and a VRT of each."""
    rng = np.random.default_rng(0)
    for day, low in (("20180705", 1000), ("20180715", 3000)):
        image = (low + rng.integers(0, 100, (2, 48, 48))).astype(np.int16)
        write_raster(tmp_path / f"s_{day}.tif", image, names=("B2", "B3"), nodata=-1)
    oso = write_raster(tmp_path / "oso.tif", rng.integers(1, 24, (1, 48, 48)).astype(np.uint8))
    with rasterio.open(oso, "r+") as dataset:
        write_class_table(dataset, load_nomenclature("oso23").class_table())
    for name in ("s_20180705", "s_20180715", "oso"):
        rasterio.shutil.copy(tmp_path / f"{name}.tif", tmp_path / f"{name}.vrt", driver="VRT")
    return tmp_path


def _pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read()


def test_dates_of_a_period_may_be_vrts(lcmap: Lcmap, files: Path) -> None:
    for kind, options in (("tif", ()), ("vrt", ("--allow-vrt",))):
        run = lcmap(
            "prepare", files / f"s_20180705.{kind}", files / f"s_20180715.{kind}",
            "--period", "2018-07", "-o", files / f"july_{kind}.tif", *options,
        )  # fmt: skip
        assert run.exit_code == 0, run.stderr
    days = [_pixels(files / f"s_{day}.tif").astype(float) for day in ("20180705", "20180715")]
    found = _pixels(files / "july_vrt.tif")
    assert np.array_equal(found, np.rint(np.mean(days, axis=0)))
    assert np.array_equal(found, _pixels(files / "july_tif.tif"))


def test_a_label_map_that_names_its_classes_may_be_a_vrt(lcmap: Lcmap, files: Path) -> None:
    for kind, options in (("tif", ("--oso", "oso23")), ("vrt", ("--allow-vrt",))):
        run = lcmap(
            "reclassify-oso", files / "s_20180705.tif", files / f"oso.{kind}", "--crosswalk-only",
            "-o", files / f"map_{kind}.tif", *options,
        )  # fmt: skip
        assert run.exit_code == 0, run.stderr
    assert np.array_equal(_pixels(files / "map_vrt.tif"), _pixels(files / "map_tif.tif"))
