"""Design-based estimates from a probability sample in strata: totals, ratios, standard errors.

After Stehman (2014, doi 10.1080/01431161.2014.930207): a measure is a mean or a ratio of totals of
indicator functions, whatever the strata are. Where strata are the map's classes these are the
estimates of Olofsson et al. (2014, doi 10.1016/j.rse.2014.02.015). Simple random sampling is the
case of one stratum.

Each estimate carries its influence values, by which its variance is that of an estimated total
(Särndal, Swensson and Wretman 1992, section 5.5): the difference of two estimates has the
difference of their influences, so that maps are compared on the same points.

Axes: n points, M measures, H strata.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating] | NDArray[np.bool_]


class Estimate(NamedTuple):
    """Estimates, float64 [M], and the influence of each point on each of them, float64 [n, M].

    Both are NaN where a measure is undefined.
    """

    value: NDArray[np.float64]
    influence: NDArray[np.float64]

    def minus(self, other: Estimate) -> Estimate:
        """Return the difference to other estimates from the same points."""
        return Estimate(self.value - other.value, self.influence - other.influence)


@dataclass(frozen=True)
class StratifiedSample:
    """Points drawn at random, without replacement, in strata.

    stratum: the index of each point's stratum, int64 [n].
    sizes: how many pixels each stratum has, N_h, float64 [H]; each has two points or more, or is
        taken whole.
    """

    stratum: NDArray[np.int64]
    sizes: NDArray[np.float64]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How many points each stratum has, n_h, int64 [H]."""
        return np.bincount(self.stratum, minlength=len(self.sizes))

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """How many pixels each point stands for, N_h / n_h, float64 [n]."""
        weights: NDArray[np.float64] = (self.sizes / self.counts)[self.stratum]
        return weights

    @cached_property
    def beyond(self) -> NDArray[np.float64]:
        """The share of each stratum that is not in the sample, 1 - n_h / N_h, float64 [H].

        The finite population correction.
        """
        share: NDArray[np.float64] = np.maximum(1 - self.counts / self.sizes, 0.0)
        return share

    def total(self, values: Values) -> Estimate:
        """Return the total over all pixels of values [n, M] (Stehman 2014, equation 3 times N)."""
        numbers = np.asarray(values, np.float64)
        return Estimate(self.weights @ numbers, numbers)

    def ratio(self, numerator: Values, denominator: Values) -> Estimate:
        """Return the ratios of two totals, of values [n, M] each (Stehman 2014, equation 27).

        A ratio whose denominator no point has is undefined.
        """
        y, x = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
        below = self.weights @ x
        known = np.where(below > 0, below, np.nan)
        value = (self.weights @ y) / known
        return Estimate(value, (y - value * x) / known)

    def standard_error(self, estimate: Estimate) -> NDArray[np.float64]:
        """Return the standard errors of estimates, float64 [M] (equations 25 and 28)."""
        influence = estimate.influence
        variance = np.zeros(influence.shape[1])
        for h, (size, count, beyond) in enumerate(
            zip(self.sizes, self.counts, self.beyond, strict=True)
        ):
            if not beyond:  # all its pixels are known, be it a single one
                continue
            spread = influence[self.stratum == h].var(axis=0, ddof=1)
            variance += size**2 * beyond * spread / count
        return np.sqrt(variance)

    def replicate_weights(
        self, replicates: int, generator: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return weights of points, float64 [replicates, n], of bootstrap samples of the design.

        In each stratum n_h - 1 points are drawn with replacement and weights rescaled, so that
        totals vary over replicates as `standard_error` says (Rao and Wu 1988; Rao, Wu and Yue
        1992).
        """
        weights = np.empty((replicates, len(self.stratum)))
        for h, (count, beyond) in enumerate(zip(self.counts, self.beyond, strict=True)):
            here = self.stratum == h
            if not beyond:
                weights[:, here] = self.weights[here]
                continue
            drawn = generator.multinomial(count - 1, np.full(count, 1 / count), size=replicates)
            scale = np.sqrt(beyond)
            weights[:, here] = self.weights[here] * (
                1 - scale + scale * count / (count - 1) * drawn
            )
        return weights


def indicators(states: NDArray[np.integer], classes: int) -> NDArray[np.bool_]:
    """Return, bool [n, K], which of K classes each of the states [n] is; K is none of them."""
    found: NDArray[np.bool_] = states[:, None] == np.arange(classes)
    return found


def nan_percentiles(
    values: NDArray[np.float64], percents: tuple[float, float]
) -> NDArray[np.float64]:
    """Return percentiles [2, ...] over the first axis, NaN where all values are NaN."""
    undefined = np.isnan(values).all(axis=0)
    filled = np.where(undefined, 0.0, values)
    ends: NDArray[np.float64] = np.nanpercentile(filled, percents, axis=0)
    ends[:, undefined] = np.nan
    return ends
