"""What a prediction becomes in the files."""

from __future__ import annotations

import numpy as np
import pytest

from lcmap.inference import band_groups
from lcmap.inference.band_groups import Prediction
from lcmap.nomenclature import LandCoverClass, Nomenclature

NOMENCLATURE = Nomenclature(
    "three",
    "three classes",
    tuple(LandCoverClass(c, f"class {c}", f"c{c}", "#000000") for c in (5, 200, 9)),
)


@pytest.fixture
def prediction() -> Prediction:
    """Four pixels in a row: class 5, class 9 for sure, a tie, no data."""
    probabilities = [[0.5, 0.0, 0.4, 1], [0.3, 0.0, 0.4, 0], [0.2, 1.0, 0.2, 0]]
    return Prediction.of(
        np.array(probabilities, np.float32)[:, None], np.array([[True, True, True, False]])
    )


def test_codes(prediction: Prediction) -> None:
    found = band_groups.codes(prediction, NOMENCLATURE)
    assert found.dtype == np.uint8
    assert found.tolist() == [[[5, 9, 5, 0]]]


def test_confidence(prediction: Prediction) -> None:
    found = band_groups.confidence_percent(prediction)
    assert found.dtype == np.uint8
    assert found.tolist() == [[[50, 100, 40, 0]]]


def test_confidence_is_rounded_to_the_nearest_percent() -> None:
    p = np.array([[[0.994, 0.996]], [[0.006, 0.004]]], np.float32)
    found = band_groups.confidence_percent(Prediction.of(p, np.ones((1, 2), bool)))
    assert found.tolist() == [[[99, 100]]]


def test_margin(prediction: Prediction) -> None:
    """A tie has a margin of 0, so that what has no data has another value."""
    found = band_groups.margin_percent(prediction)
    assert found.dtype == np.uint8
    assert found.tolist() == [[[20, 100, 0, 255]]]


def test_winning_probability(prediction: Prediction) -> None:
    found = band_groups.winning_probability(prediction)
    np.testing.assert_array_equal(found, np.array([[[0.5, 1.0, 0.4, np.nan]]], np.float32))


def test_class_probabilities(prediction: Prediction) -> None:
    found = band_groups.class_probabilities(prediction)
    assert found.dtype == np.float32 and found.shape == (3, 1, 4)
    np.testing.assert_array_equal(found[:, :, :3], prediction.results["probabilities"][:, :, :3])
    assert np.isnan(found[:, 0, 3]).all()
