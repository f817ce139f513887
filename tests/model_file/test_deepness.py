"""Deepness reads the keys as its class ModelBase does and scales pixels as lcmap would."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from lcmap.model_file import ModelInput, ModelMetadata
from lcmap.model_file.deepness import deepness_keys


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
    assert deepness_keys(dataclasses.replace(metadata, inputs=(*metadata.inputs, side))) == {}
