"""Deepness reads the keys as its class ModelBase does and scales pixels as lcmap would."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import rasterio
from small_model import write_small_model
from support import run_lcmap, write_raster

from lcmap.model_file import ModelInput, ModelMetadata, load_graph, write_model
from lcmap.model_file.deepness import deepness_keys, tile_side


def test_every_value_is_json_of_the_type_that_the_plugin_expects(metadata: ModelMetadata) -> None:
    keys = {key: json.loads(value) for key, value in deepness_keys(metadata).items()}
    assert str(keys["model_type"]).capitalize() == "Segmentor"
    # the plugin refuses names whose keys are not 0, 1, 2 …
    names = sorted(keys["class_names"].items(), key=lambda item: int(item[0]))
    assert [int(key) for key, _ in names] == list(range(7))
    assert [name for _, name in names] == [c.name for c in metadata.nomenclature.classes]
    assert keys["resolution"] == pytest.approx(80.0)
    assert keys["tile_size"] == keys["tiles_size"] == 512
    assert (keys["seg_thresh"], keys["seg_small_segment"]) == (0, 0)


def test_the_plugins_standardisation_is_lcmaps_scaling(metadata: ModelMetadata) -> None:
    keys = deepness_keys(metadata)
    mean = np.array(json.loads(keys["standardization_mean"]))
    std = np.array(json.loads(keys["standardization_std"]))
    pixels = np.array([[30, 35, 38, 21], [200, 210, 190, 90], [115, 122.5, 114, 0]])
    scaled = (pixels / 255.0 - mean) / std
    # the last band has no contrast: it becomes 0
    expected = [[0, 0, 0, 0], [1, 1, 1, 0], [0.5, 0.5, 0.5, 0]]
    np.testing.assert_allclose(scaled, expected, atol=1e-9)


@pytest.mark.parametrize("receptive_field", [10, 44, 92, 188, 500])
def test_the_overlap_hides_the_seams(metadata: ModelMetadata, receptive_field: int) -> None:
    wide = dataclasses.replace(metadata, receptive_field=receptive_field)
    keys = deepness_keys(wide)
    tile, percent = int(keys["tile_size"]), int(keys["tiles_overlap"])
    assert tile * percent / 100 / 2 >= receptive_field
    assert tile * (100 - percent) / 100 % metadata.stride == 0


def test_a_model_of_two_entries_has_no_keys(metadata: ModelMetadata) -> None:
    side = ModelInput("s2", "image", ("B2",), "uint16", 10.0)
    both = dataclasses.replace(metadata, inputs=(*metadata.inputs, side))
    assert deepness_keys(both) == {} and tile_side(both) is None


def by_deepness(model: Path, tile: np.ndarray) -> np.ndarray:
    """Return the classes of a tile [H, W, C], as Deepness 0.6.5 loads a model and runs it."""
    session = onnxruntime.InferenceSession(model)
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    keys = session.get_modelmeta().custom_metadata_map
    # its field for the tiles' size takes a number, and its check for squares two that are equal
    assert [type(n) for n in taken.shape[-2:]] == [int, int]
    assert given.shape[2] == given.shape[3] == json.loads(keys["tile_size"])
    assert isinstance(taken.shape[0], str)  # the size of a batch is the user's
    mean, std = (
        np.array([float(value) for value in json.loads(keys[f"standardization_{name}"])], "float32")
        for name in ("mean", "std")
    )
    batch = (np.float32(tile[None] * 1.0 / 255.0) - mean) / std
    (result,) = session.run(None, {taken.name: batch.transpose(0, 3, 1, 2)})
    return result.argmax(axis=1)[0]


def test_the_plugin_makes_the_map_of_training_quantiles(tmp_path: Path) -> None:
    quantiles = ((10.0, 200.0), (20.0, 220.0), (5.0, 180.0), (30.0, 240.0))
    model = write_small_model(tmp_path / "model.onnx", quantiles=quantiles)
    graph = onnx.load(model)
    # what onnxruntime 1.17 reads, which the plugin installs
    assert graph.ir_version <= 9 and all(opset.version <= 20 for opset in graph.opset_import)
    pixels = np.random.default_rng(3).integers(0, 255, (4, 512, 512), "uint8")
    image = write_raster(tmp_path / "image.tif", pixels, names=["red", "green", "blue", "nir"])
    run = run_lcmap(
        *("predict", image, "-m", model, "-o", tmp_path / "map.tif", "--quantiles", "model")
    )
    assert run.exit_code == 0, run.stderr
    with rasterio.open(tmp_path / "map.tif") as dataset:
        codes = dataset.read(1)
    found = by_deepness(model, pixels.transpose(1, 2, 0)) + 1  # flair7 counts from 1
    # rounding decides ties alone
    assert (found == codes).mean() > 0.9999


def test_lcmap_itself_takes_any_size(
    tmp_path: Path, graph: onnx.ModelProto, metadata: ModelMetadata
) -> None:
    write_model(graph.SerializeToString(), metadata, tmp_path / "model.onnx")
    free = load_graph(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(free.SerializeToString())
    (result,) = session.run(None, {"image": np.zeros((2, 4, 24, 40), "float32")})
    assert result.shape == (2, 7, 24, 40)
