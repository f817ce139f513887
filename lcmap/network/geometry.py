"""How far the network sees, and the pooling grid it works on."""

from __future__ import annotations

from lcmap.network.architecture import Architecture

_CONVOLUTIONS_PER_FLOOR = 2
CONTEXT_REACH = 3
"""Of a context block, in cells of the deepest level."""


def stride(architecture: Architecture) -> int:
    """Return the pooling grid in pixels: heights and widths must be multiples of it."""
    return 1 << architecture.depth + (architecture.stem == "half")


def receptive_field(architecture: Architecture) -> int:
    """Return how far the network sees beyond a side of a block that keeps the pooling grid.

    In pixels, the same on every side. How far it sees from one pixel depends on where in a cell
    of the pooling grid that lies, see `reach`; pixels inside a cell see no further out than those
    at its edge.
    """
    return reach(architecture, 0)[0]


def reach(architecture: Architecture, pixel: int) -> tuple[int, int]:
    """Return how many pixels the network sees before and after a pixel, along one axis.

    `pixel` counts from the pooling grid's origin. The interval seen is followed back through the
    network: a 3 × 3 convolution widens it by one on each side, unpooling maps it to the cells of
    the level below, pooling widens cells to the two pixels that each was made from. A series has a
    convolution more than an image on its level; only on the top one does that see further.
    """
    first = last = pixel
    if architecture.stem == "half":  # a convolution on pixels, then their cells
        first, last = (first - 1) // 2, (last + 1) // 2
    for _ in range(architecture.depth):
        first, last = (first - _CONVOLUTIONS_PER_FLOOR) // 2, (last + _CONVOLUTIONS_PER_FLOOR) // 2
    deepest = _CONVOLUTIONS_PER_FLOOR + CONTEXT_REACH * architecture.context
    first, last = first - deepest, last + deepest
    for _ in range(architecture.depth):
        first = 2 * first - _CONVOLUTIONS_PER_FLOOR
        last = 2 * last + 1 + _CONVOLUTIONS_PER_FLOOR
    levels = {architecture.levels[n] if architecture.levels else 0 for n in architecture.series}
    half = architecture.stem == "half"
    if half in levels:  # on the cells of the top level
        first, last = first - 1, last + 1
    if half:
        first, last = 2 * first, 2 * last + 1
        if levels == {0}:
            first, last = first - 1, last + 1
    return pixel - first, last - pixel
