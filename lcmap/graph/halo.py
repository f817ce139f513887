"""What a tile is like at its sides: which are the image's border, and what is cut off at others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


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


class TakenCells(NamedTuple):
    """What a tile takes of an input, in cells of 2^`level` pixels, at sides inside the image.

    The cell in which a side lies without its residue is on the pooling grid; the input starts
    `before` cells after that of the tile's start, and stops `after` cells after that of its stop.
    """

    level: int
    before: int
    after: int


class Halo(NamedTuple):
    """The sides of a tile inside the image: those before (top, left) and after (bottom, right).

    `taken` is what it takes of each input, () where all have the pixels of the image.
    """

    before: HaloSide
    after: HaloSide
    taken: tuple[TakenCells, ...] = ()


def padded_halo(stride: int, receptive_field: int, levels: Sequence[int] = ()) -> Halo:
    """Return the halo of tiles that are padded on every side: a halo on the pooling grid.

    `levels` are those of the inputs.
    """
    halo = -(-receptive_field // stride) * stride
    taken = tuple(TakenCells(level, 0, 0) for level in levels) if any(levels) else ()
    return Halo(HaloSide(0, halo), HaloSide(0, halo), taken)
