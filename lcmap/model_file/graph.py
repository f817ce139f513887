"""What the ONNX graph of a model must be: its inputs, its output, and no data elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from lcmap.errors import NotAModelError
from lcmap.model_file.metadata import ModelMetadata
from lcmap.paths import PathLike

OUTPUT = "probabilities"

_SIDES = ("height", "width")


def input_tensors(name: str, *, is_series: bool) -> tuple[str, ...]:
    """Return the names of the tensors that a graph takes for an input of the model.

    An image is [N, C, H, W]. A series of T dates is [T, C, h, w]; then come where each date is
    valid, 0 or 1, [T, 1, h, w], and the day of the year of each, [T, 1, 1, 1].
    """
    return (name, f"{name} valid", f"{name} days") if is_series else (name,)


def check_graph(model: onnx.ModelProto, metadata: ModelMetadata, subject: PathLike) -> None:
    """Check that a graph takes the metadata's inputs and gives its classes' probabilities.

    Raises:
        NotAModelError: weights are in another file; inputs, output or precision are not those of
            the metadata.
    """
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in _tensors(model)):
        raise NotAModelError(
            subject, "its weights are in another file", "export the model with its weights inside"
        )
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in weights}
    wanted = {
        model_input.name: input_tensors(model_input.name, is_series=model_input.kind == "series")
        for model_input in metadata.inputs
    }
    if list(inputs) != [name for names in wanted.values() for name in names]:
        raise NotAModelError(
            subject, f"its graph takes {list(inputs)}, its metadata says {list(wanted)}",
            "export again",
        )  # fmt: skip
    for model_input in metadata.inputs:
        first, *others = wanted[model_input.name]
        _check_value(inputs[first], model_input.channels, subject)
        for name in others:
            _check_value(inputs[name], 1, subject)
    outputs = [value.name for value in model.graph.output]
    if outputs != [OUTPUT]:
        raise NotAModelError(subject, f"its graph gives {outputs}, not {OUTPUT}", "export again")
    _check_value(model.graph.output[0], len(metadata.nomenclature.classes), subject)
    in_integers = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    if in_integers != (metadata.precision == "int8"):
        raise NotAModelError(
            subject,
            f"its metadata says {metadata.precision}, its graph is not in it",
            "export again",
        )


def set_side(model: onnx.ModelProto, side: int | None) -> None:
    """Declare the height and width of a graph's inputs and outputs; None leaves them free.

    Those of the days of a series stay 1. The declaration alone changes: the network takes any
    multiples of its stride.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    images = [value for value in model.graph.input if value.name not in weights]
    for value in (*images, *model.graph.output):
        if all(dimension.dim_value == 1 for dimension in value.type.tensor_type.shape.dim[2:]):
            continue
        for dimension, name in zip(value.type.tensor_type.shape.dim[2:], _SIDES, strict=False):
            if side is None:
                dimension.dim_param = f"{value.name}_{name}"
            else:
                dimension.dim_value = side
    del model.graph.value_info[:]


def _check_value(value: onnx.ValueInfoProto, channels: int, subject: PathLike) -> None:
    tensor = value.type.tensor_type
    dims = tensor.shape.dim
    if tensor.elem_type != onnx.TensorProto.FLOAT or len(dims) != 4:
        raise NotAModelError(subject, f"{value.name} is not float32 [N, C, H, W]", "export again")
    found = dims[1].dim_value
    if found and found != channels:
        raise NotAModelError(
            subject, f"{value.name} has {found} channels, its metadata says {channels}",
            "export again",
        )  # fmt: skip


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor a model stores: weights, constants, those of subgraphs and functions."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        if attribute.HasField("g"):
            yield from _graph_tensors(attribute.g)
        for graph in attribute.graphs:
            yield from _graph_tensors(graph)
