"""The loss of training: cross entropy weighted by class, and what a recipe adds to it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lcmap.dataset.reading import IGNORE
from lcmap.training.label_borders import near_another_class
from lcmap.training.ranks import ALONE, Ranks
from lcmap.training.recipe import ClassWeights, Loss
from lcmap.training.region_losses import lovasz_softmax, soft_dice

_PLAIN = Loss()


def training_loss(
    scores: Tensor, labels: Tensor, weights: Tensor, loss: Loss, ranks: Ranks = ALONE
) -> Tensor:
    """Return what training minimises, a scalar; 0 without labelled pixels.

    scores: [N, K, H, W] before softmax; labels: int64 [N, H, W], 255 where there is none;
    weights: float32 [K], 0 for classes absent from training. Of several ranks each gets a part of
    the loss of the whole batch, which is the sum of these.
    """
    if loss == _PLAIN:
        return weighted_cross_entropy(scores, labels, weights, ranks)
    factors = _pixel_factors(labels, loss)
    if loss.border:
        labels = labels.masked_fill(near_another_class(labels, loss.border), IGNORE)
    found = F.log_softmax(scores.float(), dim=1)  # [N, K, H, W]
    total = _pixel_loss(found, labels, weights, loss, factors, ranks)
    if loss.dice or loss.lovasz:
        probabilities = found.exp()
        if loss.dice:
            total = total + loss.dice * soft_dice(probabilities, labels, ranks)
        if loss.lovasz:
            total = total + loss.lovasz * lovasz_softmax(probabilities, labels, ranks)
    return total


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
    return total / _at_least_tiny(ranks.sum(_weights_of(labels, weights).sum()))


def _pixel_factors(labels: Tensor, loss: Loss) -> Tensor | None:
    """Return by how much each pixel counts beyond its class's weight, float32 [N, H, W]."""
    if not loss.boundary:
        return None
    near = near_another_class(labels, loss.border + loss.boundary_width)
    return 1 + loss.boundary * near


def _pixel_loss(
    found: Tensor, labels: Tensor, weights: Tensor, loss: Loss, factors: Tensor | None, ranks: Ranks
) -> Tensor:
    """Return the weighted mean of what the pixels cost, this rank's part of it.

    found: logarithms of probabilities, [N, K, H, W]. Those of the label and, with smoothing, of all
    classes that training has cost -log p, or (1 - p^q) / q with a robust loss.
    """
    of_label = labels.where(labels != IGNORE, 0)[:, None]
    costs = _costs(found.gather(1, of_label), loss.robust)[:, 0]  # [N, H, W]
    if loss.smoothing:
        of_all = _costs(found[:, weights > 0], loss.robust).mean(dim=1)
        costs = torch.lerp(costs, of_all, loss.smoothing)
    of_pixels = _weights_of(labels, weights)
    if factors is not None:
        of_pixels = of_pixels * factors
    return (of_pixels * costs).sum() / _at_least_tiny(ranks.sum(of_pixels.sum()))


def _costs(found: Tensor, robust: float) -> Tensor:
    return -torch.expm1(robust * found) / robust if robust else -found


def _weights_of(labels: Tensor, weights: Tensor) -> Tensor:
    """Return the weight of each label, 0 where there is none, [N, H, W]."""
    return torch.cat((weights, weights.new_zeros(IGNORE + 1 - len(weights))))[labels]


def _at_least_tiny(weight: Tensor) -> Tensor:
    return weight.clamp(min=torch.finfo(torch.float32).tiny)


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
