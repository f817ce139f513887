"""How an image is cut into tiles with the least work: as few kinds of them as pay, not square."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from lcmap.graph.halo import Halo
from lcmap.inference.tiling import Block, Span, spans

_LOADING = 400_000
"""How many pixels of a tile take as long as loading a graph."""

_NEW_MEMORY = 0.13
"""How much longer the first tile of a graph takes than the others, as a share: its memory is new.

Both were measured of the default network in OpenVINO float32. In bfloat16 loading counts twice as
much, in larger networks both count less: see docs/benchmarks.md.
"""

_WORTH_IT = 0.98
"""Other blocks than square ones are taken where they take at most this much of the work."""

_MOST = 32
"""More tiles than that along an axis are not compared with other numbers: little is left to win."""


class _Cut(NamedTuple):
    """An axis in so many blocks: the block, and pixels of inputs: all, each kind's, the most."""

    block: int
    pixels: int
    of_kinds: Sequence[int]
    largest: int


def cheapest_block(height: int, width: int, side: int, stride: int, halo: Halo) -> Block:
    """Return the blocks of an image that take the least work.

    That is the pixels which go through the network, halos included, and what the graph of each kind
    of tile takes: a kind has the same size, and the same sides at the border of the image. Tiles
    have at most the pixels of one inside the image whose output window has this `side`; where
    others win little, blocks are squares of that. Of equal ones the widest are taken, since rasters
    are stored by rows.
    """
    pixels = (side + halo.before.width + halo.after.width + stride) ** 2
    best = Block(side, side)
    least = _WORTH_IT * _work(_cut(height, side, stride, halo), _cut(width, side, stride, halo))
    cuts = product(_cuts(width, side, stride, halo), _cuts(height, side, stride, halo))
    for columns, rows in cuts:
        if rows.largest * columns.largest <= pixels and _work(rows, columns) < least:
            best, least = Block(rows.block, columns.block), _work(rows, columns)
    return best


def _cuts(length: int, side: int, stride: int, halo: Halo) -> list[_Cut]:
    """Return an axis in one block, in two, and so on to twice as many as of this side."""
    most = -(-length // max(side, stride))
    if most > _MOST:
        return [_cut(length, side, stride, halo)]
    return [_cut(length, -(-length // count), stride, halo) for count in range(1, 2 * most + 1)]


def _cut(length: int, block: int, stride: int, halo: Halo) -> _Cut:
    parts = spans(length, block, stride, halo)
    read = [part.input_stop - part.input_start for part in parts]
    return _Cut(block, sum(read), [pixels for *_, pixels in set(map(_kind, parts))], max(read))


def _kind(span: Span) -> tuple[bool, bool, int]:
    return span.starts_at_border, span.stops_at_border, span.input_stop - span.input_start


def _work(rows: _Cut, columns: _Cut) -> float:
    """Return what tiles take, as pixels of a tile that take as long."""
    kinds = len(rows.of_kinds) * len(columns.of_kinds)
    first = sum(rows.of_kinds) * sum(columns.of_kinds)
    return rows.pixels * columns.pixels + _LOADING * kinds + _NEW_MEMORY * first
