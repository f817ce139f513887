"""The tiles that are predicted, as the network takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lcmap.dataset.entries import EntryReader
from lcmap.inference.tiling import Tile, mirror


class TilePixels(NamedTuple):
    """What is read of a tile.

    `entries` are what the network takes, each float32 [channels, rows, columns] of the window
    seen, None where no kept pixel is valid; `valid` is bool [rows, columns] of the window kept.
    """

    entries: tuple[npt.NDArray[np.float32], ...] | None
    valid: npt.NDArray[np.bool_]


class TileSource:
    """Reads the tiles of an image and of its side inputs."""

    def __init__(
        self, shape: tuple[int, int], entries: Sequence[EntryReader], *, allow_missing: bool = False
    ) -> None:
        """Read tiles of an image of so many rows and columns.

        A pixel is valid where every entry is, with `allow_missing` where any is.
        """
        self._shape = shape
        self._entries = tuple(entries)
        self._allow_missing = allow_missing

    def read(self, tile: Tile) -> TilePixels:
        """Read one tile; only pixels inside the image are read, the rest is mirrored.

        Raises:
            NotARasterError: pixels cannot be read.
            UnknownLabelError: a label map holds codes that its nomenclature does not have.
        """
        inside = tile.seen.clipped(*self._shape)
        kept = tile.kept.shifted(-inside.row, -inside.col).slices
        combine = np.logical_or if self._allow_missing else np.logical_and
        valid = np.full((tile.kept.height, tile.kept.width), not self._allow_missing)
        pixels = []
        for entry in self._entries:
            values, where = entry.read(inside)
            valid = combine(valid, where[kept])
            if not self._allow_missing and not valid.any():
                break
            pixels.append(mirror(values, tile.seen))
        return TilePixels(tuple(pixels) if valid.any() else None, valid)
