"""How points are divided among strata."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcmap.errors import UsageError
from lcmap.products.sample_allocation import (
    Allocation,
    allocate,
    size_for,
    standard_error,
)

HOW = st.sampled_from(["proportional", "equal", "optimal"])


@given(
    pixels=st.lists(st.integers(2, 10**9), min_size=1, max_size=23),
    more=st.integers(0, 3_000),
    minimum=st.integers(2, 60),
    how=HOW,
    seed=st.integers(0, 9),
)
def test_the_sum_is_the_size_and_each_is_within_its_bounds(
    pixels: list[int], more: int, minimum: int, how: Allocation, seed: int
) -> None:
    of_strata = np.array(pixels)
    accuracy = np.random.default_rng(seed).random(len(pixels))
    least = np.minimum(minimum, of_strata)
    size = min(int(least.sum()) + more, int(of_strata.sum()))
    points = allocate(size, of_strata, minimum, how, accuracy)
    assert points.sum() == size
    assert (points >= least).all() and (points <= of_strata).all()


def test_by_area_alike_and_by_area_and_spread() -> None:
    pixels, accuracy = np.array([7_000, 2_000, 1_000]), np.array([0.5, 0.9, 0.5])
    assert allocate(100, pixels, 2, "proportional", accuracy).tolist() == [70, 20, 10]
    assert allocate(99, pixels, 2, "equal", accuracy).tolist() == [33, 33, 33]
    assert allocate(460, pixels, 2, "optimal", accuracy).tolist() == [350, 60, 50]
    # what the rare one gets is taken off the others in proportion
    assert allocate(110, pixels, 20, "proportional", accuracy).tolist() == [70, 20, 20]


def test_too_few_and_too_many_are_refused() -> None:
    pixels, accuracy = np.array([50, 50]), np.array([0.8, 0.8])
    with pytest.raises(UsageError, match=r"too few for 2 strata of 20 points.*at least 40"):
        allocate(30, pixels, 20, "equal", accuracy)
    with pytest.raises(UsageError, match="more than the 100 pixels"):
        allocate(101, pixels, 2, "equal", accuracy)


@settings(max_examples=30)
@given(
    pixels=st.lists(st.integers(1, 10**8), min_size=1, max_size=18),
    target=st.floats(0.005, 0.05),
    minimum=st.sampled_from([2, 50]),
    how=HOW,
    seed=st.integers(0, 9),
)
def test_the_size_is_the_fewest_points_whose_division_has_the_standard_error(
    pixels: list[int], target: float, minimum: int, how: Allocation, seed: int
) -> None:
    of_strata = np.array(pixels)
    accuracy = 0.6 + 0.35 * np.random.default_rng(seed).random(len(pixels))
    size = size_for(target, of_strata, minimum, how, accuracy)

    def variance(number: int) -> float:
        points = allocate(number, of_strata, minimum, how, accuracy)
        in_strata = accuracy * (1 - accuracy) / points * (1 - points / of_strata)
        return float(np.sum((of_strata / of_strata.sum()) ** 2 * in_strata))

    assert variance(size) <= target**2 * (1 + 1e-9)
    least = int(np.minimum(minimum, of_strata).sum())
    assert size == least or variance(size - 1) > target**2 * (1 - 1e-9)


@pytest.mark.parametrize("how", ["proportional", "equal", "optimal"])
def test_minima_of_many_strata_do_not_spoil_the_standard_error(how: Allocation) -> None:
    """A class of half the map and seventeen small ones, as in topo18."""
    pixels = np.array([550, 200, *[250 // 16] * 16]) * 100_000
    accuracy = np.full(18, 0.85)
    size = size_for(0.02, pixels, 50, how, accuracy)
    points = allocate(size, pixels, 50, how, accuracy)
    assert standard_error(pixels, accuracy, points) == pytest.approx(0.02, abs=5e-5)


def test_the_size_of_olofsson_2014() -> None:
    """Equation 13 and the numbers below it: 641 points, by user's accuracies of 0.7 to 0.95."""
    pixels = np.array([200_000, 150_000, 3_200_000, 6_450_000])
    accuracy = np.array([0.70, 0.60, 0.90, 0.95])
    assert size_for(0.01, pixels, 2, "optimal", accuracy) == 641


def test_a_stratum_taken_whole_has_no_error() -> None:
    pixels, accuracy = np.array([1, 99]), np.array([0.5, 0.5])
    assert standard_error(pixels, accuracy, np.array([1, 99])) == 0
    assert standard_error(pixels, accuracy, np.array([1, 11])) == pytest.approx(
        0.99 * 0.5 * np.sqrt(1 / 11 - 1 / 99)
    )
