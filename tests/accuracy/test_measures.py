"""Measures against scikit-learn, and the conventions where it has another."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    f1_score,
    jaccard_score,
    precision_recall_fscore_support,
)

from lcmap.accuracy.confusion import cells, count, margins
from lcmap.accuracy.measures import OVERALL, PER_CLASS, Scores, scores

K = 4


def score_pixels(reference: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> Scores:
    matrix = count(cells(reference, predicted, K), K)[:K, : K + 1]
    return scores(margins(matrix))


@st.composite
def pixels(draw: st.DrawFn) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Reference classes, and predicted ones that may be unclassified (K)."""
    size = draw(st.integers(1, 60))
    reference = draw(st.lists(st.integers(0, K - 1), min_size=size, max_size=size))
    predicted = draw(st.lists(st.integers(0, K), min_size=size, max_size=size))
    return np.array(reference, np.uint8), np.array(predicted, np.uint8)


@given(pixels())
def test_agree_with_scikit_learn_over_the_classes_of_the_reference(
    case: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> None:
    reference, predicted = case
    found = score_pixels(reference, predicted)
    present = np.unique(reference)
    precision, recall, f1, _ = precision_recall_fscore_support(
        reference, predicted, labels=present, average=None, zero_division=np.nan
    )
    # scikit-learn calls the precision of a class that is never predicted 0 or what it is told;
    # its F1 needs the true 0
    f1 = f1_score(reference, predicted, labels=present, average=None, zero_division=0)
    iou = jaccard_score(reference, predicted, labels=present, average=None)
    for measure, expected in zip(PER_CLASS, (iou, precision, recall, f1), strict=True):
        np.testing.assert_allclose(
            found.per_class[PER_CLASS.index(measure), present], expected, err_msg=measure
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # κ of a single class is 0 / 0
        kappa = cohen_kappa_score(reference, predicted)
    overall = (iou.mean(), accuracy_score(reference, predicted), kappa, f1.mean())
    np.testing.assert_allclose(found.overall, overall, atol=1e-12)


def test_a_class_that_the_reference_lacks_has_no_scores_and_does_not_move_the_means() -> None:
    reference = np.array([0, 0, 1, 1], np.uint8)
    without = score_pixels(reference, np.array([0, 0, 1, 1], np.uint8))
    stray = score_pixels(reference, np.array([0, 0, 1, 3], np.uint8))
    assert np.isnan(without.per_class[:, 2:]).all()
    assert np.isnan(stray.per_class[:, 2:]).all(), "predicted or not"
    assert without.overall[OVERALL.index("miou")] == 1.0
    assert stray.overall[OVERALL.index("miou")] == pytest.approx((1 + 1 / 2) / 2)


def test_a_class_that_is_never_predicted_scores_0_and_has_no_precision() -> None:
    found = score_pixels(np.array([0, 1], np.uint8), np.array([0, 0], np.uint8))
    iou, precision, recall, f1 = found.per_class[:, 1]
    assert (iou, recall, f1) == (0.0, 0.0, 0.0)
    assert np.isnan(precision)


def test_unclassified_pixels_are_missed() -> None:
    found = score_pixels(np.array([0, 0, 0, 1], np.uint8), np.array([0, 0, K, 1], np.uint8))
    assert found.per_class[PER_CLASS.index("recall"), 0] == pytest.approx(2 / 3)
    assert found.per_class[PER_CLASS.index("precision"), 0] == 1.0
    assert found.overall[OVERALL.index("oa")] == 0.75


def test_leading_dimensions_are_kept() -> None:
    random = np.random.default_rng(0)
    matrices = random.integers(0, 9, (5, 2, K, K + 1))
    stacked = scores(np.stack([[margins(m) for m in pair] for pair in matrices]))
    assert stacked.per_class.shape == (5, 2, len(PER_CLASS), K)
    assert stacked.overall.shape == (5, 2, len(OVERALL))
    for i, j in np.ndindex(5, 2):
        alone = scores(margins(matrices[i, j]))
        np.testing.assert_array_equal(stacked.per_class[i, j], alone.per_class)
        np.testing.assert_array_equal(stacked.overall[i, j], alone.overall)


def test_no_pixel_at_all_is_undefined() -> None:
    found = scores(np.zeros((3, K), np.int64))
    assert np.isnan(found.per_class).all()
    assert np.isnan(found.overall).all()
