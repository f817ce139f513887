"""The end of a network's graph, from the classifier's scores to probabilities.

The classifier's scores are first lowered without end for classes that must not be predicted, then
divided by the temperature of the class whose score is highest, which leaves it the highest; then
comes the softmax.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

from lcmap.model_file.graph import OUTPUT

NEVER = -1e9
"""What is added to the score of a class that must not be predicted: its probability becomes 0.

Infinity times the factor of a temperature would be as good, but not its difference from itself."""

_CLASSES = 1
_MASK, _FACTORS = "classification.absent", "classification.inverse_temperatures"


class Classification(NamedTuple):
    """How scores become probabilities.

    `temperatures` has one for each class, None to leave the scores as they are; `absent` are the
    indices of classes that are never predicted.
    """

    temperatures: tuple[float, ...] | None = None
    absent: tuple[int, ...] = ()


class Scores(NamedTuple):
    """What the probabilities of a graph come from.

    `name` is the tensor of the scores, float32 [N, K, H, W], or of the probabilities where there is
    no `softmax`; `inverse_temperatures` is the tensor, float32 [K], of which the winner's divides
    the scores, None for none; `classes` is K.
    """

    name: str
    softmax: onnx.NodeProto | None
    inverse_temperatures: str | None
    classes: int


def with_classification(model: bytes, classification: Classification) -> bytes:
    """Return a model whose scores become probabilities so; its graph ends with a softmax."""
    temperatures, absent = classification
    if temperatures is None and not absent:
        return model
    changed = onnx.load_model_from_string(model)
    graph = changed.graph
    scores = scores_of(graph)
    assert scores.softmax is not None and scores.inverse_temperatures is None
    softmax = scores.softmax
    graph.node.remove(softmax)
    last = scores.name

    def add(operator: str, inputs: list[str], **attributes: Any) -> str:
        output = f"classification.{operator}"
        graph.node.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(name: str, values: Any) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    if absent:
        mask = np.zeros((1, scores.classes, 1, 1))
        mask[:, list(absent)] = NEVER
        last = add("Add", [last, constant(_MASK, mask)])
    if temperatures is not None:
        winner = add("ArgMax", [last], axis=_CLASSES, keepdims=1)
        factors = constant(_FACTORS, 1.0 / np.asarray(temperatures, np.float64))
        last = add("Mul", [last, add("Gather", [factors, winner])])
    softmax.input[:] = [last]
    graph.node.append(softmax)
    written: bytes = changed.SerializeToString()
    return written


def scores_of(graph: onnx.GraphProto) -> Scores:
    """Return what the probabilities of a graph come from."""
    (output,) = graph.output
    classes = output.type.tensor_type.shape.dim[_CLASSES].dim_value
    last = graph.node[-1]
    if last.op_type != "Softmax" or list(last.output) != [OUTPUT]:
        return Scores(OUTPUT, None, None, classes)
    made = {name: node for node in graph.node for name in node.output}
    match made.get(last.input[0]):
        case onnx.NodeProto(op_type="Mul", input=[scores, factor]):
            gather = made.get(factor)
            if gather is not None and gather.op_type == "Gather":
                winner = made.get(gather.input[1])
                if winner is not None and winner.op_type == "ArgMax" and winner.input[0] == scores:
                    return Scores(scores, last, gather.input[0], classes)
    return Scores(last.input[0], last, None, classes)
