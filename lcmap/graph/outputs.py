"""What the graph of a tile returns: the winning class, its probability, those of all classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lcmap.model_file.graph import OUTPUT

Result = Literal["winner", "winning_probability", "probabilities"]
"""`winner` is the index of the most probable class, the first of several, uint8 [N, H, W];
`winning_probability` is float32 [N, H, W]; `probabilities` are float32 [N, K, H, W]."""

_CLASSES = 1


def with_results(model: onnx.ModelProto, results: Sequence[Result]) -> onnx.ModelProto:
    """Return the graph of a model file with these results, in this order, as its outputs.

    The class with the highest score has the highest probability, so a map alone takes no softmax.
    Where one is taken it is written out, exp(x - max) / Σ exp(x - max): runtimes transpose the
    pixels for a softmax over channels, which takes several times as long.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    last = graph.node[-1]
    has_softmax = last.op_type == "Softmax" and list(last.output) == [OUTPUT]
    scores = last.input[0] if has_softmax else OUTPUT

    def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        graph.node.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    del graph.output[:]
    if "winner" in results:
        index = add("ArgMax", [scores], "winner index", axis=_CLASSES, keepdims=0)
        add("Cast", [index], "winner", to=TensorProto.UINT8)
    if not has_softmax:
        graph.initializer.append(_axis())
        if "winning_probability" in results:
            add("ReduceMax", [OUTPUT, "class axis"], "winning_probability", keepdims=0)
    elif set(results) - {"winner"}:
        graph.node.remove(last)
        graph.initializer.append(_axis())
        highest = add("ReduceMax", [scores, "class axis"], "highest score", keepdims=1)
        below = add("Sub", [scores, highest], "score below highest")
        odds = add("Exp", [below], "odds to winner")
        total = add("ReduceSum", [odds, "class axis"], "sum of odds", keepdims=1)
        if "probabilities" in results:
            add("Div", [odds, total], OUTPUT)
        if "winning_probability" in results:
            share = add("Reciprocal", [total], "share of winner")
            add("Squeeze", [share, "class axis"], "winning_probability")
    else:
        graph.node.remove(last)
    kinds = {"winner": TensorProto.UINT8}
    for name in results:
        kind = kinds.get(name, TensorProto.FLOAT)
        graph.output.append(helper.make_tensor_value_info(name, kind, None))
    return changed


def _axis() -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([_CLASSES], np.int64), "class axis")


def of_size(model: onnx.ModelProto, height: int, width: int) -> onnx.ModelProto:
    """Return a model for one image of this size, for which a runtime plans ahead."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    weights = {tensor.name for tensor in fixed.graph.initializer}
    for value in fixed.graph.input:
        if value.name not in weights:
            batch, _, rows, columns = value.type.tensor_type.shape.dim
            batch.dim_value, rows.dim_value, columns.dim_value = 1, height, width
    return fixed
