"""Measures of runs, their means, and intervals from draws of folds, seeds and blocks of ground.

Pure functions of arrays. A *cell* is a fold and a seed: one training of each contender, all tested
on the same blocks of ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.accuracy.calibration import expected_calibration_error
from lcmap.accuracy.design_based import nan_percentiles
from lcmap.accuracy.measures import OVERALL, PER_CLASS, scores

OVERALL_MEASURES = ("miou", "oa", "ece", "ece_calibrated")
"""The first measures; after them comes the IoU of each class."""


class Counts(NamedTuple):
    """Counts of blocks of ground; leading dimensions as wanted, the last but two the blocks.

    margins: [..., blocks, 3, K]; calibration: [..., blocks, 3, bins], see
    `accuracy.calibration`; calibrated: the same with temperatures.
    """

    margins: NDArray[np.float64]
    calibration: NDArray[np.float64]
    calibrated: NDArray[np.float64]


class Estimate(NamedTuple):
    """A value and its interval, each [..., measures]."""

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def measures(counts: Counts) -> NDArray[np.float64]:
    """Return all measures, [..., 4 + K], of counts that have no blocks any more.

    `margins` [..., 3, K], `calibration` and `calibrated` [..., 3, bins]; in the order of
    OVERALL_MEASURES, then the IoU of each class. A class that the reference lacks has none.
    """
    found = scores(counts.margins)
    miou, oa = (found.overall[..., OVERALL.index(name)] for name in ("miou", "oa"))
    ece, after = map(expected_calibration_error, (counts.calibration, counts.calibrated))
    iou = found.per_class[..., PER_CLASS.index("iou"), :]
    return np.concatenate([np.stack([miou, oa, ece, after], axis=-1), iou], axis=-1)


def mean_measures(folds: Sequence[Counts]) -> NDArray[np.float64]:
    """Return measures [contenders, 4 + K]: the mean over folds of the mean over their seeds.

    Each fold's counts are [seeds, contenders, blocks, …]; a fold without a class is left out of
    the mean of its IoU.
    """
    return nan_mean(np.stack([nan_mean(measures(_summed(fold)), axis=0) for fold in folds]), axis=0)


def bootstrap(
    folds: Sequence[Counts], *, replicates: int, seed: int, level: float
) -> tuple[Estimate, Estimate]:
    """Return mean measures [contenders, 4 + K] and their differences from the first contender.

    With percentile intervals at a level in percent. A replicate draws, each with replacement, as
    many folds as there are, of each as many of its seeds, and as many of its blocks of ground,
    the same for all contenders and seeds (a bootstrap of several levels: Davison and Hinkley 1997,
    section 3.8). What there is one of is not drawn, so the interval does not cover it. With few
    folds or seeds the intervals are too short.
    """
    random = np.random.default_rng(seed)
    value = mean_measures(folds)
    slots = np.empty((len(folds), replicates, *value.shape))
    for slot in slots:
        drawn = random.integers(len(folds), size=replicates)
        for number, fold in enumerate(folds):
            rows = np.flatnonzero(drawn == number)
            slot[rows] = _draws(fold, len(rows), random)
    draws = nan_mean(slots, axis=0)
    return _estimate(value, draws, level), _estimate(value - value[:1], draws - draws[:, :1], level)


def nan_mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the mean of the values that are not NaN; NaN where there is none."""
    known = ~np.isnan(values)
    number = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    mean: NDArray[np.float64] = np.full(total.shape, np.nan)
    np.divide(total, number, out=mean, where=number > 0)
    return mean


def _summed(counts: Counts) -> Counts:
    return Counts(*(np.asarray(values, np.float64).sum(axis=-3) for values in counts))


def _draws(fold: Counts, size: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return measures [size, contenders, 4 + K] of draws of a fold's blocks and seeds."""
    seeds, _, blocks = fold.margins.shape[:3]
    weights = random.multinomial(blocks, np.full(blocks, 1 / blocks), size).astype(np.float64)
    sums = (np.tensordot(weights, values, (1, 2)) for values in fold)
    found = measures(Counts(*sums))  # [size, seeds, contenders, measures]
    drawn = random.integers(seeds, size=(size, seeds))
    return nan_mean(found[np.arange(size)[:, None], drawn], axis=1)


def _estimate(value: NDArray[np.float64], draws: NDArray[np.float64], level: float) -> Estimate:
    low, high = nan_percentiles(draws, (50 - level / 2, 50 + level / 2))
    return Estimate(value, low, high)
