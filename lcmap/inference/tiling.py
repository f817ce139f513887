"""Cutting an image into tiles whose kept parts equal the whole-image result: pure arithmetic.

The whole-image result is what the network gives for the image mirrored at its right and bottom
rim up to a multiple of the stride (at least twice the stride). A side of a tile is the rim of that
padded image, where the network pads as it does for the whole; or it lies inside, at a pixel with
which no pooling cell is cut, and what is lost or wrong beside it is not kept (see `Borders`).
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lcmap.inference.borders import Borders, Rim
from lcmap.raster.windows import Window


class Span(NamedTuple):
    """One tile along one axis: what the network sees, what is right of it and what is kept.

    All are pixels from the image's first; `start` to `stop` and `right_start` to `right_stop` may
    reach past its last. `first_is_rim` and `last_is_rim` say where the tile ends with the image.
    """

    start: int
    stop: int
    right_start: int
    right_stop: int
    keep_start: int
    keep_stop: int
    first_is_rim: bool
    last_is_rim: bool


class Tile(NamedTuple):
    """A tile of the padded image.

    The network sees the window `seen` and is right about the window `right`, of which `kept` is
    taken, all in pixels of the image; `rim` is where the tile ends with the image.
    """

    seen: Window
    right: Window
    kept: Window
    rim: Rim


def round_up(length: int, multiple: int) -> int:
    """Return the smallest multiple that is not below a length."""
    return -(-length // multiple) * multiple


def padded_length(length: int, stride: int) -> int:
    """Return the length of the padded image along an axis of the image."""
    return max(round_up(length, stride), 2 * stride)


def spans(length: int, block: int, stride: int, borders: Borders, offset: int = 0) -> list[Span]:
    """Cut an axis into spans; their kept parts follow one another from 0 to `length`.

    The kept parts are alike and at most `block` long, rounded up to the stride, but the last,
    which may be a stride longer, and those at the rim where the borders ask for more. `offset`
    makes the first shorter.
    """
    before, after = borders
    padded = padded_length(length, stride)

    def stop_after(kept: int) -> int:
        """Return the first pixel at which a tile that is to be right up to `kept` may stop."""
        return kept + after.lost + (after.residue - kept - after.lost) % stride

    count = -(-length // max(block, stride))
    step = round_up(-(-length // count), stride)
    phase = (before.residue + before.lost) % stride
    first = step - (step - phase) % stride - round_up(offset, stride) % step
    ends = [
        end
        for end in range(first, length, step)
        if end > 0 and before.lost <= end and stop_after(end) <= padded and count > 1
    ]
    return [
        Span(
            start=keep_start - before.lost if keep_start else 0,
            stop=stop_after(keep_stop) if keep_stop < length else padded,
            right_start=keep_start,
            right_stop=stop_after(keep_stop) - after.lost if keep_stop < length else padded,
            keep_start=keep_start,
            keep_stop=keep_stop,
            first_is_rim=keep_start == 0,
            last_is_rim=keep_stop == length,
        )
        for keep_start, keep_stop in pairwise([0, *ends, length])
    ]


def tiles_of(
    height: int, width: int, block: int, stride: int, borders: Borders, offset: int = 0
) -> list[Tile]:
    """Return the tiles of an image row by row; the kept windows are its partition.

    See `spans`, which this applies to rows and to columns.
    """
    return [
        Tile(
            _window(row.start, row.stop, col.start, col.stop),
            _window(row.right_start, row.right_stop, col.right_start, col.right_stop),
            _window(row.keep_start, row.keep_stop, col.keep_start, col.keep_stop),
            Rim(row.first_is_rim, col.first_is_rim, row.last_is_rim, col.last_is_rim),
        )
        for row in spans(height, block, stride, borders, offset)
        for col in spans(width, block, stride, borders, offset)
    ]


def _window(row: int, stop_row: int, col: int, stop_col: int) -> Window:
    return Window(row, col, stop_row - row, stop_col - col)


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
