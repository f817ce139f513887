"""Graphs that compute in float16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.transformers import float16

from lcmap.engines.onnxruntime import OnnxRuntimeSession
from lcmap.graph.float16 import in_half_precision

CONVERT = float16.convert_float_to_float16


def as_onnxruntime_1_31(*arguments: object, **options: object) -> onnx.ModelProto:
    """The tool's conversion with a cast for each operator that reads a value in float32.

    It wrote "x_cast_to_fp32" as often, under the same name, and its type too.
    """
    found: onnx.ModelProto = CONVERT(*arguments, **options)
    for values in (found.graph.node, found.graph.value_info):
        values.extend([value for value in values if "_cast_to_fp32" in value.name])
    return found


@pytest.mark.parametrize("convert", [CONVERT, as_onnxruntime_1_31])
def test_the_graph_of_a_model_computes_nearly_the_same_in_float16(
    model: Path, monkeypatch: pytest.MonkeyPatch, convert: object
) -> None:
    monkeypatch.setattr(float16, "convert_float_to_float16", convert)
    graph = onnx.load(model)
    halved = in_half_precision(graph)
    kinds = {tensor.data_type for tensor in halved.graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds
    image = np.random.default_rng(0).random((1, 4, 512, 512), np.float32)
    (whole,), (half,) = (
        OnnxRuntimeSession(each.SerializeToString()).run({graph.graph.input[0].name: image})
        for each in (graph, halved)
    )
    assert half.dtype == np.float32
    # where the two largest of four pixels are nearly the same, another one may win
    assert np.mean(np.abs(half - whole) < 0.02) > 0.999
    assert not np.array_equal(half, whole)
