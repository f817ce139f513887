"""A panchromatic image as multispectral bands explain it: a regression over streamed pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Response:
    """The panchromatic image as the bands explain it: offset + Σ weight · band.

    `explained` is the share of its variance (R²). None of the weights is negative.
    """

    weights: tuple[float, ...]
    offset: float
    explained: float

    @property
    def gain(self) -> float:
        """What a change of 1 in all bands changes in the panchromatic image."""
        return math.fsum(self.weights)


class Moments:
    """Means and co-moments of streamed values, merged block by block without cancellation.

    Chan, Golub, LeVeque (1979), "Updating formulae and a pairwise algorithm for computing sample
    variances". They do not depend on the number of processor cores.
    """

    def __init__(self, variables: int) -> None:
        """Expect values of so many variables."""
        self.count = 0
        self.mean = np.zeros(variables)
        self.comoment = np.zeros((variables, variables))

    def update(self, values: NDArray[Any]) -> None:
        """Take values [variables, n], all of them numbers."""
        count = values.shape[1]
        if count == 0:
            return
        mean = values.mean(axis=1, dtype=np.float64)
        centred = values - mean[:, None]
        shift = mean - self.mean
        total = self.count + count
        # not @, whose sums depend on the number of threads
        self.comoment += np.einsum("ip,jp->ij", centred, centred)
        self.comoment += np.outer(shift, shift) * (self.count * count / total)
        self.mean += shift * (count / total)
        self.count = total


def response(moments: Moments) -> Response | None:
    """Regress the last variable on the others by least squares, with no negative weight.

    A band whose weight would be negative is left out, the most negative first: no sensor sees less
    where there is more light. None where no band explains anything.
    """
    covariance = moments.comoment / max(moments.count, 1)
    among, with_pan = covariance[:-1, :-1], covariance[:-1, -1]
    weights = np.zeros(len(with_pan))
    taken = np.flatnonzero(np.diag(among) > 0)
    while taken.size:
        found = np.linalg.lstsq(among[np.ix_(taken, taken)], with_pan[taken], rcond=None)[0]
        if (found >= 0).all():
            weights[taken] = found
            break
        taken = np.delete(taken, found.argmin())
    if not weights.sum() > 0:
        return None
    explained = float(weights @ with_pan) / float(covariance[-1, -1])
    offset = float(moments.mean[-1] - weights @ moments.mean[:-1])
    return Response(tuple(float(weight) for weight in weights), offset, explained)
