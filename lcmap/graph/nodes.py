"""What is read from a graph's nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper


def constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto | npt.NDArray[np.generic]]:
    """Return the values that a graph holds, by name; tensors as they are, for few are looked at."""
    found: dict[str, onnx.TensorProto | npt.NDArray[np.generic]]
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            value = helper.get_attribute_value(node.attribute[0])
            is_tensor = isinstance(value, onnx.TensorProto)
            found[node.output[0]] = value if is_tensor else np.array(value)
    return found


def inputs_of_pixels(graph: onnx.GraphProto) -> list[str]:
    """Return the names of a graph's inputs, those left out that hold one value for all pixels.

    Such is the day of each date of a series: its height and width are 1, whatever the tile's are.
    """
    known = constants(graph)
    return [
        value.name
        for value in graph.input
        if value.name not in known
        and not all(side.dim_value == 1 for side in value.type.tensor_type.shape.dim[2:])
    ]


def needed(graph: onnx.GraphProto) -> Sequence[onnx.NodeProto]:
    """Return the nodes that the result depends on, in order."""
    wanted = {value.name for value in graph.output}
    found: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted.update(node.input)
            found.append(node)
    return found[::-1]
