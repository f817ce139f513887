"""An installation for mapping: without PyTorch, matplotlib and Jinja2 all but train runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from small_fusion import BANDS, IMAGE, OSO, write_fusion_model
from support import PROJECT, write_raster

RUN = """
import json, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "matplotlib", "jinja2"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])

sys.meta_path.insert(0, Missing())
from support import run_lcmap
print(json.dumps([run_lcmap(*args) for args in json.loads(sys.argv[1])]))
"""

ROOFS = {
    "type": "FeatureCollection",
    "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::2154"}},
    "features": [
        {
            "type": "Feature",
            "properties": {},
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[721110, 6249280], [721130, 6249280], [721130, 6249260], [721110, 6249280]]
                ],
            },
        }
    ],
}
RULES = """name = "roofs"
title = "roofs"
nomenclature = "topo6"
[[rules]]
layer = "roofs"
class = "Buildings"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    folder = tmp_path_factory.mktemp("without")
    rng = np.random.default_rng(7)
    write_raster(folder / "spot.tif", rng.integers(0, 256, (4, 90, 121), np.uint8), names=BANDS)
    write_raster(folder / "oso.tif", rng.integers(1, 23, (1, 10, 12), np.uint8), pixel=10)
    write_fusion_model(folder / "oso.onnx", [IMAGE, OSO])
    (folder / "model.onnx").write_bytes(model.read_bytes())
    (folder / "roofs.geojson").write_text(json.dumps(ROOFS), encoding="utf-8")
    (folder / "roofs.toml").write_text(RULES, encoding="utf-8")
    return folder


def runs(folder: Path, *commands: str) -> list[list]:
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([command.split() for command in commands])],
        cwd=folder, capture_output=True, text=True,
        env={"PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results: list[list] = json.loads(done.stdout)
    return results


def test_commands_that_do_not_train(folder: Path) -> None:
    commands = (
        "rasterize-ref roofs.geojson --rules roofs.toml --like spot.tif -o ref.tif",
        "prepare spot.tif --labels ref.tif --nomenclature topo6 --tiles tiles.geojson "
        "--tile-size 32 --gap 0 -o stack.tif",
        "predict spot.tif -m model.onnx -o map.tif --probabilities p.tif",
        "predict spot.tif -m model.onnx -o int8.tif --precision int8",
        "fuse spot.tif oso.tif:oso23 -m oso.onnx -o fused.tif",
        "fuse p.tif p.tif --late product -o late.tif",
        "reclassify-oso spot.tif oso.tif --oso oso23 -m oso.onnx -o new.tif",
        "reclassify-oso spot.tif oso.tif --oso oso23 --crosswalk-only -o kept.tif",
        "update map.tif map.tif --probabilities p.tif -o updated.tif --changes changes.tif",
        "generalise map.tif -o general.tif --mmu 0.01 --vector general.gpkg",
        "areas map.tif general.tif -o areas.csv",
        "score map.tif --reference fused.tif --bootstrap 10",
    )
    for command, (code, _, stderr) in zip(commands, runs(folder, *commands), strict=True):
        assert code == 0, (command, stderr)
    with rasterio.open(folder / "new.tif") as new, rasterio.open(folder / "fused.tif") as fused:
        np.testing.assert_array_equal(new.read(), fused.read())


def test_train_says_what_is_missing(folder: Path) -> None:
    for code, _, stderr in runs(
        folder, "train tiles.geojson -o new.onnx", "train t.geojson --quantize-only a -o b.onnx"
    ):
        assert code == 2
        assert stderr.startswith("lcmap: torch: is not installed, and this command needs it; pip ")
        assert stderr.count("\n") == 1 and "download.pytorch.org/whl/cpu" in stderr
