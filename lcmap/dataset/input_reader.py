"""What the network takes of a raster on the grid of the first image, window by window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.encoding import Encoding, OneHot, Scaling, scaling_of
from lcmap.dataset.normalisation import scale
from lcmap.dataset.raster_content import RasterContent
from lcmap.nomenclature import Nomenclature
from lcmap.nomenclature.classes import NO_INDEX
from lcmap.raster.grid import Grid
from lcmap.raster.label_resampling import LabelsOnGrid
from lcmap.raster.resampling import AlignedRaster
from lcmap.raster.windows import Window


class InputReader:
    """An open raster as an input of the network, on any grid.

    Images and probabilities are interpolated linearly, label maps resampled as `LabelsOnGrid` says.
    Windows are counted in the cells of its content's `level`.
    """

    def __init__(
        self,
        dataset: Any,
        grid: Grid,
        content: RasterContent,
        quantiles: NDArray[np.float64] | None,
        name: str,
    ) -> None:
        """Bring an open raster onto a grid.

        An image is scaled by its `quantiles` [C, 2]; messages call the raster `name`.
        """
        self._nomenclature = content.nomenclature
        self._scales = content.kind == "image"
        self._quantiles = quantiles
        self.level = content.level
        grid = grid.coarsened(content.level) if content.level else grid
        self.encoding: Encoding = None
        """How `read_encoded` may return it: integers, where it needs no interpolation."""
        if content.nomenclature is not None:
            self._labels = LabelsOnGrid(dataset, grid, name, content.nomenclature.check_labels)
            self.encoding = OneHot(len(content.nomenclature))
        else:
            self._raster = AlignedRaster(dataset, grid, name)
            if quantiles is not None and self._scales and self._raster.same_grid:
                dtypes = set(dataset.dtypes)
                self.encoding = scaling_of(dtypes.pop(), quantiles) if len(dtypes) == 1 else None

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return a window as the network takes it, float32 [C, h, w], and where valid, bool [h, w].

        Pixels that are not valid are 0 in every channel.

        Raises:
            NotARasterError: pixels cannot be read.
            UnknownLabelError: a label map holds codes that its nomenclature does not have.
        """
        if self._nomenclature is not None:
            return one_hot(self._labels.read(window), self._nomenclature)
        return self._raster.read(window, self._scaled)

    def read_encoded(
        self, window: Window, encoding: Encoding
    ) -> tuple[tuple[NDArray[Any], ...], NDArray[np.bool_]]:
        """Return a window as a graph with this encoding takes it, and where valid, bool [h, w].

        `encoding` is the reader's own or None. The arrays are those of `graph.entries`, each
        [C, h, w] without the batch's axis.

        Raises:
            NotARasterError, UnknownLabelError: as `read`.
        """
        match encoding:
            case Scaling():
                pixels, valid = self._raster.read_pixels(window)
                return (pixels, valid[None].view(np.uint8)), valid
            case OneHot():
                assert self._nomenclature is not None
                indices = self._nomenclature.code_to_index[self._labels.read(window)]
                return (indices[None],), indices != NO_INDEX
            case None:
                values, valid = self.read(window)
                return (values,), valid

    def _scaled(self, pixels: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        if self._scales:
            assert self._quantiles is not None
            return scale(pixels, self._quantiles, valid)
        return np.where(valid, pixels, 0).astype(np.float32)


def one_hot(
    codes: NDArray[np.uint8], nomenclature: Nomenclature
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return codes [h, w] as one channel per class, float32 [K, h, w], and where there is a label.

    Pixels without a label are 0 in every channel.
    """
    indices = nomenclature.code_to_index[codes]
    channels = np.arange(len(nomenclature), dtype=np.uint8)[:, None, None]
    return (indices == channels).astype(np.float32), indices != NO_INDEX
