"""Models that would never end, fill the memory or read elsewhere are refused before they run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lcmap.errors import LcmapError, NotAModelError
from lcmap.model_file import ModelMetadata, read_model, write_model
from lcmap.model_file.limits import LARGEST_FILE

Change = Callable[[onnx.ModelProto], None]


@pytest.fixture
def model(tmp_path: Path, graph: onnx.ModelProto, metadata: ModelMetadata) -> Path:
    path = tmp_path / "model.onnx"
    write_model(graph.SerializeToString(), metadata, path)
    return path


def refused(model: Path, change: Change) -> LcmapError:
    loaded = onnx.load(model)
    change(loaded)
    onnx.save(loaded, model)
    with pytest.raises(LcmapError) as found:
        read_model(model)
    assert found.value.exit_code == 65
    return found.value


def insert(loaded: onnx.ModelProto, *nodes: onnx.NodeProto) -> None:
    """Put nodes between the image and the first convolution, which takes "x"."""
    loaded.graph.node[0].input[0] = "x"
    for node in reversed(nodes):
        loaded.graph.node.insert(0, node)


def constant(loaded: onnx.ModelProto, name: str, values: np.ndarray) -> str:
    loaded.graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def endless_loop(loaded: onnx.ModelProto) -> None:
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["on"])],
        "body",
        [value("i", TensorProto.INT64, []), value("going", TensorProto.BOOL, [])],
        [value("on", TensorProto.BOOL, [])],
    )
    constant(loaded, "true", np.array(True))
    insert(
        loaded,
        helper.make_node("Identity", ["image"], ["x"]),
        helper.make_node("Loop", ["", "true"], [], body=body),
    )


def many_zeros(loaded: onnx.ModelProto) -> None:
    shape = constant(loaded, "shape", np.array([1 << 32], np.int64))
    insert(
        loaded,
        helper.make_node("Identity", ["image"], ["x"]),
        helper.make_node("ConstantOfShape", [shape], ["zeros"]),
    )


def doubling_functions(loaded: onnx.ModelProto) -> None:
    opset = [helper.make_opsetid("", 20)]
    for level in range(40):
        call = [
            helper.make_node(f"f{level - 1}" if level else "Neg", [x], [y],
                             domain="deep" if level else "")
            for x, y in (("a", "b"), ("b", "c"))
        ]  # fmt: skip
        loaded.functions.append(
            helper.make_function("deep", f"f{level}", ["a"], ["c"], call, opset)
        )
    insert(loaded, helper.make_node("f39", ["image"], ["x"], domain="deep"))


def wide_expansion(loaded: onnx.ModelProto) -> None:
    shape = constant(loaded, "shape", np.array([4096, 4096, 4, 1, 1], np.int64))
    insert(
        loaded,
        helper.make_node("Expand", ["image", shape], ["wide"]),
        helper.make_node("Identity", ["image"], ["x"]),
    )


def large_pad(loaded: onnx.ModelProto) -> None:
    pads = constant(loaded, "pads", np.array([0, 0, 1 << 20, 1 << 20, 0, 0, 0, 0], np.int64))
    insert(loaded, helper.make_node("Pad", ["image", pads], ["x"]))


def large_stride(loaded: onnx.ModelProto) -> None:
    loaded.graph.node[0].attribute.append(helper.make_attribute("pads", [1 << 30] * 4))


def hollow_weights(loaded: onnx.ModelProto) -> None:
    loaded.graph.initializer.append(TensorProto(name="w", data_type=1, dims=[1 << 20, 1 << 20]))


def short_weights(loaded: onnx.ModelProto) -> None:
    loaded.graph.initializer.append(TensorProto(name="w", data_type=1, dims=[200]))


def large_resize(loaded: onnx.ModelProto) -> None:
    scales = constant(loaded, "scales", np.array([1, 1, 1e4, 1e4], np.float32))
    insert(loaded, helper.make_node("Resize", ["image", "", scales], ["x"], mode="nearest"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (endless_loop, "operator Loop, which lcmap does not export"),
        (many_zeros, "operator ConstantOfShape"),
        (doubling_functions, "calls functions of its own"),
        (wide_expansion, "a Expand in its graph makes"),
        (large_pad, "a Pad in its graph makes"),
        (large_stride, r"a Conv in its graph has pads \[1073741824"),
        (hollow_weights, "declares 1099511627776 values of w"),
        (short_weights, "does not hold the values of w"),
        (large_resize, "a Resize in its graph makes"),
    ],
)
def test_a_graph_that_no_export_gives(model: Path, change: Change, message: str) -> None:
    error = refused(model, change)
    assert isinstance(error, NotAModelError)
    with pytest.raises(NotAModelError, match=message):
        raise error


@pytest.mark.parametrize(
    ("key", "value"), [("stride", 10**9), ("stride", 24), ("receptive_field", 10**9)]
)
def test_metadata_out_of_proportion(model: Path, key: str, value: int) -> None:
    def change(loaded: onnx.ModelProto) -> None:
        for item in loaded.metadata_props:
            if item.key == "lcmap":
                item.value = json.dumps(json.loads(item.value) | {key: value})

    assert "its metadata is damaged" in str(refused(model, change))


def test_metadata_nested_without_end(model: Path) -> None:
    def change(loaded: onnx.ModelProto) -> None:
        for item in loaded.metadata_props:
            if item.key == "lcmap":
                item.value = "[" * 100_000 + "]" * 100_000

    assert "nested too deeply" in str(refused(model, change))


def test_what_is_not_a_file_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(NotAModelError, match="is not a regular file"):
        read_model("/dev/zero")
    large = tmp_path / "large.onnx"
    with open(large, "wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(NotAModelError, match="1 GB at most"):
        read_model(large)
