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
    pixels for a softmax over channels, which takes several times as long. Rows and columns are one
    axis meanwhile: where there are two, OpenVINO keeps the channels of a pixel beside one another,
    and goes through them in many times as long.
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

    def constant(name: str, values: list[int]) -> str:
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def as_image(flat: str, output: str) -> None:
        """Give an output its rows and columns, which come after its one or two other axes."""
        kept = constant(f"axes of {output}", [0, 0] if output == OUTPUT else [0])
        add("Reshape", [flat, add("Concat", [kept, size], f"shape of {output}", axis=0)], output)

    del graph.output[:]
    if has_softmax:
        graph.node.remove(last)
    size = add("Shape", [scores], "rows and columns", start=2)
    flat = add("Reshape", [scores, constant("one axis of pixels", [0, 0, -1])], "scores of pixels")
    if "winner" in results:
        index = add("ArgMax", [flat], "winner index", axis=_CLASSES, keepdims=0)
        as_image(add("Cast", [index], "winner of pixels", to=TensorProto.UINT8), "winner")
    if set(results) - {"winner"}:
        axis = constant("class axis", [_CLASSES])
    if not has_softmax and "winning_probability" in results:
        as_image(add("ReduceMax", [flat, axis], "highest", keepdims=0), "winning_probability")
    if has_softmax and set(results) - {"winner"}:
        highest = add("ReduceMax", [flat, axis], "highest score", keepdims=1)
        below = add("Sub", [flat, highest], "score below highest")
        odds = add("Exp", [below], "odds to winner")
        total = add("ReduceSum", [odds, axis], "sum of odds", keepdims=1)
        if "probabilities" in results:
            as_image(add("Div", [odds, total], "probabilities of pixels"), OUTPUT)
        if "winning_probability" in results:
            share = add("Reciprocal", [total], "share of winner")
            as_image(add("Squeeze", [share, axis], "share of pixels"), "winning_probability")
    kinds = {"winner": TensorProto.UINT8}
    for name in results:
        kind = kinds.get(name, TensorProto.FLOAT)
        graph.output.append(helper.make_tensor_value_info(name, kind, None))
    return changed


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
