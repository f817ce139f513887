"""A datum shift whose grid is not installed is warned of, or refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from pyproj.transformer import TransformerGroup
from rasterio.warp import transform
from support import write_raster

GRID = "fr_ign_gr3df97a.tif"
RULES = """name = "r"
title = "r"
nomenclature = "topo6"
[[rules]]
layer = "roofs"
class = "Buildings"
"""


@pytest.fixture(autouse=True)
def without_the_grid() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if TransformerGroup(27572, 2154).best_available:
            pytest.skip("the grid is installed")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 6, (1, 40, 40), np.uint8)
    write_raster(tmp_path / "image.tif", pixels)
    x, y = 721_104.0, 6_249_288.0
    (west,), (north,) = transform("EPSG:2154", "EPSG:27572", [x], [y])
    old = rng.integers(1, 6, (1, 80, 80), np.uint8)
    write_raster(tmp_path / "old.tif", old, epsg=27572, corner=(west - 20, north + 20))
    roof = shapely.to_wkb([shapely.box(west + 5, north - 20, west + 20, north - 5)])
    pyogrio.raw.write(tmp_path / "roofs.gpkg", roof, [], [], geometry_type="Polygon",
                      crs="EPSG:27572", driver="GPKG")  # fmt: skip
    (tmp_path / "r.toml").write_text(RULES, encoding="utf-8")
    return tmp_path


COMMANDS = [
    "rasterize-ref roofs.gpkg --rules r.toml --like image.tif -o out.tif",
    "prepare old.tif --like image.tif -o out.tif",
    "prepare image.tif --labels old.tif --nomenclature topo6 -o out.tif",
    "reclassify-oso image.tif old.tif --oso oso23 --crosswalk-only -o out.tif",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_warned_of_once_and_refused_on_request(lcmap, folder: Path, command: str) -> None:
    done = lcmap(*command.split())
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count(GRID) == 2 and done.stderr.count("warning: EPSG:27572 to ") == 1
    assert "PROJ_NETWORK=ON" in done.stderr and f"pyproj sync --file {GRID}" in done.stderr
    for made in folder.glob("out.*"):
        made.unlink()

    refused = lcmap(*command.split(), "--strict-crs")
    assert refused.exit_code == 65
    error = refused.stderr.splitlines()[-1]
    assert error.startswith("lcmap: EPSG:27572 to EPSG:2154: the grid of the datum shift")
    assert GRID in refused.stderr and not (folder / "out.tif").exists()


@pytest.mark.parametrize("epsg", [4326, 32631, 3857, 4258, 3035])
def test_systems_that_need_no_grid(lcmap, folder: Path, epsg: int) -> None:
    with rasterio.open("image.tif") as image:
        (west, east), (south, north) = transform(
            image.crs, f"EPSG:{epsg}", [image.bounds.left, image.bounds.right],
            [image.bounds.bottom, image.bounds.top],
        )  # fmt: skip
    roof = shapely.to_wkb([shapely.box(west, south, east, north)])
    pyogrio.raw.write(folder / "roofs.fgb", roof, [], [], geometry_type="Polygon",
                      crs=f"EPSG:{epsg}", driver="FlatGeobuf")  # fmt: skip
    done = lcmap("rasterize-ref", "roofs.fgb", "--rules", "r.toml", "--like", "image.tif",
                 "-o", "out.tif", "--strict-crs")  # fmt: skip
    assert done.exit_code == 0 and "grid" not in done.stderr
