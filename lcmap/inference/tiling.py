"""Cutting an image into tiles whose kept parts equal the whole-image result: pure arithmetic.

The whole-image result is what the network gives for the image mirrored at its right and bottom
rim up to a multiple of the stride (at least twice the stride). A tile's result equals it where

- the tile starts on the pooling grid (multiples of the stride), and
- the tile's edge is the rim of that padded image, where the network's own mirror padding is the
  right one, or is at least the receptive field away and the pixels nearer to it are cut away.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lcmap.raster.windows import Window


class Span(NamedTuple):
    """One tile along one axis: what the network sees and what of its result is kept.

    All are pixels from the image's first; [start, stop) may reach past its last.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int


class Tile(NamedTuple):
    """A tile of the padded image, and the window of the image that is taken from its result."""

    seen: Window
    kept: Window

    @property
    def kept_in_seen(self) -> Window:
        """The kept window, counted from the first pixel seen."""
        return self.kept.shifted(-self.seen.row, -self.seen.col)


def round_up(length: int, multiple: int) -> int:
    """Return the smallest multiple that is not below a length."""
    return -(-length // multiple) * multiple


def padded_length(length: int, stride: int) -> int:
    """Return the length of the padded image along an axis of the image."""
    return max(round_up(length, stride), 2 * stride)


def spans(
    length: int, block: int, stride: int, receptive_field: int, offset: int = 0
) -> list[Span]:
    """Cut an axis into spans; their kept parts follow one another from 0 to `length`.

    The kept parts end at multiples of `block` (rounded up to the stride) plus `offset` (likewise).
    All spans have the same length, the whole padded axis where that is shorter.
    """
    halo = round_up(receptive_field, stride)
    block = round_up(max(block, 1), stride)
    offset = round_up(offset, stride) % block
    padded = padded_length(length, stride)
    seen = min(max(block + 2 * halo, 2 * stride), padded)
    if seen == padded:
        return [Span(0, padded, 0, length)]
    ends = [*range(offset or block, length, block), length]
    result = []
    keep_start = 0
    for keep_stop in ends:
        start = min(max(keep_start - halo, 0), padded - seen)
        result.append(Span(start, start + seen, keep_start, keep_stop))
        keep_start = keep_stop
    return result


def iter_tiles(
    height: int, width: int, block: int, stride: int, receptive_field: int, offset: int = 0
) -> Iterator[Tile]:
    """Yield the tiles of an image row by row; the kept windows are its partition.

    See `spans`, which this applies to rows and to columns.
    """
    columns = spans(width, block, stride, receptive_field, offset)
    for row in spans(height, block, stride, receptive_field, offset):
        for col in columns:
            yield Tile(
                Window(row.start, col.start, row.stop - row.start, col.stop - col.start),
                Window(
                    row.keep_start,
                    col.keep_start,
                    row.keep_stop - row.keep_start,
                    col.keep_stop - col.keep_start,
                ),
            )


def mirror(pixels: npt.NDArray[np.float32], seen: Window) -> npt.NDArray[np.float32]:
    """Fill a tile beyond the image's right and bottom rim by mirroring.

    Takes the tile's pixels inside the image, [bands, rows, columns], and returns it whole,
    [bands, seen.height, seen.width]. The rim's own pixels are not repeated.
    """
    _, rows, cols = pixels.shape
    missing = (0, seen.height - rows), (0, seen.width - cols)
    if missing == ((0, 0), (0, 0)):
        return pixels
    return np.pad(pixels, ((0, 0), *missing), mode="reflect")
