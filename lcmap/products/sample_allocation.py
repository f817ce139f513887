"""How many points a sample has, and how they are divided among strata.

Sizes for a standard error are the fewest points whose division has it, minima, whole numbers and
strata that are taken whole included. Without these they are those of Cochran (1977, equations 5.25
and 5.66), as Olofsson et al. (2014, equation 13) apply them to the overall accuracy of a map.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lcmap.errors import UsageError

Allocation = Literal["proportional", "equal", "optimal"]


def standard_error(
    pixels: NDArray[np.int64], accuracy: NDArray[np.float64], points: NDArray[np.int64]
) -> float:
    """Return the standard error of overall accuracy, as a fraction (Cochran 1977, theorem 5.3).

    Strata have so many `pixels` [H], so many `points` of them [H], and are expected to be right at
    this `accuracy` [H]. A stratum whose pixels are all points adds nothing.
    """
    shares = pixels / pixels.sum()
    return math.sqrt(shares**2 @ (accuracy * (1 - accuracy) * (1 / points - 1 / pixels)))


def size_for(
    target_se: float,
    pixels: NDArray[np.int64],
    minimum: int,
    how: Allocation,
    accuracy: NDArray[np.float64],
) -> int:
    """Return the fewest points with which `allocate` gives overall accuracy this standard error."""
    low, high = int(np.minimum(minimum, pixels).sum()), int(pixels.sum())
    while low < high:
        middle = (low + high) // 2
        points = allocate(middle, pixels, minimum, how, accuracy)
        enough = standard_error(pixels, accuracy, points) <= target_se
        low, high = (low, middle) if enough else (middle + 1, high)
    return high


def allocate(
    size: int,
    pixels: NDArray[np.int64],
    minimum: int,
    how: Allocation,
    accuracy: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Return the number of points of each stratum, int64 [H], `size` in all.

    `proportional` divides them by area, `equal` alike, `optimal` by area times the standard
    deviation that the expected `accuracy` [H] gives (Neyman 1934). None gets fewer than `minimum`,
    nor more points than it has of its `pixels` [H]; what that takes or gives, the others share.

    Raises:
        UsageError: the minima are more than the size, or the pixels fewer.
    """
    least = np.minimum(minimum, pixels)
    if size < least.sum():
        raise UsageError(
            f"`size={size}`",
            f"is too few for {len(pixels)} strata of {minimum} points or more",
            f"give at least {int(least.sum())}, or a smaller `minimum`",
        )
    if size > pixels.sum():
        raise UsageError(
            f"`size={size}`", f"is more than the {int(pixels.sum())} pixels", "give fewer"
        )
    spread: NDArray[np.float64] = {
        "proportional": pixels.astype(np.float64),
        "equal": np.ones(len(pixels)),
        "optimal": pixels.astype(np.float64) * np.sqrt(accuracy * (1 - accuracy)),
    }[how]
    if not spread.any():  # all strata are expected to be right everywhere
        spread = pixels.astype(np.float64)
    return _rounded(_bounded(size, spread, least, pixels), size, least, pixels)


def _bounded(
    size: int,
    spread: NDArray[np.float64],
    least: NDArray[np.int64],
    most: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return `size` divided in proportion to `spread`, each part within its bounds, [H] each.

    Parts are factor × spread, cut at their bounds: the factor is found by bisection.
    """

    def parts(factor: float) -> NDArray[np.float64]:
        return np.clip(factor * spread, least, most)

    low, high = 0.0, 1.0
    while parts(high).sum() < size and high < 1e300:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if parts(middle).sum() < size else (low, middle)
    return parts(high)


def _rounded(
    parts: NDArray[np.float64],
    size: int,
    least: NDArray[np.int64],
    most: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return parts as whole numbers of the same sum, by the largest remainders, within bounds."""
    whole = np.clip(np.floor(parts + 1e-9).astype(np.int64), least, most)
    while (left := size - int(whole.sum())) != 0:
        step = 1 if left > 0 else -1
        free = whole < most if left > 0 else whole > least
        order = np.argsort(-step * (parts - whole), kind="stable")
        chosen = order[free[order]][: abs(left)]
        whole[chosen] += step
    return whole
