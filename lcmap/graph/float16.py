"""Graphs that compute in 16-bit floating point, for devices that compute faster in it."""

from __future__ import annotations

from collections.abc import Collection

import onnx
from onnx import TensorProto


def in_half_precision(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph that computes in float16 up to its last convolution.

    That one and what comes after it stay in float32: in float16 classes of nearly the same
    probability would tie. Its inputs and outputs are the same.
    """
    # this import adds a folder to sys.path: only where float16 is asked for
    from onnxruntime.transformers import float16

    model = onnx.ModelProto()
    model.CopyFrom(graph)
    for number, node in enumerate(model.graph.node):
        node.name = f"{number} {node.op_type}"
    convolutions = [n for n, node in enumerate(model.graph.node) if node.op_type == "Conv"]
    in_full = [node.name for node in model.graph.node[max(convolutions) :]] if convolutions else []
    halved: onnx.ModelProto = float16.convert_float_to_float16(
        model, keep_io_types=True, node_block_list=in_full
    )
    _write_once(halved.graph)
    _take_no_detours(halved.graph, {node.name for node in model.graph.node})
    return halved


def _write_once(graph: onnx.GraphProto) -> None:
    """Leave out what writes a value again, as the tool's casts did up to onnxruntime 1.31.

    It wrote one for each operator that reads the value, and no runtime takes such a graph.
    """
    for values in (graph.node, graph.value_info):
        once = {_written(value): value for value in reversed(values)}
        kept = [value for value in values if once[_written(value)] is value]
        del values[:]
        values.extend(kept)


def _written(value: onnx.NodeProto | onnx.ValueInfoProto) -> str:
    return value.name if isinstance(value, onnx.ValueInfoProto) else value.output[0]


def _take_no_detours(graph: onnx.GraphProto, own: Collection[str]) -> None:
    """Hand float32 from one operator to the next as it is, where the tool goes by float16.

    What is not used then stays: runtimes drop it. The operators that were there before the
    conversion are those whose names are `own`.
    """
    halving = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Cast" and node.name not in own and _kind(node) == TensorProto.FLOAT16
    }
    whole = {
        node.output[0]: halving[node.input[0]]
        for node in graph.node
        if node.op_type == "Cast" and _kind(node) == TensorProto.FLOAT and node.input[0] in halving
    }
    for node in graph.node:
        node.input[:] = [whole.get(name, name) for name in node.input]


def _kind(cast: onnx.NodeProto) -> int:
    return int(cast.attribute[0].i)
