"""How many points a sample has, and how they are divided among strata.

Sizes for a standard error are those of Cochran (1977, equations 5.25 and 5.66), as Olofsson et al.
(2014, equation 13) apply them to the overall accuracy of a map.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lcmap.errors import UsageError

Allocation = Literal["proportional", "equal", "optimal"]


def size_for(
    target_se: float, pixels: NDArray[np.int64], accuracy: NDArray[np.float64], how: Allocation
) -> int:
    """Return how many points give overall accuracy this standard error.

    Strata have so many `pixels` [H], and are expected to be right at this `accuracy` [H]. The size
    is that of the allocation; an equal one is divided as it is.
    """
    shares = pixels / pixels.sum()
    variance = accuracy * (1 - accuracy)
    spread: float
    if how == "optimal":
        spread = float(shares @ np.sqrt(variance)) ** 2
    elif how == "equal":
        spread = len(pixels) * float(shares**2 @ variance)
    else:
        spread = float(shares @ variance)
    needed = spread / (target_se**2 + float(shares @ variance) / int(pixels.sum()))
    return min(max(math.ceil(round(needed, 6)), 2 * len(pixels)), int(pixels.sum()))


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
