"""How often each class occurs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.tile_index import IndexedTile
from lcmap.nomenclature import Nomenclature


def class_counts(tiles: Iterable[IndexedTile], nomenclature: Nomenclature) -> NDArray[np.int64]:
    """Return the labelled pixels of each class, int64 [K] in the nomenclature's order."""
    counts = np.zeros(len(nomenclature), np.int64)
    for tile in tiles:
        for code, count in tile.class_counts.items():
            counts[nomenclature.index_of(code)] += count
    return counts


def class_shares(tiles: Iterable[IndexedTile], nomenclature: Nomenclature) -> NDArray[np.float64]:
    """Return each class's share of the labelled pixels, float64 [K]; zeros without a label."""
    counts = class_counts(tiles, nomenclature)
    return counts / max(int(counts.sum()), 1)
