"""Convolutions in integers, against the same rounding worked out in floating point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lcmap.graph.int8 import Range, activations, convolutions, with_integers


def model_of(
    nodes: Sequence[onnx.NodeProto], constants: dict[str, NDArray], channels: int
) -> onnx.ModelProto:
    """A graph from `image` [N, channels, H, W] to `result`."""
    shape = ["N", channels, "H", "W"]
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(
    model: onnx.ModelProto, image: NDArray, *, as_written: bool = False, dump: Path | None = None
) -> NDArray:
    """Run a model; `as_written` without onnxruntime's own integer kernels."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if dump:
        options.optimized_model_filepath = str(dump)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (result,) = session.run(None, {"image": image.astype(np.float32)})
    return result


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def identity(channels: int) -> NDArray:
    return np.eye(channels, dtype=np.float32)[:, :, None, None]


def three_convolutions(kernel: NDArray, bias: NDArray, *, relu: bool = True) -> onnx.ModelProto:
    """The first and the last hand on what they get; the one between has this kernel."""
    between = helper.make_node("Conv", ["a", "kernel", "bias"], ["sum" if relu else "b"])
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"]),
        between,
        *([helper.make_node("Relu", ["sum"], ["b"])] if relu else []),
        helper.make_node("Conv", ["b", "last"], ["result"]),
    ]
    out, channels = kernel.shape[:2]
    constants = {"first": identity(channels), "last": identity(out), "kernel": kernel, "bias": bias}
    return model_of(nodes, constants, channels)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 24), st.integers(1, 20), st.sampled_from([1, 3]), st.booleans(),
    st.floats(1e-3, 1e3), st.integers(0, 999),
)  # fmt: skip
def test_integers_are_as_near_as_their_steps(
    channels: int, out: int, side: int, relu: bool, size: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    kernel = (size * random.normal(0, 1, (out, channels, side, side))).astype(np.float32)
    bias = (size * random.normal(0, 3, out)).astype(np.float32)
    model = three_convolutions(kernel, bias, relu=relu)
    image = random.normal(0, 1, (2, channels, 9, 8)).astype(np.float32)
    expected = run(model, image)
    ranges = {"a": Range(float(image.min()), float(image.max())),
              "b": Range(float(expected.min()), float(expected.max()))}  # fmt: skip
    assert activations(model.graph) == ["a", "b"]
    changed = with_integers(model, ranges)
    assert convolutions(changed.graph) == (3, 1)
    # half a step of each number that is rounded; beyond the ranges 0 is counted in, too
    step = (max(ranges["a"].high, 0) - min(ranges["a"].low, 0)) / 255
    weight_step = np.abs(kernel).max(axis=(1, 2, 3)) / 63
    of_pixels = 0.5 * step * np.abs(kernel).sum(axis=(1, 2, 3))
    of_weights = 0.5 * weight_step * (np.abs(image).max() + step) * channels * side**2
    of_result = (max(ranges["b"].high, 0) - min(ranges["b"].low, 0)) / 255 + weight_step * step
    allowed = (of_pixels + of_weights + of_result)[:, None, None]
    assert (np.abs(run(changed, image) - expected) <= allowed * 1.001).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(0, 999))
def test_no_processor_cuts_sums_off(channels: int, out: int, seed: int) -> None:
    """The largest pixels and weights, of one sign: see _LARGEST_WEIGHT."""
    random = np.random.default_rng(seed)
    sign = random.choice([-1, 1], (out, 1, 1, 1))
    kernel = (sign * np.ones((out, channels, 3, 3)) / (9 * channels)).astype(np.float32)
    model = three_convolutions(kernel, np.zeros(out, np.float32))
    image = np.ones((1, channels, 12, 20), np.float32)
    changed = with_integers(model, {"a": Range(0, 1), "b": Range(0, 1)})
    found = run(changed, image)
    np.testing.assert_allclose(found, np.broadcast_to(np.maximum(sign[:, 0], 0), found.shape),
                               atol=1 / 255)  # fmt: skip
    np.testing.assert_array_equal(found, run(changed, image, as_written=True))


def test_the_runtime_computes_in_integers(tmp_path: Path) -> None:
    kernel = np.random.default_rng(0).normal(0, 1, (16, 16, 3, 3)).astype(np.float32)
    model = three_convolutions(kernel, np.ones(16, np.float32))
    changed = with_integers(model, {"a": Range(0, 1), "b": Range(0, 9)})
    run(changed, np.zeros((1, 16, 8, 8)), dump=tmp_path / "as_run.onnx")
    found = operators(onnx.load(tmp_path / "as_run.onnx"))
    assert found["QLinearConv"] == 1 and found["Conv"] + found["FusedConv"] == 2


def test_values_beyond_the_ranges_are_cut_off() -> None:
    model = three_convolutions(identity(1), np.zeros(1, np.float32), relu=False)
    changed = with_integers(model, {"a": Range(-1, 2), "b": Range(-1, 2)})
    image = np.array([-5.0, -1, 0, 1, 2, 7]).reshape(1, 1, 2, 3)
    expected = np.array([-1, -1, 0, 1, 2, 2]).reshape(1, 1, 2, 3)
    np.testing.assert_allclose(run(changed, image), expected, atol=3 / 255)


def test_kernels_of_zeros_and_large_biases_are_kept() -> None:
    kernel = np.stack([np.zeros((2, 1, 1)), np.full((2, 1, 1), 1e-12), np.ones((2, 1, 1))])
    bias = np.array([3, 1e3, -1], np.float32)
    model = three_convolutions(kernel.astype(np.float32), bias)
    changed = with_integers(model, {"a": Range(0, 1), "b": Range(0, 1e3)})
    found = run(changed, np.ones((1, 2, 2, 2)))[0, :, 0, 0]
    np.testing.assert_allclose(found, [3, 1e3, 1], atol=1e3 / 255)


@pytest.mark.parametrize("other", [4.0, 1.0])
def test_what_is_joined_is_brought_to_one_step(other: float) -> None:
    """Two convolutions of one image, the second `other` times the first, joined."""
    nodes = [
        helper.make_node("Conv", ["image", "one"], ["a"]),
        helper.make_node("Relu", ["a"], ["A"]),
        helper.make_node("Conv", ["image", "two"], ["b"]),
        helper.make_node("Relu", ["b"], ["B"]),
        helper.make_node("Concat", ["A", "B"], ["C"], axis=1),
        helper.make_node("Conv", ["C", "both", "none"], ["d"]),
        helper.make_node("Relu", ["d"], ["D"]),
        helper.make_node("Conv", ["D", "both"], ["result"]),
    ]
    constants = {
        "one": identity(1), "two": other * identity(1), "both": identity(2), "none": np.zeros(2),
    }  # fmt: skip
    constants = {name: values.astype(np.float32) for name, values in constants.items()}
    model = model_of(nodes, constants, 1)
    ranges = {"A": Range(0, 1), "B": Range(0, other), "D": Range(0, other)}
    changed = with_integers(model, ranges)
    image = np.linspace(0, 1, 12).reshape(1, 1, 3, 4)
    assert convolutions(changed.graph) == (4, 1)
    np.testing.assert_allclose(run(changed, image), run(model, image), atol=1.5 * other / 255)
    # alike, they are joined as the integers that they are
    made = {node.output[0]: node for node in changed.graph.node}
    (join,) = (node for node in changed.graph.node if node.op_type == "Concat")
    expected = "QuantizeLinear" if other == 1 else "DequantizeLinear"
    assert {made[name].op_type for name in join.input} == {expected}
