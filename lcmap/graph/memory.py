"""How much memory a tile takes, and how large tiles may be: a model of cost from the graph."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import onnx
from onnx import helper, shape_inference

from lcmap.errors import UsageError
from lcmap.graph.halo import Halo
from lcmap.graph.outputs import of_size
from lcmap.graph.tensor_sizes import TensorSize

_APART_FROM_TILES = 560 << 20
"""Bytes of the interpreter, its libraries, GDAL's cache, the network's weights and open dates."""

_READ_AHEAD = 3
"""Tiles whose inputs are in memory beside those being computed: read ahead, and as raw pixels."""

_UNWRITTEN = 4
"""Tiles whose results are in memory beside those being computed: waiting to be written, and as
they are written."""

_IN_PLACE = frozenset({"BatchNormalization", "Cast", "Identity", "Relu", "Reshape"})
"""Operators that runtimes fuse with the one before, or compute in its memory."""

_INTEGER_KERNELS = frozenset({"Concat", "Conv"})
"""Operators that runtimes compute on integers between DequantizeLinear and QuantizeLinear."""

_SIDE = 64


class PixelBytes(NamedTuple):
    """The memory of a tile, in bytes for each of its pixels.

    `computed` is what a tile takes while it is computed, `read` what its inputs do, `found` what
    its results do.
    """

    computed: float
    read: float
    found: float

    def of_run(self, tiles_at_once: int) -> float:
        """Return what a run takes in which so many tiles are computed at once."""
        return (
            tiles_at_once * (self.computed + self.read)
            + _READ_AHEAD * self.read
            + _UNWRITTEN * self.found
        )


def peak_tensor_bytes(
    model: onnx.ModelProto, stride: int, sizes: Mapping[str, TensorSize] | None = None
) -> float:
    """Return how large a graph's tensors are while it runs, in bytes for a pixel of its image.

    The tensors alive at the same time are added up, in the order of the nodes: what an engine
    holds of them is its own, see `lcmap.engines.choice.Engine`. `sizes` are those of inputs that
    are coarser than the image, by name.
    """
    side = _SIDE * stride
    others = {name: size.of(side, side) for name, size in (sizes or {}).items()}
    inferred = shape_inference.infer_shapes(of_size(model, side, side, others), data_prop=True)
    graph = inferred.graph
    taken = {
        value.name: _bytes(value) for value in (*graph.input, *graph.value_info, *graph.output)
    }
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(value.name for value in graph.output)
    never_written = _inside_integer_kernels(graph)
    taken |= dict.fromkeys(never_written, 0)
    owner = {name: name for name in taken}
    alive = Counter({value.name: uses[value.name] for value in graph.input})
    held = float(sum(taken.get(name, 0) for name in alive))
    peak = held
    for node in graph.node:
        for name in node.output:
            first = node.input[0] if node.input else ""
            held_for = name in never_written and node.op_type == "DequantizeLinear"
            in_place = node.op_type in _IN_PLACE and uses[first] == 1
            if (held_for or in_place) and first in owner:
                owner[name] = owner[first]
            else:
                owner[name] = name
                held += taken.get(name, 0)
            alive[owner[name]] += uses[name]
        peak = max(peak, held)
        for name in node.input:
            if name in owner:
                alive[owner[name]] -= 1
                if alive[owner[name]] == 0:
                    held -= taken.get(owner[name], 0)
    return peak / side**2


def _inside_integer_kernels(graph: onnx.GraphProto) -> set[str]:
    """Return the float tensors that are never written to memory.

    Runtimes compute DequantizeLinear, an operator and QuantizeLinear as one kernel of integers.
    """
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    dequantized = {n.output[0] for n in graph.node if n.op_type == "DequantizeLinear"}
    kernels = {
        node.output[0]: list(node.input)
        for node in graph.node
        if node.op_type in _INTEGER_KERNELS
        and set(node.input) <= dequantized
        and all(user.op_type == "QuantizeLinear" for user in users.get(node.output[0], ()))
    }
    inputs = {
        name
        for names in kernels.values()
        for name in names
        if all(user.output[0] in kernels for user in users[name])
    }
    return inputs | kernels.keys()


def _bytes(value: onnx.ValueInfoProto) -> int:
    """Return the memory that a tensor takes."""
    tensor = value.type.tensor_type
    sides = [dimension.dim_value for dimension in tensor.shape.dim]
    itemsize: int = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)).itemsize
    return int(math.prod(sides)) * itemsize


def largest_block(
    memory: int,
    pixel: PixelBytes,
    stride: int,
    halo: Halo,
    *,
    at_most: int,
    tiles_at_once: int = 1,
) -> int:
    """Return the side of the largest output window with which a run fits in `memory` bytes.

    It is `at_most` pixels.

    Raises:
        UsageError: not even the smallest tile fits.
    """
    each = pixel.of_run(tiles_at_once)
    around = halo.before.width + halo.after.width + stride
    fits = math.isqrt(max(int((memory - _APART_FROM_TILES) / each), 0)) - around
    block = min(fits, at_most) // stride * stride
    if block < stride:
        least = _APART_FROM_TILES + each * (around + stride) ** 2
        raise UsageError(
            "`memory`", "is too little for this model", f"give {math.ceil(least / 1e6)} MB or more"
        )
    return block
