"""The graph of a tile: padded only where the tile's side is the image's border.

Inside the image the network's mirror padding does not matter, since a halo is cut away. So tiles
there are not padded: convolutions lose their outermost pixels, skips and masks are cropped where
they meet what came from deeper levels, and the padded pixels and the passes over memory that
padding takes are saved. A tile at the border is padded on that side alone. All these graphs are
derived from the one in the model file, by following through it which pixels of the image each
tensor covers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from lcmap.graph.extents import Covered, Extent, OffTheGridError
from lcmap.graph.halo import ALL_AROUND, INTERIOR, BorderSides, Halo, HaloSide, TakenCells
from lcmap.graph.nodes import (
    ELEMENTWISE,
    UnknownGraphError,
    as_array,
    constants,
    input_names,
    kernel,
    needed,
)
from lcmap.graph.unpooling import with_fast_unpooling

_ROWS, _COLUMNS = 2, 3
_LAST = np.iinfo(np.int64).max

_ENLARGING = frozenset({"ConvTranspose", "DepthToSpace", "Resize"})
"""Operators that make a cell of 2 × 2 of each pixel."""

_CROPPABLE = (
    ELEMENTWISE | _ENLARGING | {"Conv", "Expand", "MaxPool", "Shape", "Slice", "SpaceToDepth"}
)
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


def find_halo(model: onnx.ModelProto, stride: int, levels: Sequence[int] = ()) -> Halo:
    """Return the halo of tiles that are padded at the border only; `levels` are the inputs'.

    Of a coarser input a tile takes the cells that its result needs, no more.

    Raises:
        UnknownGraphError: the graph cannot be followed.
    """
    names = input_names(model.graph)
    of_input = dict(zip(names, levels or [0] * len(names), strict=True))
    # at first the coarser inputs reach so far beyond the tile that they do not limit the result
    starts = {name: -_BEYOND * stride >> level for name, level in of_input.items() if level}
    stops = {name: (_FAR + _BEYOND) * stride >> level for name, level in of_input.items() if level}
    before = after = 0
    for _ in range(2 * stride * len(names)):
        tile = Extent(0, before, _FAR * stride + after)
        extents = {
            name: Extent(level, starts[name], stops[name]) if level else tile
            for name, level in of_input.items()
        }
        given = {name: Covered(extent, extent) for name, extent in extents.items()}
        try:
            derived = _Derivation(model, INTERIOR, given)
        except OffTheGridError as error:  # each side depends on its own end of the tile alone
            coarse = error.inputs & starts.keys()
            if coarse != error.inputs:
                before, after = before + error.starts, after + (not error.starts)
            for name in coarse:
                ends = starts if error.starts else stops
                ends[name] += 1
            continue
        if max(before, after) >= stride:
            break
        rows, columns = derived.covered
        if rows != columns or rows.scale != 0:
            raise UnknownGraphError("its result is not on the grid of its input")
        halo_before, halo_after = rows.start - tile.start, tile.stop - rows.stop
        taken = _taken_cells(derived, of_input, tile, stride)
        return Halo(HaloSide(before, halo_before), HaloSide(after, halo_after), taken)
    raise UnknownGraphError("no tile fits its pooling cells")


def _taken_cells(
    derived: _Derivation, levels: Mapping[str, int], tile: Extent, stride: int
) -> tuple[TakenCells, ...]:
    """Return what a tile takes of each input.

    Raises:
        UnknownGraphError: it would see further in a coarser input than in the image, or less than
            its result covers.
    """
    if not any(levels.values()):
        return ()
    taken = []
    for name, level in levels.items():
        rows, columns = derived.needed.get(name, derived.covered)
        if rows != columns or rows.scale != level:
            raise UnknownGraphError("what it takes of an input is not on the grid of that")
        if level == 0:
            rows = tile
        seen, result = Extent(0, rows.start << level, rows.stop << level), derived.covered.rows
        if not (tile.start <= seen.start <= result.start and result.stop <= seen.stop <= tile.stop):
            raise UnknownGraphError("it sees further in one input than in another")
        taken.append(TakenCells(level, rows.start, rows.stop - (_FAR * stride >> level)))
    return tuple(taken)


def graph_for(
    model: onnx.ModelProto, stride: int, border: BorderSides, halo: Halo
) -> onnx.ModelProto:
    """Return the graph of a tile that is padded at these sides only.

    Raises:
        UnknownGraphError: the graph cannot be followed.
    """
    if border == ALL_AROUND:
        return model

    def axis(taken: TakenCells, starts_at_border: bool, stops_at_border: bool) -> Extent:
        before = 0 if starts_at_border else taken.before
        after = 0 if stops_at_border else taken.after
        return Extent(taken.level, before, (_FAR * stride >> taken.level) + after)

    names = input_names(model.graph)
    of_image = TakenCells(0, halo.before.residue, halo.after.residue)
    given = {
        name: Covered(
            axis(taken, border.top, border.bottom), axis(taken, border.left, border.right)
        )
        for name, taken in zip(names, halo.taken or (of_image,) * len(names), strict=True)
    }
    return _Derivation(with_fast_unpooling(model), border, given).model


_FAR = 1024
"""A tile of this many strides is longer than its halo; what is cropped does not depend on its
length."""

_BEYOND = 64
"""Strides that are further than any network of lcmap sees."""


class _Derivation:
    """Another graph from one, whose tensors cover the least they must.

    A walk through the graph finds what each tensor can cover, one back what of it is needed.
    """

    def __init__(
        self, model: onnx.ModelProto, border: BorderSides, given: dict[str, Covered]
    ) -> None:
        self._border = border
        self._constants = constants(model.graph)
        self._covered = given.copy()
        self._sources = {name: frozenset([name]) for name in given}
        self._renamed: dict[str, str] = {}
        self._crops: dict[tuple[str, Covered], str] = {}
        self._planned: list[onnx.NodeProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._added: list[onnx.TensorProto] = []
        for node in needed(model.graph):
            self._visit(node)
        (output,) = model.graph.output
        if output.name not in self._covered or output.name in self._renamed:
            raise UnknownGraphError("its output does not come from its inputs")
        self.covered = self._covered[output.name]
        self.needed = self._find_needed()
        self._made = self.needed | given
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
        sources = frozenset[str]().union(*(self._sources.get(name, ()) for name in inputs))
        self._sources.update(dict.fromkeys(node.output, sources))
        if pixels and node.op_type == "Pad":
            self._pad(node, inputs)
            return
        if pixels:
            (output,) = node.output
            if node.op_type in ELEMENTWISE:
                _attributes(node)
                covered = Covered(*(_overlap(axis) for axis in zip(*pixels, strict=True)))
            else:
                try:
                    covered = self._reached(node, inputs, pixels[0])
                except OffTheGridError as error:
                    error.inputs = sources
                    raise
            self._covered[output] = covered
        self._plan(node, inputs)

    def _plan(self, node: onnx.NodeProto, inputs: list[str]) -> None:
        kept = onnx.NodeProto()
        kept.CopyFrom(node)
        kept.input[:] = inputs
        self._planned.append(kept)

    def _find_needed(self) -> dict[str, Covered]:
        """Return what of each tensor is needed, as far as its operator can leave out the rest."""
        needed: dict[str, Covered] = {}
        for node in reversed(self._planned):
            (output, *_) = node.output
            if output not in self._covered:
                continue
            wanted = needed.get(output, self._covered[output])
            if node.op_type in _ENLARGING:  # whole cells or none
                wanted = wanted.each(Extent.cells).each(Extent.unpooled)
            elif node.op_type not in _CROPPABLE:
                wanted = self._covered[output]
            needed[output] = wanted
            for name in set(node.input) & self._covered.keys():
                of_input = self._taken(node, name, wanted)
                needed[name] = of_input.united(needed.get(name, of_input))
        return needed

    def _taken(self, node: onnx.NodeProto, name: str, wanted: Covered) -> Covered:
        """Return what a node takes of one of its inputs for what is wanted of its result."""
        covered = self._covered[name]
        if node.op_type not in _CROPPABLE:
            return covered
        if node.op_type in _ENLARGING:
            return wanted.each(Extent.cells)
        if node.op_type == "Conv":
            whole = self._covered[node.output[0]]
            return Covered(*map(Extent.around, covered, whole, wanted))
        return wanted if covered.rows.scale == wanted.rows.scale else wanted.each(Extent.unpooled)

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
            self._covered[output] = Covered(rows.grown(top, bottom), columns.grown(left, right))
        else:
            self._renamed[output] = inputs[0]

    def _reached(self, node: onnx.NodeProto, inputs: list[str], given: Covered) -> Covered:
        """Return what an operator's result covers; its first input covers `given`."""
        attributes = _attributes(node)
        sides = kernel(node, self._constants)
        match node.op_type:
            case "Conv" if sides and attributes.get("strides", [1, 1]) == [1, 1]:
                if sides[0] == sides[1] and sides[0] % 2:
                    around = -(sides[0] // 2)
                    return given.each(lambda axis: axis.grown(around, around))
            case "MaxPool" if sides in _KERNELS and attributes.get("strides") == [2, 2]:
                return given.each(Extent.pooled)
            case "SpaceToDepth":
                return given.each(Extent.pooled)
            case "DepthToSpace":
                return given.each(Extent.unpooled)
            case "ConvTranspose" if sides == attributes.get("strides") == [2, 2]:
                return given.each(Extent.unpooled)
            case "Resize" if attributes["mode"] == b"nearest" and len(inputs) == 3:
                if self._constant(inputs[2]).tolist() == [1, 1, 2, 2]:
                    return given.each(Extent.unpooled)
            case "Slice" if self._is_pixel_of_cells(inputs):
                return given.each(Extent.pooled)
            case "Slice" if not {_ROWS, _COLUMNS, -2, -1} & set(self._sliced_axes(inputs)):
                return given
            case "ArgMax" if attributes.get("axis") == 1 and attributes.get("keepdims", 1) == 1:
                return given
            case "ReduceMax" | "ReduceSum" if attributes.get("keepdims", 1) == 1:
                if len(inputs) == 2 and self._constant(inputs[1]).tolist() == [0]:
                    return given
            case "Gather" if inputs[0] in self._constants:  # which the pixels choose from
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

    def _cropped(self, name: str, wanted: Covered) -> str:
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
        return as_array(self._constants[name])

    def _add(self, values: list[int]) -> str:
        name = f"halo.{len(self._added)}"
        self._added.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name


def _overlap(extents: tuple[Extent, ...]) -> Extent:
    """Return what tensors that are computed with one another cover together."""
    if len({extent.scale for extent in extents}) > 1:
        raise UnknownGraphError("it joins tensors of different resolutions")
    start = max(extent.start for extent in extents)
    return Extent(extents[0].scale, start, min(extent.stop for extent in extents))


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return a node's attributes, after checking those that must be plain."""
    found = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    for name, value in found.items():
        if name in _PLAIN and value != _PLAIN[name]:
            raise UnknownGraphError(f"{node.op_type} has {name} {value}")
    return found
