"""One tile of an image through the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lcmap.inference.session import Session
from lcmap.inference.source import TilePixels
from lcmap.inference.tiling import Tile


class Predictor:
    """A session and the names of its entries."""

    def __init__(self, session: Session, entries: Sequence[str], classes: int) -> None:
        """Predict with a loaded network of these entries and of so many classes, K."""
        self._session = session
        self._entries = tuple(entries)
        self._classes = classes

    def probabilities(self, tile: Tile, pixels: TilePixels) -> npt.NDArray[np.float32]:
        """Return the probabilities of the window kept, float32 [K, rows, columns].

        Where no kept pixel is valid the network is not asked, and they are 0.
        """
        if pixels.entries is None:
            return np.zeros((self._classes, tile.kept.height, tile.kept.width), np.float32)
        given = (values[None] for values in pixels.entries)  # each [1, C, seen rows, columns]
        (whole,) = self._session.run(dict(zip(self._entries, given, strict=True)))
        kept: npt.NDArray[np.float32] = whole[:, *tile.kept_in_seen.slices]
        return kept
