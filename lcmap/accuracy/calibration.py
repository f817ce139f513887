"""How far the confidence of a map can be believed: reliability by bins, and its expected error.

Pure functions of arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Of confidence, equally wide (Guo et al. 2017)."""


def reliability(confidence: NDArray[np.floating], agreed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the counts of bins of confidence, [3, bins], for pixels of any shape.

    They are the pixels, the sum of their confidences 0 … 1, and those that agree with the
    reference. A bin has the pixels from above its lower end to its upper end. Counts of different
    pixels add up.
    """
    sure = confidence.ravel().astype(np.float64)
    bins = np.clip(np.ceil(sure * BINS).astype(np.intp) - 1, 0, BINS - 1)
    weights = (np.ones_like(sure), sure, agreed.ravel().astype(np.float64))
    counts = [np.bincount(bins, weight, minlength=BINS) for weight in weights]
    return np.stack(counts).astype(np.float64)


def expected_calibration_error(counts: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the expected calibration error, [...], of the counts of bins, [..., 3, bins].

    It is the mean over pixels of the distance, in their bin, between mean confidence and the share
    that agrees (Guo et al. 2017, equation 3). NaN without pixels.
    """
    pixels, confidence, agreed = np.moveaxis(np.asarray(counts, np.float64), -2, 0)
    total = pixels.sum(axis=-1)
    apart = np.abs(confidence - agreed).sum(axis=-1)
    error: NDArray[np.float64] = np.full(total.shape, np.nan)
    np.divide(apart, total, out=error, where=total > 0)
    return error
