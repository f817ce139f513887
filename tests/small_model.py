"""Small models with random weights, quick to make and to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from lcmap.model_file import ModelInput, ModelMetadata, load_graph, read_model, write_model
from lcmap.nomenclature import load_nomenclature

BANDS = ("red", "green", "blue", "nir")


def write_small_model(path: Path, *, depth: int = 2, **changes: Any) -> Path:
    """Write a model of flair7 for images of four bands; keyword arguments change its metadata."""
    of_input = {
        key: changes.pop(key)
        for key in ("bands", "dtype", "gsd", "quantiles", "normalisation")
        if key in changes
    }
    model_input = replace(ModelInput("image", "image", BANDS, "uint8", 0.8), **of_input)
    metadata = ModelMetadata(
        nomenclature=load_nomenclature("flair7"),
        inputs=(model_input,),
        stride=2**depth,
        # a convolution of one pixel on every level, down and up, and the width of a pooled cell
        receptive_field=4 * 2**depth - 3,
    )
    graph = small_graph(len(model_input.bands), len(metadata.nomenclature), depth)
    write_model(graph.SerializeToString(), replace(metadata, **changes), path)
    return path


def write_label_fusion_model(path: Path, *, depth: int = 2) -> Path:
    """Write a model of flair7 for such images and a label map in oso23, beside them at 10 m."""
    image = ModelInput("image", "image", BANDS, "uint8", 0.8)
    oso = ModelInput(
        "side1", "labels", ("class",), "uint8", 10.0, nomenclature=load_nomenclature("oso23")
    )
    metadata = ModelMetadata(
        load_nomenclature("flair7"), (image, oso), 2**depth, receptive_field=4 * 2**depth - 3
    )
    model = small_graph(image.channels + oso.channels, 7, depth)
    graph = model.graph
    for node in graph.node:
        node.input[:] = ["joined" if name == "image" else name for name in node.input]
    del graph.input[:]
    graph.input.extend(
        helper.make_tensor_value_info(one.name, TensorProto.FLOAT, ["N", one.channels, "H", "W"])
        for one in (image, oso)
    )
    graph.node.insert(0, helper.make_node("Concat", ["image", "side1"], ["joined"], axis=1))
    write_model(model.SerializeToString(), metadata, path)
    return path


def write_coarse_model(path: Path, levels: tuple[int, ...], *, depth: int) -> Path:
    """Write a model of flair7 for such images and images of two bands on cells of these levels."""
    image = ModelInput("image", "image", BANDS, "uint8", 0.8)
    sides = tuple(
        ModelInput(f"side{n}", "image", ("red", "nir"), "uint8", 0.8 * 2**level, level=level)
        for n, level in enumerate(levels, 1)
    )
    metadata = ModelMetadata(
        load_nomenclature("flair7"), (image, *sides), 2**depth, receptive_field=4 * 2**depth - 3
    )
    graph = small_graph(4, 7, depth, [(2, level) for level in levels])
    write_model(graph.SerializeToString(), metadata, path)
    return path


def whole_image(model: Path, scaled: np.ndarray, stride: int, *sides: np.ndarray) -> np.ndarray:
    """The definition: the network once over the image [C, H, W] mirrored to the pooling grid.

    Sides [C, H/2^k, W/2^k], rounded up, are mirrored to as many pooling cells.
    """
    _, height, width = scaled.shape
    lengths = [max(-(-n // stride) * stride, 2 * stride) for n in (height, width)]
    session = onnxruntime.InferenceSession(load_graph(model).SerializeToString())
    given = {}
    for one, values in zip(read_model(model).inputs, (scaled, *sides), strict=True):
        whole = [n >> one.level for n in lengths]
        around = [(0, n - has) for n, has in zip(whole, values.shape[1:], strict=True)]
        given[one.name] = np.pad(values, ((0, 0), *around), mode="reflect")[None]
    return session.run(None, given)[0][0, :, :height, :width]


def small_graph(
    channels: int, classes: int, depth: int, sides: Sequence[tuple[int, int]] = ()
) -> onnx.ModelProto:
    """A U-Net of one convolution per level, with random weights.

    Mirror padding, max pooling, unpooling to where the maxima were, skips, softmax. `sides` are the
    channels and levels of further inputs, whose encoders start there.
    """
    rng = np.random.default_rng(depth)
    nodes, weights = [], []

    def constant(name: str, values: object, dtype: type) -> str:
        weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(op: str, inputs: list[str], output: str, **attributes: object) -> str:
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def convolution(x: str, name: str, taken: int, given: int) -> str:
        padded = node("Pad", [x, "rim"], f"{name}_padded", mode="reflect")
        kernel = rng.normal(0, 1.5 / np.sqrt(9 * taken), (given, taken, 3, 3))
        inputs = [
            padded,
            constant(f"{name}_weight", kernel, np.float32),
            constant(f"{name}_bias", rng.normal(0, 0.1, given), np.float32),
        ]
        return node("Relu", [node("Conv", inputs, f"{name}_sum")], name)

    def doubled(x: str, name: str) -> str:
        return node("Resize", [x, "", "double"], name, mode="nearest",
                    coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip

    constant("rim", [0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    constant("double", [1, 1, 2, 2], np.float32)
    width = 4
    x, skips = "image", []
    for level in range(depth):
        skip = convolution(x, f"encoder{level}", width if level else channels, width)
        x = node("MaxPool", [skip], f"pooled{level}", kernel_shape=[2, 2], strides=[2, 2])
        maxima = node("Equal", [skip, doubled(x, f"maxima{level}")], f"is_maximum{level}")
        skips.append((skip, node("Cast", [maxima], f"index{level}", to=TensorProto.FLOAT)))
    features = [x]
    for number, (taken, first) in enumerate(sides, 1):
        x = f"side{number}"
        for level in range(first, depth):
            found = convolution(
                x, f"side{number}_level{level}", width if level > first else taken, width
            )
            x = node("MaxPool", [found], f"side{number}_pooled{level}", kernel_shape=[2, 2],
                     strides=[2, 2])  # fmt: skip
        features.append(x)
    if sides:
        x = node("Concat", features, "features", axis=1)
    x = convolution(x, "deepest", width * len(features), width)
    for level in reversed(range(depth)):
        skip, index = skips[level]
        unpooled = node("Mul", [doubled(x, f"doubled{level}"), index], f"unpooled{level}")
        joined = node("Concat", [unpooled, skip], f"joined{level}", axis=1)
        x = convolution(joined, f"decoder{level}", 2 * width, width)
    constant("classifier", rng.normal(0, 3, (classes, width, 1, 1)), np.float32)
    node("Softmax", [node("Conv", [x, "classifier"], "logits")], "probabilities", axis=1)
    graph = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", channels, "H", "W"]),
            *(
                helper.make_tensor_value_info(
                    f"side{n}", TensorProto.FLOAT, ["N", taken, f"H{level}", f"W{level}"]
                )
                for n, (taken, level) in enumerate(sides, 1)
            ),
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT,
                                       ["N", classes, "h", "w"])],
        weights,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
