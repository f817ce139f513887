"""A small sample of a raster's pixels, by which one tells whether they are still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.raster.windows import Window

_PLACES = 4
"""Windows along each axis; so few blocks of a compressed file have to be decoded."""

_SIDE = 32
"""Pixels along the side of a window."""


def sample_windows(height: int, width: int) -> Iterator[Window]:
    """Yield the windows of the sample of an image of this size, row by row."""
    rows, cols = _starts(height), _starts(width)
    for row in rows:
        for col in cols:
            yield Window(row, col, min(_SIDE, height - row), min(_SIDE, width - col))


def _starts(length: int) -> list[int]:
    last = max(length - _SIDE, 0)
    return sorted({round(place * last / (_PLACES - 1)) for place in range(_PLACES)})


class PixelSample:
    """The sample of an image, filled as the image is read or written block by block."""

    def __init__(self, bands: int, height: int, width: int, dtype: str) -> None:
        """Sample an image of this size and data type."""
        self._windows = tuple(sample_windows(height, width))
        self._pixels = [np.zeros((bands, w.height, w.width), dtype) for w in self._windows]

    @classmethod
    def of(cls, dataset: Any) -> PixelSample:
        """Return the sample of an open raster.

        Raises:
            RasterioIOError: its pixels cannot be read.
        """
        sample = cls(dataset.count, dataset.height, dataset.width, dataset.dtypes[0])
        for window in sample._windows:
            sample.update(dataset.read(window=window.ranges), window)
        return sample

    def update(self, image: NDArray[Any], window: Window) -> None:
        """Take from an image's pixels [bands, h, w] in a window those that are in the sample."""
        for pixels, mine in zip(self._pixels, self._windows, strict=True):
            part = mine.intersection(window)
            if part is not None:
                inside = part.shifted(-mine.row, -mine.col).slices
                pixels[:, *inside] = image[:, *part.shifted(-window.row, -window.col).slices]

    def values(self) -> NDArray[Any]:
        """Return the sampled pixels, [bands, n]."""
        return np.concatenate([pixels.reshape(len(pixels), -1) for pixels in self._pixels], axis=1)

    def digest(self) -> str:
        """Return a digest of the sampled pixels and their data type."""
        found = hashlib.blake2b(digest_size=16)
        for pixels in self._pixels:
            found.update(str((pixels.dtype.str, pixels.shape)).encode())
            found.update(np.ascontiguousarray(pixels).tobytes())
        return found.hexdigest()
