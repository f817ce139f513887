"""What is read from a graph's nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

ELEMENTWISE = frozenset({
    "Add", "And", "BatchNormalization", "Cast", "Clip", "Concat", "DequantizeLinear", "Div",
    "Equal", "Exp", "Greater", "Identity", "Max", "Min", "Mul", "Not", "Or", "QuantizeLinear",
    "Relu", "Softmax", "Sub", "Where",
})  # fmt: skip
"""Operators that compute each pixel from the same pixel of their inputs."""


class UnknownGraphError(Exception):
    """A graph that cannot be followed."""


Constant = onnx.TensorProto | npt.NDArray[np.generic]


def constants(graph: onnx.GraphProto) -> dict[str, Constant]:
    """Return the values that a graph holds, by name; tensors as they are, for few are looked at."""
    found: dict[str, Constant]
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            value = helper.get_attribute_value(node.attribute[0])
            is_tensor = isinstance(value, onnx.TensorProto)
            found[node.output[0]] = value if is_tensor else np.array(value)
    return found


def as_array(value: Constant) -> npt.NDArray[Any]:
    """Return what a constant holds."""
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def kernel(node: onnx.NodeProto, known: Mapping[str, Constant]) -> list[int] | None:
    """Return the height and width of a node's kernel, or None where it has none or does not tell.

    They are what the node declares, which it need not, else those of its weights.
    """
    for attribute in node.attribute:
        if attribute.name == "kernel_shape":
            return list(attribute.ints)
    weights = known.get(node.input[1]) if len(node.input) > 1 else None
    if weights is None:
        return None
    shape = weights.dims if isinstance(weights, onnx.TensorProto) else weights.shape
    return list(shape[2:])


def input_names(graph: onnx.GraphProto) -> list[str]:
    """Return the names of a graph's inputs."""
    known = constants(graph)
    return [value.name for value in graph.input if value.name not in known]


def needed(graph: onnx.GraphProto) -> Sequence[onnx.NodeProto]:
    """Return the nodes that the result depends on, in order."""
    wanted = {value.name for value in graph.output}
    found: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted.update(node.input)
            found.append(node)
    return found[::-1]
