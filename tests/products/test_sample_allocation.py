"""How points are divided among strata."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcmap.errors import UsageError
from lcmap.products.sample_allocation import Allocation, allocate, size_for

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


@given(
    pixels=st.lists(st.integers(50_000, 10**8), min_size=1, max_size=8),
    target=st.floats(0.005, 0.05),
    how=HOW,
    seed=st.integers(0, 9),
)
def test_the_size_gives_the_standard_error_that_was_asked_for(
    pixels: list[int], target: float, how: Allocation, seed: int
) -> None:
    of_strata = np.array(pixels)
    accuracy = 0.6 + 0.35 * np.random.default_rng(seed).random(len(pixels))
    size = size_for(target, of_strata, accuracy, how)
    shares, variance = of_strata / of_strata.sum(), accuracy * (1 - accuracy)
    deviation = np.sqrt(variance)
    parts = {
        "proportional": shares,
        "equal": np.full(len(pixels), 1 / len(pixels)),
        "optimal": shares * deviation / (shares @ deviation),
    }[how]

    def error(number: int) -> float:
        points = number * parts
        return float(np.sqrt(np.sum(shares**2 * variance * (1 / points - 1 / of_strata))))

    assert error(size) <= target * (1 + 1e-6)
    assert size == 2 * len(pixels) or error(size - 1) > target * (1 - 1e-6)


def test_the_size_of_olofsson_2014() -> None:
    """Equation 13 and the numbers below it: 641 points, by user's accuracies of 0.7 to 0.95."""
    pixels = np.array([200_000, 150_000, 3_200_000, 6_450_000])
    accuracy = np.array([0.70, 0.60, 0.90, 0.95])
    assert size_for(0.01, pixels, accuracy, "optimal") == 641
