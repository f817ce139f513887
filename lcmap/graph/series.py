"""A network of series in two: what pools the dates of each pixel, and what sees the rest.

Of a series the network computes each pixel by itself, until its dates have become one set of
features (see `lcmap.network.series`). As a graph of its own this part takes pixels in any number
and order, few enough at a time to stay in the processor's cache; and the rest takes the features as
it takes any input that is coarser than the image, whatever the number of dates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lcmap.graph.nodes import (
    ELEMENTWISE,
    Constant,
    UnknownGraphError,
    as_array,
    constants,
    kernel,
    needed,
)
from lcmap.model_file.graph import input_tensors

_OF_DATES = frozenset({"ReduceMax", "ReduceSum"})
"""Operators over the first axis, which is that of dates."""

_OF_PIXELS = ELEMENTWISE | _OF_DATES | {"Conv", "Cos", "Sin"}
"""Operators that compute each pixel from the same pixel of their inputs."""

_PIXELWISE: dict[str, Any] = {
    "dilations": [1, 1], "group": 1, "pads": [0, 0, 0, 0], "strides": [1, 1],
}  # fmt: skip
"""What these attributes are of a convolution of 1 × 1 that computes each pixel by itself."""


class Pooling(NamedTuple):
    """The graph that pools the dates of n pixels of a series, and how many features it gives.

    It takes what `input_tensors` says, of one row of pixels, and gives features, float32
    [1, F, 1, n].
    """

    graph: onnx.ModelProto
    features: int


class SplitNetwork(NamedTuple):
    """A network that takes features in the place of each series, and what gives them, by name."""

    rest: onnx.ModelProto
    poolings: dict[str, Pooling]


def split_series(model: onnx.ModelProto, names: Sequence[str]) -> SplitNetwork:
    """Return a model's network without what pools the dates of its series of these names.

    The features [1, F, h, w] have the name of the series.

    Raises:
        UnknownGraphError: a series is not pooled before all else.
    """
    rest, poolings = model, {}
    for name in names:
        rest, poolings[name] = _without(rest, name)
    return SplitNetwork(rest, poolings)


def _without(model: onnx.ModelProto, name: str) -> tuple[onnx.ModelProto, Pooling]:
    """Return a network that takes the features of a series, and what gives them."""
    entries = input_tensors(name, is_series=True)
    known = constants(model.graph)
    own, fixed = set(entries), {"", *known}  # tensors of the series alone, and of no input
    for node in model.graph.node:
        given = set(node.input) - fixed
        if not given:
            fixed.update(node.output)
        elif given <= own and _is_pixelwise(node, known):
            own.update(node.output)
    used = {
        tensor
        for node in model.graph.node
        if not own.issuperset(node.output)
        for tensor in node.input
        if tensor in own
    }
    pooled = {node.output[0] for node in model.graph.node if node.op_type in _OF_DATES} & own
    if len(used) != 1 or not pooled:
        raise UnknownGraphError(f"{name} is not pooled before all else")
    (result,) = used
    pooling = _of_one_row(_with_result(model, result, entries))
    features = onnx.shape_inference.infer_shapes(pooling).graph.output[0]
    count = features.type.tensor_type.shape.dim[1].dim_value
    rest = onnx.ModelProto()
    rest.CopyFrom(model)
    kept = [value for value in rest.graph.input if value.name not in entries[1:]]
    for value in kept:
        if value.name == name:
            batch, channels, *_ = value.type.tensor_type.shape.dim
            batch.dim_value, channels.dim_value = 1, count
    _keep(rest.graph.input, kept)
    for node in rest.graph.node:
        inside = own.issuperset(node.output)
        node.input[:] = [
            name if tensor == result and not inside else tensor for tensor in node.input
        ]
    _keep_needed(rest.graph)
    return rest, Pooling(pooling, count)


def _is_pixelwise(node: onnx.NodeProto, known: Mapping[str, Constant]) -> bool:
    """Tell whether a node computes each pixel, of all dates, by itself."""
    if node.op_type not in _OF_PIXELS:
        return False
    found = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    if node.op_type in _OF_DATES:
        axes = known.get(node.input[1]) if len(node.input) > 1 else None
        return axes is not None and as_array(axes).tolist() == [0] and found.get("keepdims", 1) == 1
    if node.op_type == "Conv":
        plain = all(found.get(name, value) == value for name, value in _PIXELWISE.items())
        return plain and kernel(node, known) == [1, 1]
    return node.op_type not in ("Concat", "Softmax") or found.get("axis") == 1


def _with_result(model: onnx.ModelProto, result: str, entries: Sequence[str]) -> onnx.ModelProto:
    """Return the part of a model that gives one tensor from these entries."""
    part = onnx.ModelProto()
    part.CopyFrom(model)
    graph = part.graph
    _keep(graph.input, [value for value in graph.input if value.name in entries])
    del graph.output[:], graph.value_info[:]
    graph.output.append(helper.make_tensor_value_info(result, TensorProto.FLOAT, None))
    _keep_needed(graph)
    return part


def _of_one_row(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph that computes each pixel by itself, for pixels that are in one row.

    A convolution becomes a product of matrices, [O, C] by [T, C, n]: runtimes were measured to
    compute it, and what follows, in half the time of the convolution, for which they lay the
    channels of a pixel beside one another.
    """
    graph = model.graph
    for value in graph.input:
        value.type.tensor_type.shape.dim[2].dim_value = 1
    graph.initializer.append(numpy_helper.from_array(np.array([2], np.int64), _ROW))
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        graph.node.extend(_as_product(graph, node) if node.op_type == "Conv" else [node])
    return model


_ROW = "axis of the row"


def _as_product(graph: onnx.GraphProto, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    pixels, weights, *bias = node.input
    (output,) = node.output

    def shaped(values: str, *sides: int) -> tuple[str, list[onnx.NodeProto]]:
        name = f"{output} {values}"
        graph.initializer.append(
            numpy_helper.from_array(np.array(sides, np.int64), f"{name} sides")
        )
        return name, [helper.make_node("Reshape", [values, f"{name} sides"], [name])]

    matrix, as_matrix = shaped(weights, 0, -1)
    row, product, sums = (f"{output} {step}" for step in ("in a row", "product", "products"))
    nodes = [
        *as_matrix,
        helper.make_node("Squeeze", [pixels, _ROW], [row]),
        helper.make_node("MatMul", [matrix, row], [product]),
        helper.make_node("Unsqueeze", [product, _ROW], [sums if bias else output]),
    ]
    if bias:
        column, as_column = shaped(bias[0], 1, -1, 1, 1)
        nodes += [*as_column, helper.make_node("Add", [sums, column], [output])]
    return nodes


def _keep_needed(graph: onnx.GraphProto) -> None:
    """Leave out the nodes and weights that the result of a graph does not depend on."""
    _keep(graph.node, needed(graph))
    used = {tensor for node in graph.node for tensor in node.input}
    _keep(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in used])


def _keep(field: Any, kept: Sequence[Any]) -> None:
    copies = list(kept)
    del field[:]
    field.extend(copies)
