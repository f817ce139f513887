"""Labels brought onto another grid, by one rule for every command.

The rule: a target pixel is divided into equal parts, none larger than a label pixel. Each part has
the label of the pixel in which its centre is. The target pixel gets the class that most parts have,
the lowest code where several have as many. "No label" (code 0) counts as a class: a part has none
where the raster is not valid, where it does not reach, and where `to_codes` returns 0.

So a target pixel that is as fine as the label pixels, or finer, is a single part and takes the
nearest label. A coarser one takes the class that covers most of it, and no label where that covers
as much as any class. An example along one axis: a target pixel of 3 label pixels has 6 parts, 2 in
each; one of 1.5 label pixels has 6 parts of 0.25, so that the whole label pixel has 4 votes and the
half has 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from lcmap.raster.alignment import to_pixels
from lcmap.raster.centres import Alignment, window_around
from lcmap.raster.code_counts import code_counts
from lcmap.raster.grid import Grid
from lcmap.raster.opening import read_valid, reading
from lcmap.raster.windows import Window, iter_blocks

Codes = NDArray[np.uint8]
ToCodes = Callable[[NDArray[Any], str], Codes]
"""From label pixels (any real dtype) and the raster's name to codes of the same shape.

`Nomenclature.check_labels` and `Crosswalk.apply` are two: with the latter, classes that the
crosswalk merges vote together.
"""

_AS_FINE = 0.01
"""A target pixel that is larger than a label pixel by no more than this share is as fine."""

_FEWEST_PARTS = 6
"""Along an axis of a coarser pixel; with fewer, its edges would weigh too much or too little."""

_PARTS_AT_ONCE = 1 << 20
_PIXELS_AT_ONCE = 1 << 18


class LabelsOnGrid:
    """An open label raster as it is on another grid, read by window, by the rule of this module.

    No pixel depends on the window that it is read in.
    """

    def __init__(self, dataset: Any, target: Grid, name: str, to_codes: ToCodes) -> None:
        """Bring the first band of an open raster onto a grid; messages call the raster `name`.

        `to_codes` is given the label pixels around a window, before they vote.
        """
        self._dataset = dataset
        self._name = name
        self._to_codes = to_codes
        self._source = Grid.of(dataset)
        self._same_grid = self._source.matches(target)
        self._down, self._across = parts_of_a_pixel(self._source, target)
        self._alignment = Alignment(self._source, _divided(target, self._down, self._across))

    def read(self, window: Window) -> Codes:
        """Return a window of the target grid as codes, uint8 [h, w], 0 where there is no label.

        Raises:
            NotARasterError: pixels cannot be read.
            UnknownLabelError: as `to_codes`.
        """
        if self._same_grid:
            return self._codes(window)
        if self._down == self._across == 1:
            return self._resampled(window)
        codes = np.empty((window.height, window.width), np.uint8)
        at_once = min(_PARTS_AT_ONCE // (self._down * self._across), _PIXELS_AT_ONCE)
        for block in iter_blocks(window.height, window.width, max(math.isqrt(at_once), 1)):
            codes[block.slices] = self._resampled(block.shifted(window.row, window.col))
        return codes

    def _resampled(self, window: Window) -> Codes:
        down, across = self._down, self._across
        parts = Window(
            window.row * down, window.col * across, window.height * down, window.width * across
        )
        centres = self._alignment.centres(parts)
        around = window_around(centres, *self._source.shape)
        if around is None:
            return np.zeros((window.height, window.width), np.uint8)
        # an index that is outside leads to the border, which has no labels
        codes = np.pad(self._codes(around), 1)
        cols, rows, parallel = centres.counted_from(around)
        row, col = _in_border(rows, around.height), _in_border(cols, around.width)
        if not parallel:
            codes = codes[row, col]
            row, col = np.arange(parts.height)[:, None], np.arange(parts.width)[None]
        return majority(codes, row[:, 0], col[0], down, across)

    def _codes(self, window: Window) -> Codes:
        """Return a window of the raster as codes, 0 where it is not valid."""
        with reading(self._name):
            pixels: NDArray[Any] = self._dataset.read(1, window=window.ranges)
            pixels[~read_valid(self._dataset, window)] = 0
        return self._to_codes(pixels, self._name)


def _in_border(places: NDArray[np.float64], length: int) -> NDArray[np.intp]:
    """Return the indexes of places along an axis to which a pixel was added on both sides."""
    indexes: NDArray[np.intp] = np.clip(np.floor(places) + 1, 0, length + 1).astype(np.intp)
    return indexes


def parts_of_a_pixel(source: Grid, target: Grid) -> tuple[int, int]:
    """Return into how many parts, down and across, a target pixel is divided for the labels.

    One, where it is as fine as a label pixel; else the fewest that are no larger than a label
    pixel, or a multiple of that number for at least six. Where a pixel is a whole number of label
    pixels, so is every label pixel a whole number of parts.
    """
    col, row = target.width / 2, target.height / 2
    cols, rows = to_pixels(
        source, target, np.array([col, col + 1.0, col]), np.array([row, row, row + 1.0])
    )
    across = math.hypot(cols[1] - cols[0], rows[1] - rows[0])
    down = math.hypot(cols[2] - cols[0], rows[2] - rows[0])
    return _parts(down), _parts(across)


def _parts(size: float) -> int:
    """Return the parts along an axis of a target pixel of this size in label pixels."""
    if not 1 + _AS_FINE < size < math.inf:
        return 1
    fewest = math.ceil(size - _AS_FINE)
    return fewest * math.ceil(_FEWEST_PARTS / fewest)


def _divided(grid: Grid, down: int, across: int) -> Grid:
    return Grid(
        grid.crs,
        grid.transform @ Affine.scale(1 / across, 1 / down),
        grid.width * across,
        grid.height * down,
    )


def majority(
    codes: Codes, rows: NDArray[np.intp], cols: NDArray[np.intp], down: int, across: int
) -> Codes:
    """Return the commonest code of each cell of `down` × `across` parts, uint8 [h, w].

    The part at (i, j) has the code at (rows[i], cols[j]) of codes [H, W]; `rows` are h · down,
    `cols` are w · across. Of codes as common, the lowest.
    """
    if down == across == 1:
        return codes[rows].take(cols, axis=1)
    shape = (len(rows) // down, len(cols) // across)
    winners = np.full(shape, codes.min(), np.uint8)
    if codes.max() == codes.min():
        return winners
    vote_type = np.min_scalar_type(down * across)
    most = np.zeros(shape, vote_type)
    for code in np.flatnonzero(code_counts(codes)).astype(np.uint8):
        mine = (codes == code).astype(vote_type)
        # sums over strides: numpy's own over short axes take ten times as long
        in_rows = mine[rows[::down]]  # [h, W]
        for i in range(1, down):
            in_rows += mine[rows[i::down]]
        votes = in_rows.take(cols[::across], axis=1)
        for j in range(1, across):
            votes += in_rows.take(cols[j::across], axis=1)
        np.copyto(winners, code, where=votes > most)
        np.maximum(most, votes, out=most)
    return winners
