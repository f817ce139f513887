"""The image that is predicted: its tiles as the network takes them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lcmap.dataset.normalisation import scale
from lcmap.errors import AllNodataError
from lcmap.inference.tiling import Tile, mirror
from lcmap.progress import Progress
from lcmap.raster.opening import read_valid, reading
from lcmap.raster.quantiles import band_quantiles, read_quantiles

logger = logging.getLogger(__name__)


class TilePixels(NamedTuple):
    """What is read of a tile.

    `scaled` is what the network takes, float32 [bands, rows, columns] of the window seen, None
    where no kept pixel is valid; `valid` is bool [rows, columns] of the window kept.
    """

    scaled: npt.NDArray[np.float32] | None
    valid: npt.NDArray[np.bool_]


class ImageSource:
    """An open image with the quantiles that it is scaled by."""

    def __init__(self, dataset: Any, quantiles: npt.NDArray[np.float64], subject: str) -> None:
        """Read from an open raster; `quantiles` are [bands, 2], `subject` names it in errors."""
        self._dataset = dataset
        self._quantiles = quantiles
        self._subject = subject

    def read(self, tile: Tile) -> TilePixels:
        """Read one tile; only the image's own pixels are read, the rest is mirrored.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        inside = tile.seen.clipped(self._dataset.height, self._dataset.width)
        with reading(self._subject):
            valid = read_valid(self._dataset, inside)
            kept = valid[tile.kept.shifted(-inside.row, -inside.col).slices]
            if not kept.any():
                return TilePixels(None, kept)
            pixels = self._dataset.read(window=inside.ranges)
        return TilePixels(mirror(scale(pixels, self._quantiles, valid), tile.seen), kept)


def quantiles_of(
    dataset: Any, path: Path, subject: str, *, allow_vrt: bool, progress: Progress
) -> npt.NDArray[np.float64]:
    """Return the 2 % and 98 % quantiles of each band, float64 [bands, 2].

    They are those that the image carries in its tags, else they are computed over all of it. An
    image without a valid pixel has zeros.

    Raises:
        NotARasterError: pixels cannot be read.
    """
    carried = read_quantiles(dataset)
    if carried is not None:
        return carried
    logger.info("%s carries no quantiles: computing them over the whole image", subject)
    try:
        return band_quantiles(path, allow_vrt=allow_vrt, progress=progress)
    except AllNodataError:
        return np.zeros((dataset.count, 2))
