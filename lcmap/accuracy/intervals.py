"""Intervals of measures, and of differences between maps, from blocks of ground drawn anew.

Neighbouring pixels err together, so pixels are not an independent sample; square blocks of the
image, drawn with replacement, keep most of that dependence (Künsch 1989, Lahiri 2003). All maps
are measured on the same draws, so that a difference between maps has the interval of paired
samples.

An interval is the value ± t · s: s is the standard deviation over the draws, times √(n / (n - 1))
for n blocks, and t the quantile of Student's distribution with n - 1 degrees of freedom. Of few
blocks, percentiles of the draws make intervals too short (Hesterberg 2015, section 5), and so do
percentiles widened as he proposes: benchmarks/coverage.py compares them.

The means over classes are over those of the whole sample in every draw. A class that a draw lacks
keeps its score of the whole sample there: left out, it would lift the mean by having been hard; as
0 it would make a jump of the mean that no map makes. Both are compared there too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.accuracy.measures import OVERALL, PER_CLASS, Scores, scores

Margins = NDArray[np.integer] | NDArray[np.floating]

_WEIGHTS_AT_ONCE = 1 << 22
_REFERENCE = 1


class Interval(NamedTuple):
    """Lower and upper ends, of the shapes in Scores."""

    low: Scores
    high: Scores


class Intervals(NamedTuple):
    """Of each map's measures, and of each map's measures minus the first map's."""

    values: Interval
    differences: Interval


def block_bootstrap(
    margins: Margins,
    *,
    replicates: int,
    seed: int,
    level: float,
    methods: Sequence[Sequence[int]] | None = None,
) -> Intervals:
    """Return intervals from margins [blocks, maps, 3, K] at a level in percent.

    Every replicate draws as many blocks as there are, with replacement. `methods` holds the places
    of the maps that are runs of one method, as with other seeds; the measures are then means over
    its runs, and the intervals are over ground and runs: the squared half-widths that each has
    alone add up (Howe 1974). Satterthwaite's (1946) degrees of freedom of the summed variances make
    intervals of two runs too short. Runs of two methods are paired in order where there are as many
    of each. One run says nothing of others: its interval is over ground alone.

    The ends are NaN where a measure is undefined, and where there are fewer than two blocks; of a
    class, where fewer than two blocks hold it.
    """
    blocks, maps, _, classes = margins.shape
    methods = [[place] for place in range(maps)] if methods is None else methods
    if blocks < 2:
        shape = len(methods), 4
        nothing = Scores(np.full((*shape, classes), np.nan), np.full(shape, np.nan))
        return Intervals(Interval(nothing, nothing), Interval(nothing, nothing))
    whole = scores(margins.sum(axis=0))
    drawn = _scores_of_draws(margins, whole, replicates, np.random.default_rng(seed))
    holding = (margins[:, 0, _REFERENCE] > 0).sum(axis=0)  # [K]
    per_class = _ends(
        whole.per_class, drawn.per_class, np.broadcast_to(holding, (4, classes)), level, methods
    )
    overall = _ends(whole.overall, drawn.overall, np.full(4, blocks), level, methods)
    return Intervals(
        *(
            Interval(Scores(of_class[0], of_all[0]), Scores(of_class[1], of_all[1]))
            for of_class, of_all in zip(per_class, overall, strict=True)
        )
    )


def means_over_runs(
    values: NDArray[np.float64], methods: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """Return means [..., methods, ...] of values [maps, ...] over the runs of each method."""
    return np.stack([values[list(runs)].mean(axis=0) for runs in methods])


def _ends(
    whole: NDArray[np.float64],
    drawn: NDArray[np.float64],
    blocks: NDArray[np.integer],
    level: float,
    methods: Sequence[Sequence[int]],
) -> tuple[tuple[NDArray[np.float64], ...], tuple[NDArray[np.float64], ...]]:
    """Return low and high of the methods' values, and of their differences to the first.

    whole [maps, ...], drawn [replicates, maps, ...], blocks [...] how many there are to draw from.
    """
    of_draws = np.stack([drawn[:, list(runs)].mean(axis=1) for runs in methods], axis=1)
    first = methods[0]
    values, differences = [], []
    for number, runs in enumerate(methods):
        mean = whole[list(runs)].mean(axis=0)
        ground = _ground_variance(of_draws[:, number], blocks)
        values.append(_interval(mean, [ground, _run_variance(whole[list(runs)])], level))
        mean_difference = mean - whole[list(first)].mean(axis=0)
        ground = _ground_variance(of_draws[:, number] - of_draws[:, 0], blocks)
        if len(runs) == len(first):
            parts = [_run_variance(whole[list(runs)] - whole[list(first)])]
        else:
            parts = [_run_variance(whole[list(some)]) for some in (runs, first)]
        differences.append(_interval(mean_difference, [ground, *parts], level))
    low, high = (np.stack(side) for side in zip(*values, strict=True))
    # measures are fractions; only Cohen's kappa goes below 0
    floor = np.array([-float(name == "kappa") for name in OVERALL]) if whole.ndim == 2 else 0.0
    low_difference, high_difference = (np.stack(side) for side in zip(*differences, strict=True))
    return (
        (np.maximum(low, floor), np.minimum(high, 1.0)),
        (np.maximum(low_difference, floor - 1.0), np.minimum(high_difference, 1.0 - floor)),
    )


class _Variance(NamedTuple):
    """The variance of a mean, and its degrees of freedom."""

    value: NDArray[np.float64]
    freedom: NDArray[np.float64]


def _ground_variance(drawn: NDArray[np.float64], blocks: NDArray[np.integer]) -> _Variance:
    """Return what blocks make of a measure; NaN where fewer than two have it.

    Draws without the class say nothing of it. A draw of n from n has (n - 1) / n of the variance.
    """
    freedom = np.where(blocks > 1, blocks - 1.0, np.nan)
    known = ~np.isnan(drawn)
    count = known.sum(axis=0)
    mean = np.where(known, drawn, 0).sum(axis=0) / np.maximum(count, 1)
    squares = (np.where(known, drawn - mean, 0) ** 2).sum(axis=0)
    variance = np.where(count > 1, squares / np.maximum(count - 1, 1), np.nan)
    return _Variance(variance * blocks / freedom, freedom)


def _run_variance(runs: NDArray[np.float64]) -> _Variance:
    """Return what runs [runs, ...] of a method make of their mean: nothing is known of one."""
    count = len(runs)
    nothing = np.zeros(runs.shape[1:])
    if count == 1:
        return _Variance(nothing, nothing + 1)
    return _Variance(runs.var(axis=0, ddof=1) / count, nothing + count - 1)


def _interval(
    mean: NDArray[np.float64], parts: Sequence[_Variance], level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of an interval around a mean, whose variance is the sum of the parts."""
    # here, since it takes long and few commands come to it; scipy.stats takes longer still
    from scipy.special import stdtrit

    points = [stdtrit(part.freedom, 0.5 + level / 200) for part in parts]
    squares = [t**2 * part.value for t, part in zip(points, parts, strict=True)]
    half = np.sqrt(sum(squares, np.zeros_like(mean)))
    return mean - half, mean + half


def _scores_of_draws(
    margins: Margins, whole: Scores, replicates: int, generator: np.random.Generator
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
        drawn = scores((weights @ flat).reshape(size, *margins.shape[1:]))
        parts.append(_over_classes_of(whole, drawn))
    return Scores(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _over_classes_of(whole: Scores, drawn: Scores) -> Scores:
    """Return the scores of draws, with means over the classes that the whole sample has."""
    overall = drawn.overall.copy()
    for mean, measure in (("miou", "iou"), ("mf1", "f1")):
        place = PER_CLASS.index(measure)
        expected = whole.per_class[..., place, :]
        has = ~np.isnan(expected[0])  # the reference's classes, the same for all maps
        if has.any():
            values = drawn.per_class[..., place, :]
            filled = np.where(np.isnan(values), expected, values)
            overall[..., OVERALL.index(mean)] = filled[..., has].mean(axis=-1)
    return Scores(drawn.per_class, overall)
