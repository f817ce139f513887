"""Integers in a graph become what they become outside of it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lcmap.dataset.encoding import Encoding, OneHot, scaling_of
from lcmap.dataset.input_reader import one_hot
from lcmap.dataset.normalisation import scale
from lcmap.engines.compute import Arithmetic
from lcmap.engines.onnxruntime import OnnxRuntimeSession
from lcmap.engines.openvino import OpenVinoSession
from lcmap.graph.entries import entry_names, with_entries
from lcmap.graph.float16 import in_half_precision
from lcmap.inference.inputs import travelling
from lcmap.nomenclature import load_nomenclature

HEIGHT, WIDTH = 5, 7
TOPO6 = load_nomenclature("topo6")


def passing_on(**channels: int) -> onnx.ModelProto:
    """Return a graph that returns its inputs as they come, after a layer that changes nothing."""
    sizes = {name: [1, count, HEIGHT, WIDTH] for name, count in channels.items()}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in sizes.items()
    ]
    nodes, weights = [], []
    for name, count in channels.items():
        weight = np.eye(count, dtype=np.float32)[..., None, None]
        weights.append(numpy_helper.from_array(weight, f"{name} weight"))
        nodes.append(helper.make_node("Conv", [name, f"{name} weight"], [f"{name} out"]))
    outputs = [
        helper.make_tensor_value_info(f"{name} out", TensorProto.FLOAT, size)
        for name, size in sizes.items()
    ]
    graph = helper.make_graph(nodes, "identity", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def image(dtype: str, seed: int) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    pixels = random.integers(limits.min, limits.max, (3, HEIGHT, WIDTH), dtype, endpoint=True)
    return pixels, random.random((HEIGHT, WIDTH)) < 0.7


@settings(max_examples=30, deadline=None)
@given(
    dtype=st.sampled_from(["uint8", "int8", "uint16", "int16"]),
    seed=st.integers(0, 1000),
    low=st.floats(-40000, 70000),
    spread=st.sampled_from([0.0, 1.0, 0.3, 4711.7]),
)
def test_an_image_is_scaled_to_the_last_bit(
    dtype: str, seed: int, low: float, spread: float
) -> None:
    pixels, valid = image(dtype, seed)
    quantiles = np.array([[low, low + spread], [0.1, 200.7], [7, 7]])
    encoding = scaling_of(dtype, quantiles)
    graph = with_entries(passing_on(image=3), {"image": encoding})
    found = run(graph, entry_names("image", encoding), pixels, valid[None].view(np.uint8))
    np.testing.assert_array_equal(found, scale(pixels, quantiles, valid))


def run(
    graph: onnx.ModelProto, names: tuple[str, ...], *given: NDArray[np.generic]
) -> NDArray[np.float32]:
    session = OnnxRuntimeSession(graph.SerializeToString(), threads=1)
    arrays = {name: values[None] for name, values in zip(names, given, strict=True)}
    result: NDArray[np.float32] = session.run(arrays)[0][0]
    return result


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint32", "int64"])
def test_numbers_that_float32_does_not_hold_travel_scaled(dtype: str) -> None:
    assert scaling_of(dtype, np.array([[0.0, 1.0]])) is None


def test_labels_get_a_channel_each() -> None:
    codes = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8)
    expected, _ = one_hot(codes, TOPO6)
    encoding = OneHot(len(TOPO6))
    graph = with_entries(passing_on(map=len(TOPO6)), {"map": encoding})
    found = run(graph, entry_names("map", encoding), TOPO6.code_to_index[codes][None])
    np.testing.assert_array_equal(found, expected)


def test_entries_keep_the_order_of_the_inputs() -> None:
    encodings: dict[str, Encoding] = {
        "image": scaling_of("uint8", np.array([[0.0, 1.0]] * 3)), "side": None, "map": OneHot(6)
    }  # fmt: skip
    graph = with_entries(passing_on(image=3, side=2, map=6), encodings).graph
    names = [value.name for value in graph.input]
    assert names == ["image pixels", "image valid", "side", "map indices"]
    assert names == [entry for item in encodings.items() for entry in entry_names(*item)]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16"])
def test_a_network_in_float16_is_given_what_was_scaled_in_float32(dtype: str) -> None:
    """The largest number of float16 is 65 504, and from 2 048 on it does not hold every integer."""
    pixels, valid = image(dtype, 2)
    low = float(np.iinfo(dtype).max) - 200
    quantiles = np.array([[low, low + 100]] * 3)
    pixels = np.clip(pixels, np.array(low - 50).astype(dtype), None)
    encoding = scaling_of(dtype, quantiles)
    network = in_half_precision(passing_on(first=3, image=3))
    graph = with_entries(network, {"image": encoding})
    session = OnnxRuntimeSession(graph.SerializeToString(), threads=1)
    given = {
        "first": np.zeros((1, 3, HEIGHT, WIDTH), np.float32),
        "image pixels": pixels[None],
        "image valid": valid[None, None].view(np.uint8),
    }
    np.testing.assert_allclose(
        session.run(given)[1][0], scale(pixels, quantiles, valid), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16"])
def test_openvino_scales_in_float32(dtype: str, arithmetic: Arithmetic) -> None:
    """In bfloat16 it does so for integers of 8 bits, and others do not come to it."""
    pytest.importorskip("openvino")
    pixels, valid = image(dtype, 3)
    middle = float(pixels.astype(float).mean())
    quantiles = np.array([[middle - 30.3, middle + 30.1]] * 3)
    encoding = scaling_of(dtype, quantiles)
    if arithmetic == "bfloat16" and dtype != "uint8":
        assert travelling(encoding, "bfloat16") is None
        return
    assert travelling(encoding, arithmetic) is encoding
    scaled = scale(pixels, quantiles, valid)
    outside = OpenVinoSession(passing_on(image=3).SerializeToString(), arithmetic=arithmetic)
    inside = OpenVinoSession(
        with_entries(passing_on(image=3), {"image": encoding}).SerializeToString(),
        arithmetic=arithmetic,
    )
    (found,) = inside.run(
        {"image pixels": pixels[None], "image valid": valid[None, None].view(np.uint8)}
    )
    (expected,) = outside.run({"image": scaled[None]})
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
