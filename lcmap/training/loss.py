"""The loss: cross entropy weighted by class, pixels without a label left out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lcmap.dataset.reading import IGNORE


def weighted_cross_entropy(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean of the pixels' cross entropy, a scalar; 0 without labelled pixels.

    scores: [N, K, H, W] before softmax; labels: int64 [N, H, W], 255 where there is none;
    weights: float32 [K] (paper, section 2.4).
    """
    total = F.cross_entropy(
        scores.float(), labels, weight=weights, ignore_index=IGNORE, reduction="sum"
    )
    weight = torch.cat((weights, weights.new_zeros(IGNORE + 1 - len(weights))))[labels].sum()
    return total / weight.clamp(min=torch.finfo(torch.float32).tiny)
