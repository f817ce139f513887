"""A network's graph with its convolutions in 8-bit integers.

Every convolution but the first of each input and the last takes uint8 activations and int8
weights, in the form that runtimes turn into integer kernels: DequantizeLinear, Conv,
QuantizeLinear. What only moves, compares or masks pixels in between works on the integers
themselves, with the same result from a quarter of the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

_LARGEST = 255
_LARGEST_WEIGHT = 63
"""Weights take 7 of 8 bits: processors without VNNI add two products in 16 bits, and 2 × 255 × 127
would be cut off there."""
_LARGEST_BIAS = 1 << 30
_NOTHING = 1e-30
"""Weights smaller than this make no difference."""

_MOVES = frozenset({"DepthToSpace", "MaxPool", "Pad", "Resize", "Slice"})
"""Operators whose result holds values of their first input and no others."""


class Range(NamedTuple):
    """The least and the largest value of a tensor."""

    low: float
    high: float


class _Held(NamedTuple):
    """A tensor as uint8: an integer q, at most `largest`, stands for scale × (q − zero)."""

    name: str
    scale: float
    zero: int
    largest: int = _LARGEST

    @property
    def range(self) -> Range:
        return Range(-self.scale * self.zero, self.scale * (_LARGEST - self.zero))

    def is_like(self, other: _Held) -> bool:
        return (self.scale, self.zero) == (other.scale, other.zero)


def activations(graph: onnx.GraphProto) -> list[str]:
    """Return the tensors whose ranges `with_integers` needs.

    They are the results of the convolutions that another one follows, after ReLU where there is
    one.
    """
    return list(_results(graph).values())


def convolutions(graph: onnx.GraphProto) -> tuple[int, int]:
    """Return how many convolutions a graph has, and how many of them take integers alone."""
    integers = {name for n in graph.node if n.op_type == "DequantizeLinear" for name in n.output}
    takes = [set(node.input) <= integers for node in graph.node if node.op_type == "Conv"]
    return len(takes), sum(takes)


def with_integers(model: onnx.ModelProto, ranges: Mapping[str, Range]) -> onnx.ModelProto:
    """Return a model that computes in integers what it can, and the rest as before.

    Batch normalisation must have been merged into the convolutions, which all have a bias then, and
    constants must be initializers. `ranges` are those of `activations`; values beyond are cut off.
    """
    return _Rewriting(model, ranges).model


class _Rewriting:
    """One walk through a graph, which writes another."""

    def __init__(self, model: onnx.ModelProto, ranges: Mapping[str, Range]) -> None:
        old = model.graph
        self._ranges = ranges
        self._constants = {t.name: numpy_helper.to_array(t) for t in old.initializer}
        self._small = _small_integers(old, self._constants)
        self._masks = {name for n in old.node if n.op_type == "Equal" for name in n.output}
        self._results = _results(old)
        self._held: dict[str, _Held] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._written: set[str] = set()
        self._added: dict[str, onnx.TensorProto] = {}
        for node in old.node:
            if node.output[0] not in self._held:  # a ReLU may be, by the convolution before it
                self._visit(node)
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        new = self.model.graph
        # which would say float32 of what is uint8 now
        del new.value_info[:]
        del new.node[:]
        del new.initializer[:]
        new.node.extend(self._nodes)
        used = {name for node in self._nodes for name in node.input}
        tensors = (*old.initializer, *self._added.values())
        new.initializer.extend(tensor for tensor in tensors if tensor.name in used)

    def _visit(self, node: onnx.NodeProto) -> None:
        held = [self._held[name] for name in node.input if name in self._held]
        first = self._held.get(node.input[0]) if node.input else None
        if node.op_type == "Conv":
            self._convolve(node, first)
        elif node.op_type in _MOVES and first:
            self._keep(node, [first.name, *node.input[1:]], first)
        elif node.op_type == "Shape" and first:
            self._write(node, [first.name])
        elif node.op_type == "Concat" and len(held) == len(node.input):
            self._join(node, held)
        elif node.op_type == "Equal" and len(held) == 2 and held[0].is_like(held[1]):
            self._write(node, [one.name for one in held])
        elif node.op_type == "Cast" and node.input[0] in self._masks and _to_float32(node):
            self._cast(node.output[0], node.input[0], largest=1)
        elif node.op_type != "Mul" or not self._multiply(node):
            self._write(node, [self._as_float(name) for name in node.input])

    def _convolve(self, node: onnx.NodeProto, given: _Held | None) -> None:
        result = self._results.get(node.output[0])
        inputs = [self._as_float(node.input[0]), *node.input[1:]]
        if result is None:
            self._write(node, inputs)
            return
        if given is not None:
            inputs[1:] = self._integer_weights(inputs[1:], given.scale)
        self._quantise(self._write(node, inputs, f"{result}.sum"), result, self._ranges[result])

    def _integer_weights(self, names: Sequence[str], scale: float) -> list[str]:
        """Write kernel and bias, for pixels of this scale, as integers with a scale per kernel."""
        kernels, bias = (self._constants[name] for name in names)  # [O, I, h, w] and [O]
        needed = np.abs(kernels).max(axis=(1, 2, 3)) / _LARGEST_WEIGHT
        needed = np.maximum(needed, np.abs(bias) / (scale * _LARGEST_BIAS))
        scales = np.where(needed > _NOTHING, needed, 1).astype(np.float32)
        steps = scales * np.float32(scale)
        kernels = np.rint(kernels / scales[:, None, None, None])
        return [
            self._dequantised(f"{names[0]}.int8", kernels.astype(np.int8), scales),
            self._dequantised(f"{names[0]}.bias", np.rint(bias / steps).astype(np.int32), steps),
        ]

    def _dequantised(
        self, name: str, values: npt.NDArray[Any], scales: npt.NDArray[np.float32]
    ) -> str:
        inputs = [
            self._constant(name, values),
            self._constant(f"{name}.scale", scales),
            self._constant(f"{name}.zero", np.zeros(len(scales), values.dtype)),
        ]
        output = f"{name}.float"
        self._nodes.append(helper.make_node("DequantizeLinear", inputs, [output], axis=0))
        return output

    def _join(self, node: onnx.NodeProto, held: Sequence[_Held]) -> None:
        first = held[0]
        if all(one.is_like(first) for one in held):
            self._keep(node, [one.name for one in held], first)
            return
        both = Range(min(h.range.low for h in held), max(h.range.high for h in held))
        output = node.output[0]
        inputs = [self._as_float(name) for name in node.input]
        self._quantise(self._write(node, inputs, f"{output}.joined"), output, both)

    def _multiply(self, node: onnx.NodeProto) -> bool:
        """Write a product as one of integers, if it is exact as such."""
        first, second = (self._factor(name) for name in node.input)
        if first is None or second is None or first.zero or second.zero:
            return False
        largest = first.largest * second.largest
        if largest > _LARGEST:
            return False
        product = _Held("", first.scale * second.scale, 0, largest)
        self._keep(node, [first.name, second.name], product)
        return True

    def _factor(self, name: str) -> _Held | None:
        if name in self._small and name not in self._held:
            self._cast(name, name, self._small[name])
            self._written.add(name)
        return self._held.get(name)

    def _cast(self, name: str, source: str, largest: int) -> None:
        """Hold a tensor of small integers."""
        node = helper.make_node("Cast", [source], [name], to=TensorProto.UINT8)
        self._keep(node, [source], _Held("", 1.0, 0, largest))

    def _quantise(self, source: str, name: str, values: Range) -> None:
        """Write a float32 tensor as uint8, and hold it by the name that it had as float32."""
        low, high = min(values.low, 0.0), max(values.high, 0.0)
        scale = float(np.float32((high - low) / _LARGEST)) or 1.0
        zero = round(-low / scale)
        held = _Held(f"{name}.uint8", scale, zero)
        inputs = [source, *self._step(held)]
        self._nodes.append(helper.make_node("QuantizeLinear", inputs, [held.name]))
        self._held[name] = held

    def _as_float(self, name: str) -> str:
        """Return the name of a tensor as float32, written so if it is not yet."""
        held = self._held.get(name)
        if held is not None and name not in self._written:
            inputs = [held.name, *self._step(held)]
            self._nodes.append(helper.make_node("DequantizeLinear", inputs, [name]))
            self._written.add(name)
        return name

    def _keep(self, node: onnx.NodeProto, inputs: Sequence[str], like: _Held) -> None:
        """Write an operation on integers and hold its result."""
        (output,) = node.output
        self._held[output] = like._replace(name=self._write(node, inputs, f"{output}.uint8"))

    def _write(self, node: onnx.NodeProto, inputs: Sequence[str], output: str = "") -> str:
        """Write a node with other inputs, and another output where one is named."""
        written = onnx.NodeProto()
        written.CopyFrom(node)
        written.input[:] = inputs
        if output:
            written.output[:] = [output]
        self._nodes.append(written)
        return output

    def _step(self, held: _Held) -> tuple[str, str]:
        return (
            self._constant(f"scale.{held.scale!r}", np.array(held.scale, np.float32)),
            self._constant(f"zero.{held.zero}", np.array(held.zero, np.uint8)),
        )

    def _constant(self, name: str, values: npt.NDArray[Any]) -> str:
        self._added[name] = numpy_helper.from_array(values, name)
        return name


def _results(graph: onnx.GraphProto) -> dict[str, str]:
    """Return the result of each convolution that another follows: its ReLU's output, or its own."""
    users: dict[str, list[onnx.NodeProto]] = {}
    leading: set[str] = set()
    for node in reversed(graph.node):
        if node.op_type == "Conv" or leading & set(node.output):
            leading.update(node.input)
        for name in node.input:
            users.setdefault(name, []).append(node)
    found = {}
    for node in graph.node:
        if node.op_type == "Conv" and node.output[0] in leading:
            (output,) = node.output
            relu = len(users[output]) == 1 and users[output][0].op_type == "Relu"
            found[output] = users[output][0].output[0] if relu else output
    return found


def _to_float32(cast: onnx.NodeProto) -> bool:
    return any(item.name == "to" and item.i == TensorProto.FLOAT for item in cast.attribute)


def _small_integers(
    graph: onnx.GraphProto, constants: Mapping[str, npt.NDArray[Any]]
) -> dict[str, int]:
    """Return the tensors that hold integers from 0 up for all pixels, and the largest of each."""

    def counting(name: str) -> npt.NDArray[Any] | None:
        values = constants.get(name, np.array(-1))
        return values if np.all((values >= 0) & (values == np.rint(values))) else None

    found: dict[str, int] = {}
    for node in graph.node:
        if node.op_type == "Expand":
            values = counting(node.input[0])
            if values is not None:
                found[node.output[0]] = int(values.max())
        elif node.op_type == "ConvTranspose" and node.input[0] in found and len(node.input) == 2:
            strides = [list(item.ints) for item in node.attribute if item.name == "strides"]
            kernel = counting(node.input[1])  # [I, O, h, w]
            # kernels that overlap would add up
            if kernel is not None and strides == [list(kernel.shape[2:])]:
                found[node.output[0]] = found[node.input[0]] * int(kernel.sum(axis=0).max())
    return found
