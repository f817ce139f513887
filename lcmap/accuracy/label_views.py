"""Label rasters seen in another way: as their classes alone, as the ground they score.

The confidence of a map is seen so too, for 0 % is another thing than none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lcmap.accuracy.label_raster import LabelRaster
from lcmap.accuracy.split_windows import mask_of
from lcmap.nomenclature import Nomenclature
from lcmap.raster.windows import Window

View = Callable[[LabelRaster], LabelRaster]


class _Seen(LabelRaster):
    """An open raster; what is read of it is another's to say."""

    def __init__(self, raster: LabelRaster) -> None:
        self._raster = raster
        self.path = raster.path
        self.name = raster.name
        self.dataset = raster.dataset
        self.grid = raster.grid


class _Classes(_Seen):
    """A raster whose codes without a label are 0."""

    def __init__(self, raster: LabelRaster, nomenclature: Nomenclature) -> None:
        super().__init__(raster)
        self._table = np.arange(256, dtype=np.uint8)
        self._table[list(nomenclature.no_label)] = 0

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Return the codes in a window, uint8 [height, width], 0 where there is no label."""
        codes: NDArray[np.uint8] = np.take(self._table, self._raster.read(window), mode="clip")
        return codes


class ScoredGround(_Seen):
    """A reference as the ground that it scores: its codes are 1 there, else 0."""

    def __init__(
        self,
        reference: LabelRaster,
        is_scored: NDArray[np.bool_],
        windows: Sequence[Window] | None,
    ) -> None:
        """Take the codes that `is_scored`, [256], says, in the windows; with None everywhere."""
        super().__init__(reference)
        self._table = is_scored.astype(np.uint8)
        self._inside = None if windows is None else np.array(windows, np.int64).reshape(-1, 4)

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Return 1 where the reference scores a pixel, else 0, uint8 [height, width]."""
        found: NDArray[np.uint8] = np.take(self._table, self._raster.read(window), mode="clip")
        return found if self._inside is None else found * mask_of(window, self._inside)


class Confidence(_Seen):
    """A raster of percent, its codes 1 more than these: 0 where there is none."""

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Return 1 more than the percent, uint8 [height, width].

        It is 0 where the raster has no data, or a value above 100.
        """
        percent = self._raster.read(window)
        known = self._raster.read_valid(window) & (percent <= 100)
        return np.where(known, np.minimum(percent, 100) + np.uint8(1), np.uint8(0))


def percent_of(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the percent of codes that `Confidence` reads, float32, NaN where there is none."""
    return np.where(codes == 0, np.float32(np.nan), codes.astype(np.float32) - 1)


def classes_of(nomenclature: Nomenclature) -> View:
    """Return how to see rasters whose codes are a nomenclature's: what is no label there is 0.

    Codes that it lacks stay, for others to refuse.
    """
    if not nomenclature.no_label:
        return lambda raster: raster
    return lambda raster: _Classes(raster, nomenclature)
