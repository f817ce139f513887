"""Unpooling in the form that runtimes compute fastest.

A model file's graph says which pixel of a cell is its first maximum in operations on as many pixels
as the skip has: it lays the maxima over their cells, numbers the pixels that equal them, and lays
the highest number over the cell again. Here that pixel is found from tensors of one pixel a cell,
and only its number, a byte, is laid over the cell. The result is the same to the bit.

The pixels of a cell are a, b, c and d in reading order, numbered from 4 down to 1, and m is their
maximum. The number of the first that equals m is 1 and as many as equal m of a, max(a, b) and
max(a, b, c).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lcmap.graph.nodes import constants, needed

_NUMBERS = [[[[4.0, 3.0], [2.0, 1.0]]]]
_LAST = np.iinfo(np.int64).max


class _Mask(NamedTuple):
    """What says which pixels are the first maxima of their cells.

    `maxima` are those of `skip`; `numbers`, of this data type, are those of the pixels.
    """

    skip: str
    maxima: str
    numbers: str
    kind: int


def with_fast_unpooling(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model that unpools as `network.operations.plain_max_pool` says, in a fast form.

    Whatever else is in it, other forms of unpooling among them, stays as it is.
    """
    return _Rewriting(model).model


class _Rewriting:
    """One walk through a graph, which writes another."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        graph = self.model.graph
        self._made = {name: node for node in graph.node for name in node.output}
        self._constants = constants(graph)
        self._nodes: list[onnx.NodeProto] = []
        self._added: dict[str, onnx.TensorProto] = {}
        for node in model.graph.node:
            mask = self._mask(node.output[0])
            if mask is None:
                self._nodes.append(node)
            else:
                self._write(mask, node.output[0])
        del graph.node[:]
        graph.node.extend(self._nodes)
        kept = needed(graph)
        del graph.node[:]
        graph.node.extend(kept)
        graph.initializer.extend(self._added.values())

    def _mask(self, name: str) -> _Mask | None:
        """Return what a tensor is made from, where it says which pixels are the first maxima."""
        for candidates, highest in self._pairs(name, "Equal"):
            if self._pooled(self._laid(highest)) == candidates:
                for maximal, numbers in self._pairs(candidates, "Mul"):
                    cast = self._made.get(maximal)
                    if cast and cast.op_type == "Cast" and self._are_numbers(numbers):
                        for skip, over_cells in self._pairs(cast.input[0], "Equal"):
                            maxima = self._laid(over_cells)
                            if maxima and self._pooled(maxima) == skip:
                                return _Mask(skip, maxima, numbers, _attributes(cast)["to"])
        return None

    def _pairs(self, name: str, operator: str) -> Iterator[tuple[str, str]]:
        """Yield the two operands of what makes a tensor, in either order."""
        node = self._made.get(name)
        if node is not None and node.op_type == operator:
            first, second = node.input
            yield first, second
            yield second, first

    def _laid(self, name: str) -> str:
        """Return what was laid over cells of 2 × 2 to make a tensor, or nothing."""
        node = self._made.get(name)
        if node is None or node.op_type != "Resize" or len(node.input) != 3:
            return ""
        plain = _attributes(node)["mode"] == b"nearest"
        return node.input[0] if plain and self._holds(node.input[2], [1, 1, 2, 2]) else ""

    def _pooled(self, name: str) -> str:
        """Return what was pooled over cells of 2 × 2 to make a tensor, or nothing."""
        node = self._made.get(name)
        if node is None or node.op_type != "MaxPool":
            return ""
        found = _attributes(node)
        plain = found["kernel_shape"] == found.get("strides") == [2, 2]
        return node.input[0] if plain and not any(found.get("pads", ())) else ""

    def _are_numbers(self, name: str) -> bool:
        """Tell whether a tensor numbers the pixels of each cell."""
        node = self._made.get(name)
        if node is not None and node.op_type == "Cast":
            node = self._made.get(node.input[0])
        if node is None or node.op_type != "ConvTranspose" or len(node.input) != 2:
            return False
        ones = self._made.get(node.input[0])
        return (
            ones is not None
            and ones.op_type == "Expand"
            and self._holds(ones.input[0], 1)
            and self._holds(node.input[1], _NUMBERS)
            and _attributes(node).get("strides") == [2, 2]
        )

    def _holds(self, name: str, values: Any) -> bool:
        """Tell whether a tensor holds these values, however many axes they have."""
        held = self._constants.get(name)
        found = numpy_helper.to_array(held) if isinstance(held, onnx.TensorProto) else held
        return found is not None and found.ravel().tolist() == np.ravel(values).tolist()

    def _write(self, mask: _Mask, output: str) -> None:
        """Write what makes a mask, which keeps its name."""
        small = mask.kind == TensorProto.UINT8
        number = self._constant(f"fast.one.{mask.kind}", [1], mask.kind)
        for maxima in self._sliced(mask.skip) if small else self._pooled_in_part(mask.skip):
            reached = self._add("Equal", [maxima, mask.maxima])
            number = self._add("Add", [number, self._add("Cast", [reached], to=mask.kind)])
        if not small:
            number = self._add("Cast", [number], to=TensorProto.UINT8)
        double = self._constant("fast.double", [1, 1, 2, 2], TensorProto.FLOAT)
        number = self._add(
            "Resize", [number, "", double],
            mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip
        if not small:
            number = self._add("Cast", [number], to=mask.kind)
        self._nodes.append(helper.make_node("Equal", [number, mask.numbers], [output]))

    def _pooled_in_part(self, skip: str) -> tuple[str, str, str]:
        """Return the maxima of the first pixel of each cell, of two, and of three."""
        first, upper, left = (
            self._add("MaxPool", [skip], kernel_shape=list(kernel), strides=[2, 2])
            for kernel in ((1, 1), (1, 2), (2, 1))
        )
        return first, upper, self._add("Max", [upper, left])

    def _sliced(self, skip: str) -> tuple[str, str, str]:
        """Return the same by slices: runtimes pool bytes slowly."""
        last, axes, steps = (
            self._constant(f"fast.{name}", values, TensorProto.INT64)
            for name, values in (("last", [_LAST] * 2), ("axes", [2, 3]), ("steps", [2, 2]))
        )
        starts = (
            self._constant(f"fast.start.{row}.{column}", [row, column], TensorProto.INT64)
            for row, column in ((0, 0), (0, 1), (1, 0))
        )
        first, right, below = (
            self._add("Slice", [skip, start, last, axes, steps]) for start in starts
        )
        upper = self._add("Max", [first, right])
        return first, upper, self._add("Max", [upper, below])

    def _add(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        output = f"fast.{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def _constant(self, name: str, values: list[int], kind: int) -> str:
        array = np.array(values, helper.tensor_dtype_to_np_dtype(kind))
        self._added[name] = numpy_helper.from_array(array, name)
        return name


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}
