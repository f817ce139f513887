"""Reliability by bins and its expected error, against definitions that are written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcmap.accuracy.calibration import BINS, expected_calibration_error, reliability


def ece_written_out(confidence: np.ndarray, right: np.ndarray) -> float:
    """Equation 3 of Guo et al. 2017: bins (m-1)/M < confidence ≤ m/M."""
    total = 0.0
    for m in range(1, BINS + 1):
        inside = (confidence > (m - 1) / BINS) & (confidence <= m / BINS)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            total += inside.sum() / len(confidence) * gap
    return total


@given(seed=st.integers(0, 1000), pixels=st.integers(1, 200))
def test_the_error_is_that_of_the_definition(seed: int, pixels: int) -> None:
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.01, 1, pixels)
    right = random.random(pixels) < confidence**2
    one, rest = pixels // 2, slice(pixels // 2, None)
    counts = reliability(confidence[:one], right[:one]) + reliability(confidence[rest], right[rest])
    assert counts[0].sum() == pixels and counts[2].sum() == right.sum()
    error = float(expected_calibration_error(counts))
    assert error == pytest.approx(ece_written_out(confidence, right), abs=1e-9)


def test_the_error_of_known_cases() -> None:
    counts = np.zeros((3, BINS))
    assert np.isnan(expected_calibration_error(counts))
    counts[:, 10] = 100, 70, 70
    assert expected_calibration_error(counts) == 0
    counts[:, 14] = 100, 98, 78
    assert expected_calibration_error(counts) == pytest.approx(0.1)
