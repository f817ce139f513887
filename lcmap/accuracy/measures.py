"""Measures of accuracy, from the margins of confusion matrices.

A class that the reference lacks has no scores (NaN), whether a map predicts it or not, and is
left out of the means: so the means of several maps are over the same classes. Its false
predictions cost the classes whose pixels they take. scikit-learn scores it 0 once it is
predicted, which makes a mean hang on a single pixel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PER_CLASS = ("iou", "precision", "recall", "f1")
OVERALL = ("miou", "oa", "kappa", "mf1")


class Scores(NamedTuple):
    """Measures as fractions; leading dimensions as in the margins."""

    per_class: NDArray[np.float64]
    """[..., 4, K] in the order of PER_CLASS."""
    overall: NDArray[np.float64]
    """[..., 4] in the order of OVERALL."""


def scores(margins: NDArray[np.integer] | NDArray[np.floating]) -> Scores:
    """Return all measures of margins [..., 3, K] (agreed, reference's, map's pixels per class).

    IoU is agreed / (reference + map - agreed), OA the agreed share of the reference's pixels,
    κ Cohen's (1960), F1 the harmonic mean of precision and recall; mIoU and mean F1 are over the
    classes of the reference (Stocker and Le Bris 2020, section 4.1). Precision is NaN for a class
    that a map never predicts.
    """
    agreed, reference, predicted = np.moveaxis(np.asarray(margins, np.float64), -2, 0)
    present = reference > 0
    per_class = np.stack(
        [
            _ratio(agreed, reference + predicted - agreed, present),
            _ratio(agreed, predicted, present),
            _ratio(agreed, reference, present),
            _ratio(2 * agreed, reference + predicted, present),
        ],
        axis=-2,
    )
    total = reference.sum(axis=-1)
    agreement = _ratio(agreed.sum(axis=-1), total)
    chance = _ratio((reference * predicted).sum(axis=-1), total**2)
    overall = np.stack(
        [
            _mean(per_class[..., PER_CLASS.index("iou"), :], present),
            agreement,
            _ratio(agreement - chance, 1 - chance),
            _mean(per_class[..., PER_CLASS.index("f1"), :], present),
        ],
        axis=-1,
    )
    return Scores(per_class, overall)


def _ratio(
    numerator: NDArray[np.float64],
    denominator: NDArray[np.float64],
    defined: NDArray[np.bool_] | bool = True,
) -> NDArray[np.float64]:
    """Divide where there is something to divide by, NaN elsewhere."""
    result = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=(denominator != 0) & defined)
    return result


def _mean(values: NDArray[np.float64], defined: NDArray[np.bool_]) -> NDArray[np.float64]:
    total = np.where(defined, values, 0.0).sum(axis=-1)
    return _ratio(total, defined.sum(axis=-1).astype(np.float64))
