"""Rasters resampled onto another grid window by window, as if the whole had been at once.

No pixel depends on the window it is computed in: coordinates come from the affine transforms, or
from a lattice that is fixed to the target grid, and every sum has the same terms in the same order.
It is the engine's own because a side input is resampled while the network computes: GDAL's warper
takes many times as long for ten bands.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from lcmap.raster.alignment import pixel_size
from lcmap.raster.centres import Alignment, Centres, Placed, window_around
from lcmap.raster.grid import Grid
from lcmap.raster.interpolation import Floats, Mask, bilinear
from lcmap.raster.opening import read_valid, reading
from lcmap.raster.windows import Window

Convert = Callable[[NDArray[Any], Mask], Floats]
"""From pixels [C, h, w] and their validity [h, w] to float32 [D, h, w], 0 where not valid."""

Known = dict[Hashable, Placed | None]
"""Where windows that are known already are, by the keys of alignments."""

_WHOLE = 1e-6
"""Tolerance of pixel sizes, so that 3 pixels are not taken for 2.999."""


@dataclass(frozen=True)
class Surroundings:
    """What a window is interpolated from: `values` [..., C, H, W] and their `valid` [..., H, W].

    `centres` are where the pixels of the window are in them; None where it has these pixels.
    """

    values: Floats
    valid: Mask
    centres: Centres | None

    def rows(self, start: int, stop: int) -> tuple[Floats, Mask]:
        """Return these rows of the window, as `bilinear`."""
        if self.centres is None:
            return self.values[..., start:stop, :], self.valid[..., start:stop, :]
        centres = self.centres.of_rows(start, stop)
        part = window_around(centres, *self.valid.shape[-2:])
        if part is None:
            size = stop - start, centres.cols.shape[1]
            nothing = np.zeros((*self.values.shape[:-2], *size), np.float32)
            return nothing, np.zeros((*self.valid.shape[:-2], *size), bool)
        around = (..., *part.slices)
        return bilinear(self.values[around], self.valid[around], centres.counted_from(part))

    def is_like(self, other: Surroundings) -> bool:
        """Tell whether both are of one shape and interpolated alike, so that they may be joined."""
        if self.values.shape != other.values.shape:
            return False
        ours, theirs = self.centres, other.centres
        if ours is theirs or ours is None or theirs is None:
            return ours is theirs
        return np.array_equal(ours.cols, theirs.cols) and np.array_equal(ours.rows, theirs.rows)

    @classmethod
    def joined(cls, several: Sequence[Surroundings]) -> Surroundings:
        """Return as one what is interpolated alike: an axis of rasters comes first."""
        first = several[0]
        values = np.stack([one.values for one in several])
        return cls(values, np.stack([one.valid for one in several]), first.centres)


class AlignedPixels(ABC):
    """Pixels of one grid as they would be on another, read by window.

    Where the target's pixels are at least twice as large, the source is averaged over squares of
    whole pixels first, so that none of them is skipped.
    """

    def __init__(self, source: Grid, target: Grid, bands: int, dtype: Any) -> None:
        """Bring so many bands of the source's grid onto another; their common type is `dtype`."""
        self._source = source
        self._bands = bands
        self._dtype = dtype
        self.same_grid = self._source.matches(target)
        self._factor = max(int(min(pixel_size(self._source, target)) + _WHOLE), 1)
        self._reduced = Alignment(_reduced_grid(self._source, self._factor), target)

    def read(self, window: Window, convert: Convert) -> tuple[Floats, Mask]:
        """Return what `convert` makes of the raster, float32 [D, h, w], and its validity [h, w].

        Interpolated linearly between pixel centres; 0 where it is not valid.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        found = self.surroundings(window, convert)
        if found is None:
            return self._nothing(window, convert)
        return found.rows(0, window.height)

    def surroundings(
        self, window: Window, convert: Convert, known: Known | None = None
    ) -> Surroundings | None:
        """Return what a window is interpolated from, None where nothing of it is valid.

        Where the window is in other rasters is `known` from those that were asked before, and
        what is found goes there.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        if self.same_grid:
            return Surroundings(*self._converted(window, convert), None)
        known = {} if known is None else known
        key = self._reduced.key
        if key not in known:
            known[key] = self._reduced.placed(window)
        placed = known[key]
        if placed is None:
            return None
        part, f = placed.part, self._factor
        read = Window(part.row * f, part.col * f, part.height * f, part.width * f)
        values, valid = self._converted(read.clipped(*self._source.shape), convert)
        if not valid.any():
            return None
        if f > 1:
            values, valid = _averaged(values, valid, f)
        return Surroundings(values, valid, placed.centres)

    @abstractmethod
    def read_pixels(self, window: Window) -> tuple[NDArray[Any], Mask]:
        """Return a window of the source itself, [C, h, w], and its validity, bool [h, w].

        Raises:
            NotARasterError: pixels cannot be read.
        """

    def _converted(self, window: Window, convert: Convert) -> tuple[Floats, Mask]:
        pixels, valid = self.read_pixels(window)
        return convert(pixels, valid), valid

    def _nothing(self, window: Window, convert: Convert) -> tuple[Floats, Mask]:
        none = np.zeros((self._bands, 1, 1), self._dtype)
        channels = len(convert(none, np.zeros((1, 1), bool)))
        shape = (window.height, window.width)
        return np.zeros((channels, *shape), np.float32), np.zeros(shape, bool)


class AlignedRaster(AlignedPixels):
    """An open raster as it would be on another grid, read by window."""

    def __init__(self, dataset: Any, target: Grid, name: str) -> None:
        """Bring an open raster onto a grid; messages call it `name`."""
        super().__init__(Grid.of(dataset), target, dataset.count, dataset.dtypes[0])
        self._dataset = dataset
        self._name = name

    def read_pixels(self, window: Window) -> tuple[NDArray[Any], Mask]:
        """Return a window of the raster itself, [C, h, w], and its validity, bool [h, w].

        Pixels are not read, and are 0, where none is valid.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        with reading(self._name):
            valid = read_valid(self._dataset, window)
            if not valid.any():
                none = np.zeros((self._dataset.count, *valid.shape), self._dataset.dtypes[0])
                return none, valid
            return self._dataset.read(window=window.ranges), valid


def _reduced_grid(source: Grid, factor: int) -> Grid:
    return Grid(
        source.crs,
        source.transform @ Affine.scale(factor),
        math.ceil(source.width / factor),
        math.ceil(source.height / factor),
    )


def _averaged(values: Floats, valid: Mask, factor: int) -> tuple[Floats, Mask]:
    """Average valid pixels over squares of `factor`, cut at the right and below.

    A square is valid where at least half of it is.
    """
    channels, height, width = values.shape
    rows, cols = -(-height // factor), -(-width // factor)
    around = ((0, rows * factor - height), (0, cols * factor - width))
    weights = np.pad(valid, around).reshape(rows, factor, cols, factor)
    cells = np.pad(np.where(valid, values, np.float32(0)), ((0, 0), *around))
    counts = weights.sum(axis=(1, 3))
    sums = cells.reshape(channels, rows, factor, cols, factor).sum(axis=(2, 4), dtype=np.float64)
    found = 2 * counts >= factor * factor
    means = (sums / np.maximum(counts, 1)).astype(np.float32)
    return np.where(found, means, np.float32(0)), found
