"""Connected components of a mask that is seen block by block: the same as of the whole mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from lcmap.raster.windows import Window, iter_blocks

_NONE = -1

Mask = NDArray[np.bool_]


class BlockwiseComponents:
    """Sizes of the components of a mask; pixels are connected that share a side.

        components = BlockwiseComponents(height, width, block)
        for window in components.windows:
            components.add(window, mask(window))
        components.join()
        for window in components.windows:
            large = components.at_least(pixels, window, mask(window))

    Only components that touch a side between two blocks are remembered: memory grows with the
    length of these sides, not with the pixels.
    """

    def __init__(self, height: int, width: int, block: int) -> None:
        """Begin with no block of a mask of this size."""
        self.windows = list(iter_blocks(height, width, block))
        self._shape = height, width
        self._touching: dict[Window, tuple[NDArray[np.int32], int]] = {}
        self._sizes: list[NDArray[np.int64]] = []
        self._pairs: list[NDArray[np.int64]] = []
        self._known = 0
        # the numbers of what touches the blocks that come next, from above and from the left
        self._above = np.full(width, _NONE, np.int64)
        self._beside = np.full(min(block, height), _NONE, np.int64)
        self._joined = np.zeros(0, np.int64)

    def add(self, window: Window, mask: Mask) -> None:
        """Take the next of the `windows`, in their order; the mask of it is bool [h, w]."""
        labels, sizes = _labelled(mask)
        inner = self._inner_sides(window, labels)
        touching = np.unique(np.concatenate([*inner, np.zeros(1, np.int32)]))[1:]
        number = np.full(len(sizes), _NONE, np.int64)
        number[touching] = self._known + np.arange(len(touching))
        self._touching[window] = touching, self._known
        self._sizes.append(sizes[touching])
        self._known += len(touching)
        top, left = number[labels[0]], number[labels[:, 0]]
        columns = slice(window.col, window.stop_col)
        if window.row:
            self._connect(self._above[columns], top)
        if window.col:
            self._connect(self._beside[: window.height], left)
        self._above[columns] = number[labels[-1]]
        self._beside[: window.height] = number[labels[:, -1]]

    def join(self) -> None:
        """Join, once every window was added, the parts of components that several blocks have."""
        parts = np.concatenate([np.zeros(0, np.int64), *self._sizes])
        pairs = np.concatenate([np.zeros((2, 0), np.int64), *self._pairs], axis=1)
        links = sparse.coo_array((np.ones(pairs.shape[1], bool), pairs), (len(parts), len(parts)))
        count, component = csgraph.connected_components(links, directed=False)
        sizes = np.zeros(count, np.int64)
        np.add.at(sizes, component, parts)
        self._joined = sizes[component]

    def at_least(self, pixels: int, window: Window, mask: Mask) -> Mask:
        """Return the part of a mask, bool [h, w], whose components have so many pixels in all."""
        labels, sizes = _labelled(mask)
        touching, first = self._touching[window]
        sizes[touching] = self._joined[first : first + len(touching)]
        large = sizes >= pixels
        large[0] = False
        kept: Mask = large[labels]
        return kept

    def _inner_sides(self, window: Window, labels: NDArray[np.int32]) -> list[NDArray[np.int32]]:
        """Return the labels along the sides of a block that another block shares."""
        height, width = self._shape
        sides = (
            (window.row > 0, labels[0]),
            (window.stop_row < height, labels[-1]),
            (window.col > 0, labels[:, 0]),
            (window.stop_col < width, labels[:, -1]),
        )
        return [side for shared, side in sides if shared]

    def _connect(self, ones: NDArray[np.int64], others: NDArray[np.int64]) -> None:
        """Note which components meet along a side."""
        meet = (ones != _NONE) & (others != _NONE)
        if meet.any():
            self._pairs.append(np.unique(np.stack([ones[meet], others[meet]]), axis=1))


def _labelled(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the number of each pixel's component, int32 [h, w], and the sizes by number, int64."""
    labels, count = ndimage.label(mask)
    return labels, np.bincount(labels.ravel(), minlength=count + 1)
