"""How pixels are stored, and what the network takes of them.

Pixels travel to the network as their raster stores them, which is a quarter of the bytes or less;
the first operators of the graph turn them into what the network takes (`lcmap.graph.entries`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_STORED = ("uint8", "int8", "uint16", "int16")
"""Data types whose numbers float32 holds exactly."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """Integers of an image that the network takes as (x - low) · factor, 0 where not valid.

    `low` and `factor` are float32 [C]; see `lcmap.dataset.normalisation`.
    """

    dtype: str
    low: NDArray[np.float32]
    factor: NDArray[np.float32]


@dataclass(frozen=True)
class OneHot:
    """Indices of `classes` classes, uint8, of which the network takes a channel each.

    An index of no class is 0 in every channel.
    """

    classes: int


Encoding = Scaling | OneHot | None
"""None: the network takes the numbers as they are, float32."""


def stored_bytes(encoding: Encoding, channels: int) -> int:
    """Return the bytes of a pixel, for an input of which the network takes so many channels."""
    match encoding:
        case Scaling():
            where_valid = 1
            return channels * np.dtype(encoding.dtype).itemsize + where_valid
        case OneHot():
            return 1
        case None:
            return channels * np.dtype(np.float32).itemsize


def scaling_of(dtype: str, quantiles: NDArray[np.float64]) -> Scaling | None:
    """Return how an image of this data type is scaled by its quantiles [C, 2].

    None where its numbers are not integers that float32 holds.
    """
    if dtype not in _STORED:
        return None
    low, factor = low_and_factor(quantiles)
    return Scaling(dtype, low.astype(np.float32), factor.astype(np.float32))


def low_and_factor(
    quantiles: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return q02 and 1 / (q98 - q02) of each band [C], of quantiles [C, 2].

    The factor is 0 where the two are equal: such a band becomes 0.
    """
    low, high = np.asarray(quantiles, np.float64).T
    spread = high - low
    return low, np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
