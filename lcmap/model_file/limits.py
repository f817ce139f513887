"""What the graph of a model may hold, checked before anything of it is run.

A model file comes from anywhere. Its graph may not loop, call functions, reach other files, or make
tensors out of proportion to the pixels it takes: what lcmap exports does none of it.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping

import onnx
from onnx import numpy_helper, shape_inference

from lcmap.errors import NotAModelError
from lcmap.paths import PathLike

LARGEST_FILE = 1 << 30
"""Bytes; a network of width 64 and depth 5 has 180 MB."""

LARGEST_STRIDE = 1 << 8
LARGEST_RECEPTIVE_FIELD = 1 << 12
MOST_NODES = 10_000
MOST_VALUES_PER_PIXEL = 1 << 14
"""Of any tensor, by pixel of the input."""

OPERATORS = frozenset({
    "Add", "And", "ArgMax", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv",
    "ConvTranspose", "DepthToSpace", "DequantizeLinear", "Div", "Equal", "Exp", "Expand", "Gather",
    "Greater", "Identity", "Max", "MaxPool", "MaxUnpool", "Min", "Mul", "Not", "Or", "Pad",
    "QuantizeLinear", "Reciprocal", "ReduceMax", "ReduceSum", "Relu", "Reshape", "Resize", "Shape",
    "Slice", "Softmax", "SpaceToDepth", "Split", "Squeeze", "Sub", "Transpose", "Unsqueeze",
    "Where",
})  # fmt: skip
"""Those that this lcmap exports or makes, and those that earlier ones exported."""

_SIDE = 2
"""Strides along a side of the image for which sizes are computed."""

_LARGEST_STEP = 64
"""Of a kernel, a stride, a dilation or a pad."""

_STEPS = ("dilations", "kernel_shape", "output_padding", "output_shape", "pads", "strides")

_REMEDY = "give a model that lcmap train wrote"


def check_file(path: PathLike) -> None:
    """Check that a file may hold a model, before it is read.

    Raises:
        NotAModelError: it is a device or a pipe, or too large.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise NotAModelError(path, "is not a regular file", _REMEDY)
    if found.st_size > LARGEST_FILE:
        raise NotAModelError(
            path, f"has {found.st_size / 1e9:.1f} GB, a model has 1 GB at most", _REMEDY
        )


def check_operators(model: onnx.ModelProto, subject: PathLike) -> None:
    """Check that a graph is a plain sequence of the operators that lcmap exports.

    Raises:
        NotAModelError: it has other operators, subgraphs, functions, or sizes out of proportion.
    """
    if model.functions:
        raise NotAModelError(subject, "its graph calls functions of its own", _REMEDY)
    if len(model.graph.node) > MOST_NODES:
        raise NotAModelError(subject, f"its graph has {len(model.graph.node)} operators", _REMEDY)
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
            name = f"{node.domain}.{node.op_type}".lstrip(".")
            raise NotAModelError(
                subject, f"its graph has the operator {name}, which lcmap does not export", _REMEDY
            )
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise NotAModelError(subject, "its graph has graphs inside", _REMEDY)
            if (
                attribute.name in _STEPS
                and max(map(abs, attribute.ints), default=0) > _LARGEST_STEP
            ):
                raise NotAModelError(
                    subject,
                    f"a {node.op_type} in its graph has {attribute.name} {list(attribute.ints)}",
                    _REMEDY,
                )
    size = max(model.ByteSize(), 1)
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) > size:
            raise NotAModelError(
                subject, f"declares {math.prod(tensor.dims)} values of {tensor.name}", _REMEDY
            )
        try:
            numpy_helper.to_array(tensor)
        except (ValueError, TypeError) as error:
            raise NotAModelError(
                subject, f"does not hold the values of {tensor.name}", _REMEDY
            ) from error


def check_sizes(
    model: onnx.ModelProto, stride: int, levels: Mapping[str, int], subject: PathLike
) -> None:
    """Check that no tensor of a graph is out of proportion to the pixels that the graph takes.

    `levels` are those of its inputs, by name. The operators have been checked before.

    Raises:
        NotAModelError: one is, or how large it becomes cannot be told.
    """
    side = _SIDE * stride
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    weights = {tensor.name for tensor in sized.graph.initializer}
    for value in sized.graph.input:
        if value.name not in weights:
            batch, _, rows, columns = value.type.tensor_type.shape.dim
            cells = side >> levels[value.name]
            batch.dim_value, rows.dim_value, columns.dim_value = 1, cells, cells
    for value in sized.graph.output:
        for dimension in value.type.tensor_type.shape.dim:
            dimension.Clear()
    del sized.graph.value_info[:]
    try:
        inferred = shape_inference.infer_shapes(sized, strict_mode=True, data_prop=True)
    except shape_inference.InferenceError as error:
        raise NotAModelError(subject, "the sizes in its graph contradict", _REMEDY) from error
    sizes = {
        value.name: math.prod(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
        for value in (*inferred.graph.value_info, *inferred.graph.output)
    }
    for node in inferred.graph.node:
        for name in node.output:
            if not sizes.get(name):
                raise NotAModelError(
                    subject, f"how large a {node.op_type} in its graph becomes is computed", _REMEDY
                )
            if sizes[name] > MOST_VALUES_PER_PIXEL * side**2:
                raise NotAModelError(
                    subject,
                    f"a {node.op_type} in its graph makes {sizes[name]} values of {side**2} pixels",
                    _REMEDY,
                )
