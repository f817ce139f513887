"""The peak memory of a run, as the kernel counts it, beside what `--memory` allows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from lcmap.model_file import ModelInput, ModelMetadata, write_model
from lcmap.network import LandCoverNetwork, receptive_field, stride
from lcmap.nomenclature import load_nomenclature
from lcmap.training.export import to_onnx
from lcmap.training.recipe import PAPER, RECIPES, Recipe

# the kernel's own count of this program, not of the one that started it
RUN = """
from lcmap.cli import main
try:
    main()
finally:
    print(*(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
SIDE = 3000


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "image.tif"
    profile = {
        "driver": "GTiff", "count": 4, "dtype": "uint8", "height": SIDE, "width": SIDE,
        "crs": "EPSG:2154", "transform": Affine(0.8, 0, 700_000, 0, -0.8, 6_300_000),
        "tiled": True, "compress": "deflate", "photometric": "MINISBLACK", "alpha": "NO",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.random.default_rng(0).integers(1, 256, (4, SIDE, SIDE), np.uint8))
    return path


def model(folder: Path, recipe: Recipe) -> Path:
    """Write a network of a recipe's size, with random weights."""
    architecture = recipe.architecture
    network = LandCoverNetwork([4], 7, architecture)
    metadata = ModelMetadata(
        load_nomenclature("flair7"),
        (ModelInput("image", "image", ("red", "green", "blue", "nir"), "uint8", 0.8),),
        stride(architecture),
        receptive_field(architecture),
    )
    path = folder / "model.onnx"
    write_model(to_onnx(network, ["image"]), metadata, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize(
    "options",
    [
        ("--engine", "onnxruntime"),
        ("--engine", "openvino"),
        ("--precision", "int8"),
        ("--precision", "bfloat16"),
        ("--verify",),
        ("--probabilities", "p.tif", "--margin", "m.tif"),
    ],
    ids=" ".join,
)
def test_a_run_stays_within_its_memory_and_uses_it(
    recipe: Recipe, options: tuple[str, ...], image: Path, tmp_path: Path
) -> None:
    if recipe is PAPER and options == ("--verify",):
        pytest.skip("as the default does, and for minutes")
    network = model(tmp_path, recipe)
    words = ["predict", str(image), "-m", str(network), "-o", "map.tif", "--overwrite", *options]
    peaks = {}
    for memory in (1000, 2000):
        run = subprocess.run(
            [sys.executable, "-c", RUN, *words, "--memory", f"{memory}M", "--quiet"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if "bfloat16" in options and "no instructions for it" in run.stderr:
            pytest.skip("no bfloat16")
        assert run.returncode == 0, run.stderr
        peaks[memory] = int(run.stdout.split()[-2]) * 1024
        assert peaks[memory] <= memory * 10**6
    # the image is divided into equal tiles, so not all that is allowed is taken, but more of more
    assert peaks[2000] > 1.2 * peaks[1000]
