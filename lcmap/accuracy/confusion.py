"""Confusion matrices of label maps, counted by lookup and bincount.

Inside this package a pixel is one of K + 2 states: a class index 0 … K-1, K without a class
(unlabelled in a reference, unclassified in a map), K + 1 a code that its nomenclature lacks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lcmap.nomenclature import Crosswalk, Nomenclature


def state_table(
    nomenclature: Nomenclature,
    crosswalk: Crosswalk | None = None,
    only: tuple[int, ...] | None = None,
) -> NDArray[np.uint8]:
    """Return uint8 [256]: the state of each code of a raster.

    The raster is in the crosswalk's source nomenclature, without one in `nomenclature` itself.
    With `only`, classes whose codes are not in it are without a class.
    """
    classes = len(nomenclature)
    source = crosswalk.source if crosswalk else nomenclature
    table = np.full(256, classes + 1, np.uint8)
    table[[0, *source.no_label]] = classes
    for code in source.codes:
        target = int(crosswalk.table[code]) if crosswalk else code
        kept = target != 0 and (only is None or target in only)
        table[code] = nomenclature.index_of(target) if kept else classes
    return table


def cells(
    reference: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int
) -> NDArray[np.uint16]:
    """Return, for states of one shape, uint16 numbers of the cells of a (K+2) × (K+2) matrix."""
    numbers = np.multiply(reference, classes + 2, dtype=np.uint16)
    numbers += predicted
    return numbers


def count(numbers: NDArray[np.uint16], classes: int) -> NDArray[np.int64]:
    """Return int64 [K+2, K+2]: how often each cell occurs; rows are the reference's states."""
    counts = np.bincount(numbers.ravel(), minlength=(classes + 2) ** 2)
    return counts.reshape(classes + 2, classes + 2)


def margins(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return int64 [3, K] from a matrix [K, K+1]: agreed, reference's and map's pixels per class.

    The last column, unclassified, counts into the reference's pixels only. All measures of this
    package follow from these margins.
    """
    return np.stack([np.diagonal(matrix), matrix.sum(axis=1), matrix[:, :-1].sum(axis=0)])
