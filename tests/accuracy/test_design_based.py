"""Design-based estimates: published examples, every possible sample, and the bootstrap."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from small_sample import OLOFSSON_HECTARES, olofsson, stehman

from lcmap.accuracy.design_based import Estimate, StratifiedSample, indicators

EVERYWHERE = np.ones((40, 1))


def rounded(sample: StratifiedSample, found: Estimate, index: int) -> tuple[float, float]:
    value, error = found.value[index], sample.standard_error(found)[index]
    return round(float(value), 4), round(float(error), 4)


def test_the_example_of_stehman_2014() -> None:
    sample, reference, mapped = stehman()
    real, there = indicators(reference, 4), indicators(mapped, 4)
    agreed = real & there
    area = sample.ratio(real, EVERYWHERE)
    assert rounded(sample, area, 0) == (0.35, 0.0822)
    assert rounded(sample, area, 2) == (0.20, 0.0643)
    overall = sample.ratio(agreed.any(axis=1, keepdims=True), EVERYWHERE)
    assert rounded(sample, overall, 0) == (0.63, 0.0846)
    users, producers = sample.ratio(agreed, there), sample.ratio(agreed, real)
    assert rounded(sample, users, 1) == (0.5745, 0.1248)
    assert rounded(sample, producers, 1) == (0.7941, 0.1165)


def test_the_example_of_olofsson_2014() -> None:
    sample, reference, mapped = olofsson(times=1e6)
    real, there = indicators(reference, 4), indicators(mapped, 4)
    agreed = real & there
    hectares = sample.total(real * OLOFSSON_HECTARES / 1e6)
    assert_allclose(hectares.value, [21_157.76, 11_686.15, 285_769.93, 581_386.15], atol=5e-3)
    errors = [3_141.65, 1_916.24, 7_913.18, 8_306.97]
    assert_allclose(sample.standard_error(hectares), errors, atol=5e-3)
    overall = sample.ratio(agreed.any(axis=1)[:, None], np.ones((len(mapped), 1)))
    assert_allclose(overall.value, 0.946512, atol=5e-7)
    assert_allclose(sample.standard_error(overall), 0.009430, atol=5e-7)
    users = sample.ratio(agreed, there)
    assert_allclose(users.value, [0.880000, 0.733333, 0.927273, 0.963077], atol=5e-7)
    errors = [0.037776, 0.051407, 0.020278, 0.010476]
    assert_allclose(sample.standard_error(users), errors, atol=5e-7)
    producers = sample.ratio(agreed, real)
    assert_allclose(producers.value, [0.748661, 0.847156, 0.934509, 0.961609], atol=5e-7)
    errors = [0.108832, 0.129800, 0.017512, 0.009368]
    assert_allclose(sample.standard_error(producers), errors, atol=5e-7)


def every_sample(
    strata: list[NDArray[np.float64]], counts: list[int]
) -> list[tuple[StratifiedSample, NDArray[np.float64]]]:
    """Return each sample that may be drawn of the values of pixels in strata."""
    sizes = np.array([len(values) for values in strata], float)
    choices = [list(combinations(v, n)) for v, n in zip(strata, counts, strict=True)]
    stratum = np.repeat(np.arange(len(strata)), counts)
    return [
        (StratifiedSample(stratum, sizes), np.concatenate(picked)[:, None])
        for picked in product(*choices)
    ]


@given(seed=st.integers(0, 100), sizes=st.lists(st.integers(3, 6), min_size=1, max_size=2))
@settings(max_examples=10, deadline=None)
def test_over_all_samples_totals_and_variances_are_unbiased(seed: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    strata = [rng.normal(size=size) for size in sizes]
    samples = every_sample(strata, [2] * len(sizes))
    found = [(s, s.total(values)) for s, values in samples]
    totals = np.array([estimate.value[0] for _, estimate in found])
    variances = [s.standard_error(estimate)[0] ** 2 for s, estimate in found]
    assert totals.mean() == pytest.approx(sum(v.sum() for v in strata), abs=1e-9)
    assert np.mean(variances) == pytest.approx(totals.var(), rel=1e-9)


def test_a_census_has_no_error() -> None:
    sample = StratifiedSample(np.array([0, 0, 0, 1, 1]), np.array([3.0, 2.0]))
    found = sample.ratio(np.array([[1], [0], [1], [0], [1]]), np.ones((5, 1)))
    assert found.value == pytest.approx(0.6)
    assert sample.standard_error(found) == 0


def test_the_difference_of_maps_is_that_of_their_points() -> None:
    """Paired: of a mean, it is the mean of the differences; of a map to itself, it is nothing."""
    sample, reference, mapped = stehman()
    other = np.roll(mapped, 3)
    right, right_of_other = (mapped == reference)[:, None], (other == reference)[:, None]
    means = [sample.ratio(values, EVERYWHERE) for values in (right, right_of_other)]
    difference = means[1].minus(means[0])
    direct = sample.ratio(right_of_other * 1.0 - right, EVERYWHERE)
    assert_allclose(difference.value, direct.value)
    assert_allclose(sample.standard_error(difference), sample.standard_error(direct))
    assert sample.standard_error(means[0].minus(means[0])) == 0


def test_a_class_that_no_point_has_is_undefined_and_leaves_others_alone() -> None:
    sample, reference, mapped = stehman()
    real, there = indicators(reference, 5), indicators(mapped, 5)
    users = sample.ratio(real & there, there)
    assert np.isnan(users.value[4]) and np.isnan(sample.standard_error(users)[4])
    assert np.isfinite(sample.standard_error(users)[:4]).all()


def test_bootstrap_samples_vary_as_the_design_says() -> None:
    stratum = np.repeat([0, 1], [6, 30])
    sample = StratifiedSample(stratum, np.array([10.0, 5_000.0]))  # one of them small: corrected
    values = np.random.default_rng(1).normal(size=(36, 3)) + stratum[:, None]
    weights = sample.replicate_weights(40_000, np.random.default_rng(2))
    totals, found = weights @ values, sample.total(values)
    assert weights.min() >= 0
    assert_allclose(weights[:, stratum == 0].sum(axis=1), 10)
    assert_allclose(totals.mean(axis=0), found.value, rtol=2e-2)
    assert_allclose(totals.std(axis=0), sample.standard_error(found), rtol=2e-2)


def test_simulated_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    sizes = np.array([40_000, 6_000, 2_000])
    mapped = np.repeat(np.arange(3), sizes)
    wrong = rng.random(len(mapped)) < np.array([0.1, 0.3, 0.2])[mapped]
    reference = np.where(wrong, rng.integers(0, 3, len(mapped)), mapped)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    truth = [(reference == k).mean() for k in range(3)]
    truth += [(reference == mapped)[reference == k].mean() for k in range(3)]
    held = np.zeros(6)
    draws = 400
    for _ in range(draws):
        chosen = np.concatenate(
            [rng.choice(np.arange(*starts[h : h + 2]), 300, replace=False) for h in range(3)]
        )
        sample = StratifiedSample(mapped[chosen], sizes.astype(float))
        real = indicators(reference[chosen], 3)
        agreed = real & indicators(mapped[chosen], 3)
        for first, found in enumerate(
            (sample.ratio(real, np.ones((900, 1))), sample.ratio(agreed, real))
        ):
            half = 1.96 * sample.standard_error(found)
            part = slice(3 * first, 3 * first + 3)
            held[part] += np.abs(found.value - truth[part]) <= half
    assert (held / draws > 0.91).all() and (held / draws < 0.985).all(), held / draws


def test_a_stratum_of_one_pixel_is_known() -> None:
    """Its point adds nothing to errors, and has the same weight in each replicate."""
    values = np.array([1.0, 0.0, 1.0, 1.0])[:, None]
    sample = StratifiedSample(np.array([0, 0, 0, 1]), np.array([30.0, 1.0]))
    without = StratifiedSample(np.array([0, 0, 0]), np.array([30.0]))
    assert_allclose(
        sample.standard_error(sample.total(values)),
        without.standard_error(without.total(values[:3])),
    )
    weights = sample.replicate_weights(50, np.random.default_rng(0))
    assert (weights[:, 3] == 1).all() and np.isfinite(weights).all()
