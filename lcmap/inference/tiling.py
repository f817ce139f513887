"""Cutting an image into tiles whose outputs equal the whole-image result: pure arithmetic.

The whole-image result is what the network computes for the image mirrored at its right and bottom
border up to a multiple of the stride (at least twice the stride). A tile ends at the border of
that padded image, where the network pads as it does for the whole image; or it ends inside, at a
pixel that cuts no pooling cell, and the halo beside that end is not used (see `Halo`).
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from lcmap.graph.halo import BorderSides, Halo, TakenCells
from lcmap.raster.windows import Window, padded_length, round_up


class Span(NamedTuple):
    """One tile along one axis, in pixels from the image's first.

    The network reads `input_start` to `input_stop`, its result is valid from `valid_start` to
    `valid_stop`, and `output_start` to `output_stop` goes into the map. The first two may reach
    past the image's last pixel. `starts_at_border` and `stops_at_border` say where the tile ends
    with the image.
    """

    input_start: int
    input_stop: int
    valid_start: int
    valid_stop: int
    output_start: int
    output_stop: int
    starts_at_border: bool
    stops_at_border: bool


class Block(NamedTuple):
    """How large output windows are, in pixels, at most and but for what `spans` says."""

    height: int
    width: int


class Tile(NamedTuple):
    """A tile of the padded image, as windows in pixels of the image.

    The network reads `input_window`; its result is valid in `valid_window`, of which
    `output_window` goes into the map. `border` says at which sides the tile ends with the image.
    `input_cells` are what it reads of each input, in cells of that; () where all have the image's
    pixels.
    """

    input_window: Window
    valid_window: Window
    output_window: Window
    border: BorderSides
    input_cells: tuple[Window, ...] = ()

    def cells_of(self, number: int) -> Window:
        """Return what the network reads of the input of this number, in cells of that."""
        return self.input_cells[number] if self.input_cells else self.input_window


def spans(length: int, block: int, stride: int, halo: Halo, offset: int = 0) -> list[Span]:
    """Cut an axis into spans; their outputs follow one another from 0 to `length`.

    The outputs are alike and at most `block` long, rounded up to the stride, except the last,
    which may be a stride longer, and those at the border where the halo asks for more. `offset`
    makes the first shorter.

    An example. A network of depth 3 has the stride 8. Without padding its tiles must start at a
    pixel ≡ 2 and stop at one ≡ 6 (mod 8), and lose 44 pixels on each side: the halo is
    ((2, 44), (6, 44)). An axis of 200 pixels in blocks of 64 becomes

        input        0 … 102    10 … 158    66 … 200
        valid        0 … 58     54 … 114   110 … 200
        output       0 … 54     54 … 110   110 … 200

    An output that starts at 54 needs an input from 54 - 44 = 10 ≡ 2 (mod 8). One that stops at 54
    needs an input up to 54 + 44 = 98 at least; the next pixel ≡ 6 (mod 8) is 102, so the result is
    valid up to 102 - 44 = 58. No output starts where such an input would begin before the image.
    """
    before, after = halo.before, halo.after
    padded = padded_length(length, stride)

    def input_stop(output_stop: int) -> int:
        """Return the first pixel at which the input of an output that ends there may stop."""
        least = output_stop + after.width
        return least + (after.residue - least) % stride

    count = -(-length // max(block, stride))
    step = round_up(-(-length // count), stride)
    phase = (before.residue + before.width) % stride
    first = step - (step - phase) % stride - round_up(offset, stride) % step
    ends = [
        end
        for end in range(first, length, step)
        if end > 0 and before.width <= end and input_stop(end) <= padded and count > 1
    ]
    return [
        Span(
            input_start=start - before.width if start else 0,
            input_stop=input_stop(stop) if stop < length else padded,
            valid_start=start,
            valid_stop=input_stop(stop) - after.width if stop < length else padded,
            output_start=start,
            output_stop=stop,
            starts_at_border=start == 0,
            stops_at_border=stop == length,
        )
        for start, stop in pairwise([0, *ends, length])
    ]


def tiles_of(
    height: int, width: int, block: int | Block, stride: int, halo: Halo, offset: int = 0
) -> list[Tile]:
    """Return the tiles of an image row by row; the output windows are its partition.

    See `spans`, which this applies to rows and to columns. A number is the side of a square block.
    """
    sides = Block(block, block) if isinstance(block, int) else block
    return [
        Tile(
            _window(row.input_start, row.input_stop, col.input_start, col.input_stop),
            _window(row.valid_start, row.valid_stop, col.valid_start, col.valid_stop),
            _window(row.output_start, row.output_stop, col.output_start, col.output_stop),
            BorderSides(
                row.starts_at_border,
                col.starts_at_border,
                row.stops_at_border,
                col.stops_at_border,
            ),
            tuple(
                _window(*_cells(row, halo, taken), *_cells(col, halo, taken))
                for taken in halo.taken
            ),
        )
        for row in spans(height, sides.height, stride, halo, offset)
        for col in spans(width, sides.width, stride, halo, offset)
    ]


def _cells(span: Span, halo: Halo, taken: TakenCells) -> tuple[int, int]:
    """Return from which to which cell a span takes an input.

    In the example of `spans` a tile takes, of an input on cells of 4 pixels, those from 2 after the
    start of its first pooling cell, to 0 after the start of its last: of 10 … 158, cells 4 … 38.
    """
    start, stop = 0, span.input_stop >> taken.level
    if not span.starts_at_border:
        start = (span.input_start - halo.before.residue >> taken.level) + taken.before
    if not span.stops_at_border:
        stop = (span.input_stop - halo.after.residue >> taken.level) + taken.after
    return start, stop


def _window(row: int, stop_row: int, col: int, stop_col: int) -> Window:
    return Window(row, col, stop_row - row, stop_col - col)
