from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lcmap.model_file import ModelInput, ModelMetadata
from lcmap.nomenclature import load_nomenclature


def make_graph(channels: int, classes: int, model_input: str = "image") -> onnx.ModelProto:
    """One 1 × 1 convolution and a softmax: the smallest network that classifies pixels."""
    shape = ["N", channels, "H", "W"]
    weights = np.linspace(-1, 1, channels * classes, dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", [model_input, "weight"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "smallest",
        [helper.make_tensor_value_info(model_input, TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(
                "probabilities", TensorProto.FLOAT, ["N", classes, "H", "W"]
            )
        ],
        [numpy_helper.from_array(weights.reshape(classes, channels, 1, 1), "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def graph() -> onnx.ModelProto:
    return make_graph(4, 7)


@pytest.fixture
def metadata() -> ModelMetadata:
    return ModelMetadata(
        nomenclature=load_nomenclature("flair7"),
        inputs=(
            ModelInput(
                name="image",
                kind="image",
                bands=("red", "green", "blue", "nir"),
                dtype="uint8",
                gsd=0.8,
                gsd_range=(0.8, 0.8),
                quantiles=((30.0, 200.0), (35.0, 210.0), (38.0, 190.0), (21.0, 21.0)),
            ),
        ),
        stride=8,
        receptive_field=44,
        architecture={"name": "U-Net", "depth": 3},
        training={"epochs": 12, "tiles": ["a.tiles.geojson"]},
        scores={"mIoU": 0.5},
        lcmap_version="0.1.0",
    )
