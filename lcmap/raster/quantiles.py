"""Exact quantiles of the bands of a raster of any size."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.errors import AllNodataError
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.opening import open_raster, read_valid
from lcmap.raster.radiometry import real_dtype
from lcmap.raster.windows import iter_blocks

PROBABILITIES = (0.02, 0.98)
"""The quantiles that the paper scales images by (section 3.1)."""

_DIGIT = 16
_BLOCK = 1024

Blocks = Callable[[], Iterable[tuple[NDArray[Any], NDArray[np.bool_]]]]


class QuantileSelection:
    """Exact quantiles of streamed values by radix selection: one pass for each 16 bits of a value.

    Values become unsigned integers of the same order. The first pass counts their leading 16 bits,
    which tells the leading bits of the order statistics sought; each further pass counts the next
    16 bits of the values that share them. So 8- and 16-bit bands take one pass, 32-bit integers
    and floats two, and memory does not depend on the number of values. Between order statistics
    the quantile is interpolated linearly, as numpy.quantile does by default.
    """

    def __init__(
        self, bands: int, dtype: Any, probabilities: Sequence[float] = PROBABILITIES
    ) -> None:
        """Seek these quantiles of so many bands of one real dtype."""
        self._bands = bands
        self._dtype = np.dtype(dtype)
        self._probabilities = tuple(probabilities)
        self._bits = self._dtype.itemsize * 8
        self._digit = min(self._bits, _DIGIT)
        self._known = 0  # leading bits that are known of every value sought
        self._total = 0
        # by band: the counts of the next digit, for each prefix in question
        self._counts = [{0: self._no_counts()} for _ in range(bands)]
        # by band and order statistic: its prefix, and its rank among the values that share it
        self._sought: list[list[tuple[int, int]]] = []

    @property
    def done(self) -> bool:
        """Whether no further pass over the values is needed."""
        return bool(self._known == self._bits)

    @property
    def empty(self) -> bool:
        """Whether no value came in the passes that have ended."""
        return self._total == 0

    def update(self, values: NDArray[Any]) -> None:
        """Count values [bands, n], none of them NaN; every pass is given the same values."""
        if self._known == 0:
            self._total += values.shape[1]
        for band, counts in enumerate(self._counts):
            keys = _ordered_keys(values[band])
            shift = self._bits - self._known - self._digit
            for prefix, count in counts.items():
                mine = keys
                if self._known:
                    mine = keys[keys >> np.uint64(self._bits - self._known) == np.uint64(prefix)]
                digits = (mine >> mine.dtype.type(shift)) & mine.dtype.type((1 << self._digit) - 1)
                count += np.bincount(digits.astype(np.intp), minlength=count.size)

    def end_pass(self) -> None:
        """Draw the conclusions from a pass; afterwards `done` says whether it was the last."""
        if self._total == 0:
            self._known = self._bits
            return
        if not self._sought:
            ranks = [rank for p in self._probabilities for rank in self._ranks(p)]
            self._sought = [[(0, rank) for rank in ranks] for _ in range(self._bands)]
        for band, counts in enumerate(self._counts):
            self._sought[band] = [
                self._descend(counts[prefix], prefix, rank) for prefix, rank in self._sought[band]
            ]
            self._counts[band] = {prefix: self._no_counts() for prefix, _ in self._sought[band]}
        self._known += self._digit

    def quantiles(self) -> NDArray[np.float64]:
        """Return the quantiles, float64 [bands, probabilities]; NaN where no value came."""
        result = np.full((self._bands, len(self._probabilities)), np.nan)
        for band, sought in enumerate(self._sought):
            keys = [prefix for prefix, _ in sought]
            low, high = keys[0::2], keys[1::2]
            for i, p in enumerate(self._probabilities):
                fraction = p * (self._total - 1) % 1.0
                a, b = self._value(low[i]), self._value(high[i])
                result[band, i] = (
                    a + (b - a) * fraction if fraction < 0.5 else b - (b - a) * (1 - fraction)
                )
        return result

    def _ranks(self, probability: float) -> tuple[int, int]:
        below = math.floor(probability * (self._total - 1))
        return below, min(below + 1, self._total - 1)

    def _descend(self, count: NDArray[np.int64], prefix: int, rank: int) -> tuple[int, int]:
        cumulated = np.cumsum(count)
        digit = int(np.searchsorted(cumulated, rank, side="right"))
        return prefix << self._digit | digit, rank - int(cumulated[digit] - count[digit])

    def _no_counts(self) -> NDArray[np.int64]:
        return np.zeros(1 << self._digit, np.int64)

    def _value(self, key: int) -> float:
        if self._dtype.kind == "u":
            return float(key)
        sign = 1 << (self._bits - 1)
        if self._dtype.kind == "i":
            return float(key - sign)
        bits = key ^ sign if key & sign else key ^ ((1 << self._bits) - 1)
        return float(np.array(bits, f"u{self._dtype.itemsize}").view(self._dtype))


def _ordered_keys(values: NDArray[Any]) -> NDArray[Any]:
    """Return unsigned integers of the same width and the same order as real values [n]."""
    unsigned = np.dtype(f"u{values.dtype.itemsize}")
    if values.dtype.kind == "u":
        return values
    bits = np.ascontiguousarray(values).view(unsigned)
    sign = unsigned.type(1 << (unsigned.itemsize * 8 - 1))
    signed_integer = values.dtype.kind == "i"
    keys: NDArray[Any] = (
        bits ^ sign if signed_integer else np.where(bits & sign, ~bits, bits | sign)
    )
    return keys


def select_quantiles(
    blocks: Blocks, bands: int, dtype: Any, probabilities: Sequence[float] = PROBABILITIES
) -> NDArray[np.float64]:
    """Return exact quantiles, float64 [bands, probabilities], NaN where no pixel is valid.

    `blocks` is called once per pass and yields images [bands, h, w] with their valid mask [h, w].
    """
    selection = QuantileSelection(bands, dtype, probabilities)
    while not selection.done:
        for image, valid in blocks():
            selection.update(image[:, valid])
        selection.end_pass()
    return selection.quantiles()


def band_quantiles(
    path: PathLike,
    probabilities: Sequence[float] = PROBABILITIES,
    *,
    progress: Progress = silent,
    allow_vrt: bool = False,
) -> NDArray[np.float64]:
    """Return the exact quantiles of a raster's bands over its valid pixels, float64 [bands, n].

    Raises:
        InputMissingError, NotARasterError: as `open_raster`.
        DataError: its values are complex numbers.
        AllNodataError: no pixel is valid.
    """
    with open_raster(path, allow_vrt=allow_vrt) as dataset:
        return dataset_quantiles(dataset, os.fspath(path), probabilities, progress=progress)


def dataset_quantiles(
    dataset: Any,
    name: str,
    probabilities: Sequence[float] = PROBABILITIES,
    *,
    progress: Progress = silent,
) -> NDArray[np.float64]:
    """Return the exact quantiles of an open raster's bands over its valid pixels, [bands, n].

    Raises:
        DataError: its values are complex numbers.
        AllNodataError: no pixel is valid; it calls the raster by its `name`.
    """
    windows = list(iter_blocks(dataset.height, dataset.width, _BLOCK))

    def blocks() -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
        pixels = 0
        for i, window in enumerate(windows, start=1):
            yield dataset.read(window=window.ranges), read_valid(dataset, window)
            pixels += window.pixels
            progress(i, len(windows), "quantiles", amount=pixels)

    # bands of several dtypes are read in the one that holds them all
    dtype = real_dtype(dataset, name)
    quantiles = select_quantiles(blocks, dataset.count, dtype, probabilities)
    if np.isnan(quantiles).any():
        raise no_valid_pixel(name)
    return quantiles


def no_valid_pixel(path: PathLike) -> AllNodataError:
    """Return the error to raise for an image without a single valid pixel."""
    return AllNodataError(
        path, "no pixel is valid in every band", "check its nodata value and its bands"
    )
