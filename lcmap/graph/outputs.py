"""What the graph of a tile returns: the winning class, its probability and margin, and others'."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lcmap.graph.classification import Scores, scores_of
from lcmap.graph.nodes import needed
from lcmap.model_file.graph import OUTPUT

Result = Literal["winner", "winning_probability", "margin", "probabilities"]
"""`winner` is the index of the most probable class, the first of several, uint8 [N, H, W];
`winning_probability` is float32 [N, H, W], and so is `margin`, how far the next class is below it;
`probabilities` are float32 [N, K, H, W]."""

_CLASSES = 1
_FLOAT = np.dtype(np.float32).itemsize


def with_results(model: onnx.ModelProto, results: Sequence[Result]) -> onnx.ModelProto:
    """Return the graph of a model file with these results, in this order, as its outputs.

    The class with the highest score has the highest probability, so a map alone takes no softmax
    and no temperatures. Where a softmax is taken it is written out, exp(x - max) / Σ exp(x - max):
    runtimes transpose the pixels for a softmax over channels, which takes several times as long.
    Rows and columns are one axis meanwhile: where there are two, OpenVINO keeps the channels of a
    pixel beside one another, and goes through them in many times as long.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    found = scores_of(graph)
    del graph.output[:]
    kinds = {"winner": TensorProto.UINT8}
    for name in results:
        kind = kinds.get(name, TensorProto.FLOAT)
        graph.output.append(helper.make_tensor_value_info(name, kind, None))
    _Results(graph, found).write(results)
    kept = needed(graph)
    used = {name for node in kept for name in node.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(tensors)
    return changed


def bytes_of_results(results: Iterable[Result], classes: int) -> int:
    """Return the bytes of a pixel of these results."""
    one = {"winner": np.dtype(np.uint8).itemsize, "probabilities": classes * _FLOAT}
    return sum(one.get(name, _FLOAT) for name in results)


class _Results:
    """Writes the nodes of results at the end of a graph."""

    def __init__(self, graph: onnx.GraphProto, scores: Scores) -> None:
        self._graph = graph
        self._of = scores
        if scores.softmax is not None:
            graph.node.remove(scores.softmax)
        name = scores.name
        self._size = self._add("Shape", [name], "rows and columns", start=2)
        axes = self._constant("one axis of pixels", [0, 0, -1])
        self._flat = self._add("Reshape", [name, axes], "scores of pixels")  # [N, K, H·W]

    def write(self, results: Sequence[Result]) -> None:
        """Write what gives these results; nodes that none of them needs may be among it."""
        index = self._add("ArgMax", [self._flat], "winner index", axis=_CLASSES, keepdims=1)
        self._as_image(
            self._add("Cast", [index], "winner of pixels", to=TensorProto.UINT8), "winner"
        )
        if not set(results) - {"winner"}:
            return
        axis = self._constant("class axis", [_CLASSES])
        highest = self._add("ReduceMax", [self._flat, axis], "highest score", keepdims=1)
        odds, total = self._flat, None
        if self._of.softmax is not None:
            below = self._scaled(self._add("Sub", [self._flat, highest], "below highest"), index)
            odds = self._add("Exp", [below], "odds to winner")
            total = self._add("ReduceSum", [odds, axis], "sum of odds", keepdims=1)
        if "probabilities" in results and total is not None:
            self._as_image(self._add("Div", [odds, total], "shares of pixels"), OUTPUT)
        if "winning_probability" in results:
            share = highest if total is None else self._add("Reciprocal", [total], "winner's share")
            self._as_image(share, "winning_probability")
        if "margin" in results:
            self._write_margin(odds, total, index, axis)

    def _scaled(self, below: str, index: str) -> str:
        """Return scores below the highest, over the temperature of the winning class."""
        if self._of.inverse_temperatures is None:
            return below
        factor = self._add("Gather", [self._of.inverse_temperatures, index], "winner's factor")
        return self._add("Mul", [below, factor], "scaled below highest")

    def _write_margin(self, odds: str, total: str | None, index: str, axis: str) -> None:
        """Write the distance of the highest from the highest of the other classes."""
        numbers = np.arange(self._of.classes, dtype=np.int64)[None, :, None]
        is_winner = self._add(
            "Equal", [index, self._constant("class numbers", numbers)], "is winner"
        )
        nothing = self._constant("no odds", np.zeros((), np.float32))
        others = self._add("Where", [is_winner, nothing, odds], "odds of others")
        second = self._add("ReduceMax", [others, axis], "odds of second", keepdims=1)
        highest = self._add("ReduceMax", [odds, axis], "highest odds", keepdims=1)
        apart = self._add("Sub", [highest, second], "odds apart")
        if total is not None:
            apart = self._add("Div", [apart, total], "margin of pixels")
        self._as_image(apart, "margin")

    def _as_image(self, flat: str, output: str) -> None:
        """Give an output its rows and columns, which come after its one or two other axes."""
        kept = self._constant(f"axes of {output}", [0, 0] if output == OUTPUT else [0])
        shape = self._add("Concat", [kept, self._size], f"shape of {output}", axis=0)
        self._add("Reshape", [flat, shape], output)

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._graph.node.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def _constant(self, name: str, values: Any) -> str:
        array = np.asarray(values)
        self._graph.initializer.append(numpy_helper.from_array(array, name))
        return name


def of_size(
    model: onnx.ModelProto,
    height: int,
    width: int,
    others: Mapping[str, tuple[int, int, int]] | None = None,
) -> onnx.ModelProto:
    """Return a model for one image of this size, for which a runtime plans ahead.

    `others` are the batch, the height and the width of inputs that are not of this size, by name.
    """
    others = others or {}
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    weights = {tensor.name for tensor in fixed.graph.initializer}
    for value in fixed.graph.input:
        if value.name not in weights:
            batch, _, rows, columns = value.type.tensor_type.shape.dim
            size = others.get(value.name, (1, height, width))
            batch.dim_value, rows.dim_value, columns.dim_value = size
    return fixed
