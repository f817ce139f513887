"""Means and intervals of studies, against definitions that are written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import accuracy_score, jaccard_score
from trials.measuring import count_block
from trials.statistics import Counts, bootstrap, mean_measures, measures, nan_mean

from lcmap.accuracy.calibration import BINS
from lcmap.dataset.reading import IGNORE


def counts(seed: int, shape: tuple[int, ...], classes: int = 3) -> Counts:
    """Return counts [*shape, ...] of random pixels whose labels are the same for all contenders."""
    random = np.random.default_rng(seed)
    margins = np.empty((*shape, 3, classes))
    calibration, calibrated = np.empty((2, *shape, 3, BINS))
    for block in range(shape[2]):
        labels = random.integers(0, classes, (8, 8), np.uint8)
        for place in np.ndindex(shape[:2]):
            skill = random.uniform(0.5, 3, (classes, 1, 1))
            logits = random.normal(size=(classes, 8, 8))
            logits += skill * (labels == np.arange(classes)[:, None, None])
            p = np.exp(logits) / np.exp(logits).sum(axis=0)
            found = count_block(p.astype(np.float32), labels, classes, less_sure(p))
            matrix = found.matrix[:, :classes]
            margins[*place, block] = [np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0)]
            calibration[*place, block] = found.calibration
            calibrated[*place, block] = found.calibrated
    return Counts(margins, calibration, calibrated)


def less_sure(p: np.ndarray) -> np.ndarray:
    """Return the probabilities [K, ...] at a temperature of 2."""
    found: np.ndarray = (np.sqrt(p) / np.sqrt(p).sum(axis=0)).astype(np.float32)
    return found


@given(seed=st.integers(0, 1000), classes=st.integers(2, 5))
def test_measures_are_those_of_the_pixels(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, (9, 7), np.uint8)
    p = random.dirichlet(np.ones(classes), (9, 7)).transpose(2, 0, 1).astype(np.float32)
    labels[random.random((9, 7)) < 0.2] = IGNORE
    block = count_block(p, labels, classes, less_sure(p))
    matrix = block.matrix[:, :classes]
    margins = np.stack([np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0)])
    miou, oa, ece, after, *ious = measures(Counts(margins, block.calibration, block.calibrated))
    known = labels != IGNORE
    truth, found, sure = labels[known], p.argmax(axis=0)[known], p.max(axis=0)[known]
    present = np.unique(truth)
    expected = jaccard_score(truth, found, labels=present, average=None, zero_division=0)
    assert np.array(ious)[present] == pytest.approx(expected)
    assert miou == pytest.approx(expected.mean())
    assert oa == pytest.approx(accuracy_score(truth, found))
    for error, confidence in ((ece, sure), (after, less_sure(p).max(axis=0)[known])):
        bins = np.ceil(confidence * np.float64(BINS))
        gaps = [abs((confidence - (truth == found))[bins == b].sum()) for b in np.unique(bins)]
        assert error == pytest.approx(sum(gaps) / known.sum(), abs=1e-5)


@given(arrays.arrays(np.float64, (4, 3), elements=st.floats(-5, 5) | st.just(np.nan)))
def test_a_mean_leaves_out_what_is_undefined(values: np.ndarray) -> None:
    for column, mean in enumerate(nan_mean(values, axis=0)):
        known = values[~np.isnan(values[:, column]), column]
        assert np.isnan(mean) if not len(known) else mean == pytest.approx(known.mean(), abs=1e-9)


def test_means_are_over_folds_of_means_over_seeds() -> None:
    folds = [counts(0, (2, 2, 3)), counts(1, (1, 2, 4))]
    expected = np.mean(
        [
            np.mean([_measures_of(fold, s) for s in range(len(fold.margins))], axis=0)
            for fold in folds
        ],
        axis=0,
    )
    assert mean_measures(folds) == pytest.approx(expected)


def _measures_of(fold: Counts, seed: int) -> np.ndarray:
    return measures(Counts(*(values[seed].sum(axis=1) for values in fold)))


def test_a_fold_without_a_class_is_left_out_of_its_mean() -> None:
    one, other = counts(0, (1, 1, 3)), counts(1, (1, 1, 3))
    other.margins[..., 2] = 0
    value = mean_measures([one, other])[0]
    assert value[6] == pytest.approx(mean_measures([one])[0, 6])
    assert value[5] == pytest.approx(np.mean([mean_measures([f])[0, 5] for f in (one, other)]))


def test_draws_are_those_of_folds_seeds_and_blocks_written_out() -> None:
    folds = [counts(seed, (3, 2, 6)) for seed in range(4)]
    value, difference = bootstrap(folds, replicates=1000, seed=0, level=90)
    random = np.random.default_rng(1)
    drawn = []
    for _ in range(1000):
        of_folds = []
        for fold in (folds[i] for i in random.integers(4, size=4)):
            blocks = random.integers(6, size=6)
            of_seeds = [
                measures(Counts(*(values[s][:, blocks].sum(axis=1) for values in fold)))
                for s in random.integers(3, size=3)
            ]
            of_folds.append(np.mean(of_seeds, axis=0))
        drawn.append(np.mean(of_folds, axis=0))
    expected = np.percentile(drawn, (5, 95), axis=0)
    assert np.stack([value.low, value.high]) == pytest.approx(expected, abs=0.02)
    apart = np.array(drawn) - np.array(drawn)[:, :1]
    expected = np.percentile(apart, (5, 95), axis=0)
    assert np.stack([difference.low, difference.high]) == pytest.approx(expected, abs=0.02)
    assert difference.value[1] == pytest.approx(value.value[1] - value.value[0])
    assert not difference.value[0].any()


def test_what_there_is_one_of_is_not_drawn() -> None:
    fold = counts(0, (1, 2, 1))
    value, _ = bootstrap([fold], replicates=20, seed=0, level=95)
    assert value.low == pytest.approx(value.value)
    assert value.high == pytest.approx(value.value)


def test_equal_contenders_do_not_differ() -> None:
    folds = [counts(seed, (2, 1, 5)) for seed in range(3)]
    twice = [Counts(*(np.repeat(values, 2, axis=1) for values in fold)) for fold in folds]
    _, difference = bootstrap(twice, replicates=100, seed=0, level=95)
    assert not difference.low.any()
    assert not difference.high.any()
