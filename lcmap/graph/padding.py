"""The graph of a tile: padded only where the tile's side is the image's border.

Inside the image the network's mirror padding does not matter, since a halo is cut away. So tiles
there are not padded: convolutions lose their outermost pixels, skips and masks are cropped where
they meet what came from deeper levels, and the padded pixels and the passes over memory that
padding takes are saved. A tile at the border is padded on that side alone. All these graphs are
derived from the one in the model file, by following through it which pixels of the image each
tensor covers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from lcmap.graph.nodes import constants, needed
from lcmap.graph.unpooling import with_fast_unpooling

_ROWS, _COLUMNS = 2, 3
_LAST = np.iinfo(np.int64).max

_ELEMENTWISE = frozenset({
    "Add", "And", "BatchNormalization", "Cast", "Clip", "Concat", "DequantizeLinear", "Div",
    "Equal", "Greater", "Identity", "Max", "Min", "Mul", "Not", "Or", "QuantizeLinear", "Relu",
    "Softmax", "Sub", "Where",
})  # fmt: skip
"""Operators that compute each pixel from the same pixel of their inputs."""

_ENLARGING = frozenset({"ConvTranspose", "DepthToSpace", "Resize"})
"""Operators that make a cell of 2 × 2 of each pixel."""

_CROPPABLE = _ELEMENTWISE | _ENLARGING | {"Expand", "MaxPool", "Shape", "Slice", "SpaceToDepth"}
"""Operators that compute a part of their result from a part of their inputs."""

_PADDINGS = (b"reflect", b"edge")
"""Ways of padding that take what is padded from pixels of the image near its border."""

_KERNELS = ([1, 1], [1, 2], [2, 1], [2, 2])
"""Kernels of pooling that stay inside a cell of 2 × 2."""

_PLAIN: dict[str, Any] = {
    "auto_pad": b"NOTSET", "axis": 1, "blocksize": 2, "ceil_mode": 0, "dilations": [1, 1],
    "end": None, "output_padding": [0, 0], "pads": [0, 0, 0, 0], "start": 0,
}  # fmt: skip
"""What these attributes must be wherever they are given."""


class UnknownGraphError(Exception):
    """A graph that cannot be followed; its tiles are padded on every side."""


class BorderSides(NamedTuple):
    """Which sides of a tile are the border of the image."""

    top: bool
    left: bool
    bottom: bool
    right: bool


ALL_AROUND = BorderSides(True, True, True, True)
INTERIOR = BorderSides(False, False, False, False)


class HaloSide(NamedTuple):
    """What a tile is like at a side that is not the image border.

    The side must be at a pixel ≡ `residue` modulo the stride, counted from the image's first;
    the `width` pixels next to it are not in the result.
    """

    residue: int
    width: int


class Halo(NamedTuple):
    """The sides of a tile inside the image: those before (top, left) and after (bottom, right)."""

    before: HaloSide
    after: HaloSide


def padded_halo(stride: int, receptive_field: int) -> Halo:
    """Return the halo of tiles that are padded on every side: a halo on the pooling grid."""
    halo = -(-receptive_field // stride) * stride
    return Halo(HaloSide(0, halo), HaloSide(0, halo))


def find_halo(model: onnx.ModelProto, stride: int) -> Halo:
    """Return the halo of tiles that are padded at the border only.

    Raises:
        UnknownGraphError: the graph cannot be followed.
    """
    before = after = 0
    while before < stride and after < stride:
        tile = _Extent(0, before, _FAR * stride + after)
        try:
            rows, columns = _Derivation(model, INTERIOR, tile, tile).covered
        except _OffTheGridError as error:  # each side depends on its own end of the tile alone
            before, after = before + error.starts, after + (not error.starts)
            continue
        if rows != columns or rows.scale != 0:
            raise UnknownGraphError("its result is not on the grid of its input")
        halo_before, halo_after = rows.start - tile.start, tile.stop - rows.stop
        return Halo(HaloSide(before, halo_before), HaloSide(after, halo_after))
    raise UnknownGraphError("no tile fits its pooling cells")


def graph_for(
    model: onnx.ModelProto, stride: int, border: BorderSides, halo: Halo
) -> onnx.ModelProto:
    """Return the graph of a tile that is padded at these sides only.

    Raises:
        UnknownGraphError: the graph cannot be followed.
    """
    if border == ALL_AROUND:
        return model

    def axis(starts_at_border: bool, stops_at_border: bool) -> _Extent:
        before = 0 if starts_at_border else halo.before.residue
        after = 0 if stops_at_border else halo.after.residue
        return _Extent(0, before, _FAR * stride + after)

    rows, columns = axis(border.top, border.bottom), axis(border.left, border.right)
    return _Derivation(with_fast_unpooling(model), border, rows, columns).model


_FAR = 1024
"""A tile of this many strides is longer than its halo; what is cropped does not depend on its
length."""


class _OffTheGridError(Exception):
    """A tile whose side cuts a pooling cell: the one where it `starts`, or the other."""

    def __init__(self, *, starts: bool) -> None:
        super().__init__()
        self.starts = starts


class _Extent(NamedTuple):
    """What a tensor covers along an axis, from `start` to `stop`, in cells of 2^`scale` pixels."""

    scale: int
    start: int
    stop: int

    def grown(self, before: int, after: int) -> _Extent:
        return _Extent(self.scale, self.start - before, self.stop + after)

    def pooled(self) -> _Extent:
        if self.start % 2 or self.stop % 2:
            raise _OffTheGridError(starts=self.start % 2 == 1)
        return _Extent(self.scale + 1, self.start // 2, self.stop // 2)

    def unpooled(self) -> _Extent:
        return _Extent(self.scale - 1, self.start * 2, self.stop * 2)

    def cells(self) -> _Extent:
        """Return the pooling cells that this touches."""
        return _Extent(self.scale + 1, self.start // 2, -(-self.stop // 2))

    def united(self, other: _Extent) -> _Extent:
        return _Extent(self.scale, min(self.start, other.start), max(self.stop, other.stop))


class _Covered(NamedTuple):
    rows: _Extent
    columns: _Extent

    def each(self, change: Callable[[_Extent], _Extent]) -> _Covered:
        return _Covered(change(self.rows), change(self.columns))

    def united(self, other: _Covered) -> _Covered:
        return _Covered(self.rows.united(other.rows), self.columns.united(other.columns))


class _Derivation:
    """Another graph from one, whose tensors cover the least they must.

    A walk through the graph finds what each tensor can cover, one back what of it is needed.
    """

    def __init__(
        self, model: onnx.ModelProto, border: BorderSides, rows: _Extent, columns: _Extent
    ) -> None:
        self._border = border
        self._constants = constants(model.graph)
        self._covered: dict[str, _Covered] = {}
        self._renamed: dict[str, str] = {}
        self._crops: dict[tuple[str, _Covered], str] = {}
        self._planned: list[onnx.NodeProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._added: list[onnx.TensorProto] = []
        for value in model.graph.input:
            if value.name not in self._constants:
                self._covered[value.name] = _Covered(rows, columns)
        for node in needed(model.graph):
            self._visit(node)
        (output,) = model.graph.output
        if output.name not in self._covered or output.name in self._renamed:
            raise UnknownGraphError("its output does not come from its inputs")
        self.covered = self._covered[output.name]
        inputs = {value.name for value in model.graph.input}
        given = {name: self._covered[name] for name in inputs & self._covered.keys()}
        self._made = self._find_needed() | given
        for node in self._planned:
            self._write(node)
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        graph = self.model.graph
        del graph.node[:]
        del graph.value_info[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(self._added)
        for value in graph.output:
            for dimension in value.type.tensor_type.shape.dim[_ROWS:]:
                dimension.Clear()

    def _visit(self, node: onnx.NodeProto) -> None:
        inputs = [self._renamed.get(name, name) for name in node.input]
        pixels = [self._covered[name] for name in inputs if name in self._covered]
        if pixels and node.op_type == "Pad":
            self._pad(node, inputs)
            return
        if pixels:
            (output,) = node.output
            if node.op_type in _ELEMENTWISE:
                _attributes(node)
                covered = _Covered(*(_overlap(axis) for axis in zip(*pixels, strict=True)))
            else:
                covered = self._reached(node, inputs, pixels[0])
            self._covered[output] = covered
        self._plan(node, inputs)

    def _plan(self, node: onnx.NodeProto, inputs: list[str]) -> None:
        kept = onnx.NodeProto()
        kept.CopyFrom(node)
        kept.input[:] = inputs
        self._planned.append(kept)

    def _find_needed(self) -> dict[str, _Covered]:
        """Return what of each tensor is needed, as far as its operator can leave out the rest."""
        needed: dict[str, _Covered] = {}
        for node in reversed(self._planned):
            (output, *_) = node.output
            if output not in self._covered:
                continue
            wanted = needed.get(output, self._covered[output])
            if node.op_type in _ENLARGING:  # whole cells or none
                wanted = wanted.each(_Extent.cells).each(_Extent.unpooled)
            elif node.op_type not in _CROPPABLE:
                wanted = self._covered[output]
            needed[output] = wanted
            for name in set(node.input) & self._covered.keys():
                of_input = self._taken(node, name, wanted)
                needed[name] = of_input.united(needed.get(name, of_input))
        return needed

    def _taken(self, node: onnx.NodeProto, name: str, wanted: _Covered) -> _Covered:
        """Return what a node takes of one of its inputs for what is wanted of its result."""
        covered = self._covered[name]
        if node.op_type not in _CROPPABLE:
            return covered
        if node.op_type in _ENLARGING:
            return wanted.each(_Extent.cells)
        return wanted if covered.rows.scale == wanted.rows.scale else wanted.each(_Extent.unpooled)

    def _write(self, node: onnx.NodeProto) -> None:
        """Write a planned node, its inputs cropped to what it takes of them."""
        wanted = self._made.get(node.output[0])
        if wanted is not None:
            node.input[:] = [
                self._cropped(name, self._taken(node, name, wanted)) if name in self._made else name
                for name in node.input
            ]
        self._nodes.append(node)

    def _pad(self, node: onnx.NodeProto, inputs: list[str]) -> None:
        """Pad at the border only."""
        if _attributes(node)["mode"] not in _PADDINGS:
            raise UnknownGraphError("it pads neither by mirroring nor by the outermost pixels")
        pads = self._constant(inputs[1]).tolist()
        rim = pads[-1]
        if pads != [0, 0, rim, rim] * 2:
            raise UnknownGraphError(f"it pads by {pads}")
        rows, columns = self._covered[inputs[0]]
        top, left, bottom, right = (rim * side for side in self._border)
        (output,) = node.output
        if any(self._border):
            self._plan(node, [inputs[0], self._add([0, 0, top, left, 0, 0, bottom, right])])
            self._covered[output] = _Covered(rows.grown(top, bottom), columns.grown(left, right))
        else:
            self._renamed[output] = inputs[0]

    def _reached(self, node: onnx.NodeProto, inputs: list[str], given: _Covered) -> _Covered:
        """Return what an operator's result covers; its first input covers `given`."""
        attributes = _attributes(node)
        kernel = attributes.get("kernel_shape")
        match node.op_type:
            case "Conv" if attributes.get("strides", [1, 1]) == [1, 1]:
                size = kernel or list(self._constant(inputs[1]).shape[_ROWS:])
                if size[0] == size[1] and size[0] % 2:
                    around = -(size[0] // 2)
                    return given.each(lambda axis: axis.grown(around, around))
            case "MaxPool" if kernel in _KERNELS and attributes.get("strides") == [2, 2]:
                return given.each(_Extent.pooled)
            case "SpaceToDepth":
                return given.each(_Extent.pooled)
            case "DepthToSpace":
                return given.each(_Extent.unpooled)
            case "ConvTranspose" if (kernel, attributes.get("strides")) == ([2, 2], [2, 2]):
                return given.each(_Extent.unpooled)
            case "Resize" if attributes["mode"] == b"nearest" and len(inputs) == 3:
                if self._constant(inputs[2]).tolist() == [1, 1, 2, 2]:
                    return given.each(_Extent.unpooled)
            case "Slice" if self._is_pixel_of_cells(inputs):
                return given.each(_Extent.pooled)
            case "Slice" if not {_ROWS, _COLUMNS, -2, -1} & set(self._sliced_axes(inputs)):
                return given
            case "Shape" | "Expand":  # to expand something to the size of pixels
                return given
        raise UnknownGraphError(f"{node.op_type} {node.name} cannot be followed")

    def _sliced_axes(self, inputs: list[str]) -> list[int]:
        """Return the axes that a slice cuts, those that it takes whole left out."""
        starts, ends, axes = (self._constant(name).tolist() for name in inputs[1:4])
        return [a for a, i, j in zip(axes, starts, ends, strict=True) if (i, j) != (0, _LAST)]

    def _is_pixel_of_cells(self, inputs: list[str]) -> bool:
        """Tell whether a slice takes the same pixel of each cell."""
        values = [self._constant(name).tolist() for name in inputs[1:]]
        first = values.pop(0)
        return max(first) < 2 and values == [[_LAST] * 2, [_ROWS, _COLUMNS], [2, 2]]

    def _cropped(self, name: str, wanted: _Covered) -> str:
        """Return the name of a tensor cropped to what is wanted of it."""
        made = self._made[name]
        if made == wanted:
            return name
        if (name, wanted) not in self._crops:
            starts = [want.start - has.start for has, want in zip(made, wanted, strict=True)]
            stops = [want.stop - has.stop or _LAST for has, want in zip(made, wanted, strict=True)]
            cropped = f"{name}.cropped.{len(self._nodes)}"
            given = [name, *map(self._add, (starts, stops, [_ROWS, _COLUMNS]))]
            self._nodes.append(helper.make_node("Slice", given, [cropped]))
            self._crops[name, wanted] = cropped
        return self._crops[name, wanted]

    def _constant(self, name: str) -> npt.NDArray[Any]:
        if name not in self._constants:
            raise UnknownGraphError("a size in it is computed")
        value = self._constants[name]
        return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value

    def _add(self, values: list[int]) -> str:
        name = f"halo.{len(self._added)}"
        self._added.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name


def _overlap(extents: tuple[_Extent, ...]) -> _Extent:
    """Return what tensors that are computed with one another cover together."""
    if len({extent.scale for extent in extents}) > 1:
        raise UnknownGraphError("it joins tensors of different resolutions")
    start = max(extent.start for extent in extents)
    return _Extent(extents[0].scale, start, min(extent.stop for extent in extents))


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return a node's attributes, after checking those that must be plain."""
    found = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    for name, value in found.items():
        if name in _PLAIN and value != _PLAIN[name]:
            raise UnknownGraphError(f"{node.op_type} has {name} {value}")
    return found
