"""Weights of classes in the loss, from their shares of the training pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lcmap.training.recipe import ClassWeights


def class_weights(shares: NDArray[np.float64], kind: ClassWeights) -> NDArray[np.float64]:
    """Return the weight of each class, float64 [K], from its share p of the pixels, [K].

    "paper" is 1 / (p · Σp²) (section 2.4), "square root" 1 / √p, "none" 1; classes that do not
    occur weigh 0. In a weighted mean a common factor of all weights cancels.
    """
    present = shares > 0
    weights = np.zeros_like(shares)
    p = shares[present]
    if kind == "paper":
        weights[present] = 1.0 / (p * np.sum(p**2))
    elif kind == "square root":
        weights[present] = 1.0 / np.sqrt(p)
    else:
        weights[present] = 1.0
    return weights
