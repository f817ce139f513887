"""A model maps in QGIS's Deepness plugin, by the plugin's own code, what `lcmap predict` maps."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
from qgis_here import PYTHON, has_qgis
from small_campaign import picture
from small_model import BANDS, write_small_model
from support import run_lcmap, write_raster

from lcmap.nomenclature import load_nomenclature

SCRIPT = Path(__file__).with_name("deepness_map.py")
CLASSES = load_nomenclature("flair7").classes
QUANTILES = ((40.0, 200.0), (30.0, 220.0), (50.0, 210.0), (20.0, 180.0))
RIM = 16
"""Pixels at the border of the image, beyond which the plugin and lcmap see something else."""


@pytest.mark.slow
def test_the_plugin_maps_the_same(tmp_path: Path) -> None:
    plugin = os.environ.get("LCMAP_DEEPNESS")
    if plugin is None or not has_qgis():
        pytest.skip("needs QGIS and LCMAP_DEEPNESS=…/deepness, the plugin: see CONTRIBUTING.md")
    # more than one tile of the plugin, each way
    image = write_raster(tmp_path / "image.tif", picture(700, 620), names=BANDS)
    model = write_small_model(tmp_path / "model.onnx", quantiles=QUANTILES)
    made, classes = tmp_path / "map.tif", tmp_path / "classes.npy"
    said = subprocess.run(
        [PYTHON, str(SCRIPT), plugin, str(model), str(image), str(classes)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(said.stdout.splitlines()[-1]) == {
        "type": "Segmentor",
        "channels": 4,
        "size": 512,
        "tile size": 512,
        "overlap": 25,
        "resolution": 80.0,
        "names": [land_cover.name for land_cover in CLASSES],
    }
    run = run_lcmap("predict", image, "-m", model, "-o", made, "--quantiles", "model")
    assert run.exit_code == 0, run.stderr
    with rasterio.open(made) as dataset:
        codes = dataset.read(1)
    codes_of_plugin = np.array([0, *(land_cover.code for land_cover in CLASSES)])
    (found,) = codes_of_plugin[np.load(classes)]
    assert found.shape == codes.shape
    inside = np.s_[RIM:-RIM, RIM:-RIM]
    assert len(np.unique(codes[inside])) > 3
    # sums in another order decide few pixels
    assert (found == codes)[inside].mean() > 0.9995
