"""Block-bootstrap intervals of measures and of differences between maps.

Neighbouring pixels err together, so pixels are not an independent sample; square blocks of the
image, drawn with replacement, keep most of that dependence (Künsch 1989, Lahiri 2003). All maps
are measured on the same draws, so that a difference between maps has the interval of paired
samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.accuracy.measures import Scores, scores

_WEIGHTS_AT_ONCE = 1 << 22


class Interval(NamedTuple):
    """Lower and upper ends, of the shapes in Scores."""

    low: Scores
    high: Scores


class Intervals(NamedTuple):
    """Of each map's measures, and of each map's measures minus the first map's."""

    values: Interval
    differences: Interval


def block_bootstrap(
    margins: NDArray[np.integer], *, replicates: int, seed: int, level: float
) -> Intervals:
    """Return percentile intervals from margins [blocks, maps, 3, K] at a level in percent.

    Every replicate draws as many blocks as there are, with replacement. The ends are NaN where a
    measure is undefined in all replicates, and where there are fewer than two blocks.
    """
    blocks, maps, _, classes = margins.shape
    if blocks < 2:
        nothing = Scores(np.full((maps, 4, classes), np.nan), np.full((maps, 4), np.nan))
        return Intervals(Interval(nothing, nothing), Interval(nothing, nothing))
    drawn = _scores_of_draws(margins, replicates, np.random.default_rng(seed))
    return Intervals(
        _percentiles(drawn, level),
        _percentiles(Scores(*(values - values[:, :1] for values in drawn)), level),
    )


def _scores_of_draws(
    margins: NDArray[np.integer], replicates: int, generator: np.random.Generator
) -> Scores:
    """Return scores [replicates, maps, ...] of blocks drawn with replacement."""
    blocks = len(margins)
    flat = margins.reshape(blocks, -1).astype(np.float64)  # [blocks, maps * 3 * K]
    at_once = max(1, _WEIGHTS_AT_ONCE // blocks)
    parts = []
    for start in range(0, replicates, at_once):
        size = min(at_once, replicates - start)
        weights = np.empty((size, blocks))
        for row in weights:
            row[:] = np.bincount(generator.integers(blocks, size=blocks), minlength=blocks)
        parts.append(scores((weights @ flat).reshape(size, *margins.shape[1:])))
    return Scores(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _percentiles(drawn: Scores, level: float) -> Interval:
    tails = (50 - level / 2, 50 + level / 2)
    ends = [nan_percentiles(values, tails) for values in drawn]
    return Interval(*(Scores(*(end[side] for end in ends)) for side in (0, 1)))


def nan_percentiles(
    values: NDArray[np.float64], percents: tuple[float, float]
) -> NDArray[np.float64]:
    """Return percentiles [2, ...] over the first axis, NaN where all values are NaN."""
    undefined = np.isnan(values).all(axis=0)
    filled = np.where(undefined, 0.0, values)
    ends: NDArray[np.float64] = np.nanpercentile(filled, percents, axis=0)
    ends[:, undefined] = np.nan
    return ends
