"""Scaling of images, the same in training and in inference."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.encoding import low_and_factor


def scale(
    image: NDArray[Any], quantiles: NDArray[np.float64], valid: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Return an image [C, H, W] scaled by its own quantiles, float32 [C, H, W].

    (x - q02) / (q98 - q02) per band, with the 2 % and 98 % quantiles [C, 2] of the whole image
    (paper, section 3.1); values outside them are kept, beyond 0 and 1. A band whose quantiles are
    equal becomes 0, as do the pixels that are not `valid` [H, W].
    """
    low, factor = (values[:, None, None] for values in low_and_factor(quantiles))
    with np.errstate(invalid="ignore", over="ignore"):  # infinities, where not valid
        if image.dtype.itemsize <= 2 or image.dtype == np.float32:
            # exact enough in float32, and several times faster than in float64
            scaled = image.astype(np.float32)
            scaled -= low.astype(np.float32)
            scaled *= factor.astype(np.float32)
        else:
            scaled = ((image - low) * factor).astype(np.float32)
    if valid is not None:
        scaled[:, ~valid] = 0.0
    return scaled
