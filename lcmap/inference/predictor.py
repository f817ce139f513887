"""One tile of an image through the network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lcmap.inference.session import Session
from lcmap.inference.source import TilePixels
from lcmap.inference.tiling import Tile


class Predictor:
    """A session and the name of the entry that the image is given to."""

    def __init__(self, session: Session, entry: str, classes: int) -> None:
        """Predict with a loaded network of so many classes, K."""
        self._session = session
        self._entry = entry
        self._classes = classes

    def probabilities(self, tile: Tile, pixels: TilePixels) -> npt.NDArray[np.float32]:
        """Return the probabilities of the window kept, float32 [K, rows, columns].

        Where no kept pixel is valid the network is not asked, and they are 0.
        """
        if pixels.scaled is None:
            return np.zeros((self._classes, tile.kept.height, tile.kept.width), np.float32)
        (whole,) = self._session.run({self._entry: pixels.scaled[None]})  # [K, seen rows, columns]
        kept: npt.NDArray[np.float32] = whole[:, *tile.kept_in_seen.slices]
        return kept
