"""How much memory a tile takes, and how large tiles may be: a model of cost from the graph."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import onnx
from onnx import helper, shape_inference

from lcmap.errors import UsageError
from lcmap.inference.borders import Borders
from lcmap.inference.results import of_size

DEFAULT_MEMORY = 2 << 30
"""Bytes: beyond the tiles that this allows, larger ones win little."""

LARGEST_BLOCK = 1536
"""Pixels kept of a tile at most: larger ones were measured to be slower."""

_APART_FROM_TILES = 600 << 20
"""Bytes of the interpreter, its libraries, GDAL's cache and the layers waiting to be written."""

_TILES_AHEAD = 4
"""So many tiles' inputs are in memory: those read ahead, the one computed and its raw pixels."""

_IN_PLACE = frozenset({"BatchNormalization", "Cast", "Identity", "Relu"})
"""Operators that runtimes fuse with the one before, or compute in its memory."""

_COPIES = 3
"""Runtimes lay tensors out anew for their kernels and leave gaps between them: onnxruntime 1.32 was
measured to take twice what its tensors do in an interior tile, three times in one with a rim."""

_SIDE = 64


def peak_bytes_per_pixel(model: onnx.ModelProto, stride: int) -> float:
    """Return the memory that a graph takes while it runs, in bytes for a pixel of its input.

    The tensors alive at the same time are added up, in the order of the nodes.
    """
    side = _SIDE * stride
    inferred = shape_inference.infer_shapes(of_size(model, side, side), data_prop=True)
    graph = inferred.graph
    sizes = {
        value.name: _bytes(value) for value in (*graph.input, *graph.value_info, *graph.output)
    }
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(value.name for value in graph.output)
    owner = {name: name for name in sizes}
    alive = Counter({value.name: uses[value.name] for value in graph.input})
    held = float(sum(sizes.get(name, 0) for name in alive))
    peak = held
    for node in graph.node:
        for name in node.output:
            first = node.input[0] if node.input else ""
            if node.op_type in _IN_PLACE and uses[first] == 1 and first in owner:
                owner[name] = owner[first]
            else:
                owner[name] = name
                held += sizes.get(name, 0)
            alive[owner[name]] += uses[name]
        peak = max(peak, held)
        for name in node.input:
            if name in owner:
                alive[owner[name]] -= 1
                if alive[owner[name]] == 0:
                    held -= sizes.get(owner[name], 0)
    return _COPIES * peak / side**2


def _bytes(value: onnx.ValueInfoProto) -> int:
    tensor = value.type.tensor_type
    elements: int = math.prod(dimension.dim_value for dimension in tensor.shape.dim)
    return elements * np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)).itemsize


def largest_block(
    memory: int, bytes_per_pixel: float, channels: int, stride: int, borders: Borders
) -> int:
    """Return the pixels to keep of a tile, along each axis, so that a run fits in `memory` bytes.

    `channels` are those of all entries of the network together.

    Raises:
        UsageError: not even the smallest tile fits.
    """
    each = bytes_per_pixel + 4 * channels * _TILES_AHEAD
    lost = borders.before.lost + borders.after.lost + stride
    fits = math.isqrt(max(int((memory - _APART_FROM_TILES) / each), 0)) - lost
    block = min(fits, LARGEST_BLOCK) // stride * stride
    if block < stride:
        least = _APART_FROM_TILES + each * (lost + stride) ** 2
        raise UsageError(
            "--memory", "is too little for this model", f"give {math.ceil(least / 1e6)} MB or more"
        )
    return block
