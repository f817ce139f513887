"""The loss, cross entropy weighted by class, and the weights of the classes in it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lcmap.dataset.reading import IGNORE
from lcmap.training.ranks import ALONE, Ranks
from lcmap.training.recipe import ClassWeights


def weighted_cross_entropy(
    scores: Tensor, labels: Tensor, weights: Tensor, ranks: Ranks = ALONE
) -> Tensor:
    """Return the weighted mean of the pixels' cross entropy, a scalar; 0 without labelled pixels.

    scores: [N, K, H, W] before softmax; labels: int64 [N, H, W], 255 where there is none;
    weights: float32 [K] (paper, section 2.4). Of several ranks each gets its part of the mean over
    the pixels of all; the mean is the sum of these.
    """
    total = F.cross_entropy(
        scores.float(), labels, weight=weights, ignore_index=IGNORE, reduction="sum"
    )
    weight = torch.cat((weights, weights.new_zeros(IGNORE + 1 - len(weights))))[labels].sum()
    weight = ranks.sum(weight)
    return total / weight.clamp(min=torch.finfo(torch.float32).tiny)


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
