"""Losses of how classes overlap with their labels, in which small ones count as large ones do."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lcmap.dataset.reading import IGNORE
from lcmap.training.ranks import ALONE, Ranks

_BINS = 1024


def soft_dice(probabilities: Tensor, labels: Tensor, ranks: Ranks = ALONE) -> Tensor:
    """Return 1 less the mean Dice coefficient of the classes present, a scalar; 0 without labels.

    probabilities: float32 [N, K, H, W]; labels: int64 [N, H, W], 255 where there is none. A class c
    has the coefficient 2 Σ p·y / (Σ p + Σ y), with sums over the labelled pixels of the batch,
    where y is 1 on pixels of c, else 0. The mean is not weighted: the coefficient does not depend
    on how large a class is. Of several ranks each gets an equal part of the loss of the whole
    batch. Source: Milletari et al. 2016 (arXiv:1606.04797), without squares.
    """
    classes = probabilities.shape[1]
    labelled = labels != IGNORE
    place = labels.where(labelled, classes).flatten()  # the last place is of no class
    of_label = probabilities.gather(1, labels.where(labelled, 0)[:, None]).flatten()
    found = torch.stack(
        (
            of_label.new_zeros(classes + 1).index_add(0, place, of_label)[:classes],
            torch.einsum("nkhw,nhw->k", probabilities, labelled.float()),
            torch.bincount(place, minlength=classes + 1)[:classes].float(),
        )
    )
    both, predicted, labelled_as = _sum_of_ranks(found, ranks)  # Σ p·y, Σ p, Σ y: [K] each
    present = labelled_as > 0
    dice = 2 * both[present] / (predicted + labelled_as)[present]
    loss = (1 - dice).sum() / present.sum().clamp(min=1)
    part: Tensor = loss / ranks.launch.size
    return part


def lovasz_softmax(probabilities: Tensor, labels: Tensor, ranks: Ranks = ALONE) -> Tensor:
    """Return the Lovász extension of 1 less the IoU, a scalar; 0 without labelled pixels.

    probabilities: float32 [N, K, H, W]; labels: int64 [N, H, W], 255 where there is none. It is the
    mean over images with labels, and in each over the classes that it has. Of several ranks each
    gets its images' part. Source: Berman et al. 2018 (arXiv:1705.08790), equations 8, 9 and 12.
    """
    classes = torch.arange(probabilities.shape[1], device=labels.device)
    truth = labels[:, None] == classes[:, None, None]  # [N, K, H, W]
    present = truth.flatten(2).any(dim=2)  # [N, K]
    image, of_class = present.nonzero(as_tuple=True)  # [R] each
    truth = truth[image, of_class]  # [R, H, W]
    found = probabilities[image, of_class]
    errors = torch.where(truth, 1 - found, found)
    slopes = _jaccard_slopes(errors.detach(), truth, (labels != IGNORE)[image])
    share = 1.0 / present.sum(dim=1)[image]
    images = ranks.sum(present.any(dim=1).sum())
    return (share * (errors * slopes).sum((1, 2))).sum() / images.clamp(min=1)


def _jaccard_slopes(errors: Tensor, truth: Tensor, labelled: Tensor) -> Tensor:
    """Return how fast the Lovász extension of 1 - IoU grows with each error, float32 [R, H, W].

    errors: float32 [R, H, W], from 0 to 1; truth: bool [R, H, W]; labelled: bool [R, H, W]. The
    slope is by how much 1 - IoU grows when a pixel joins those with larger errors as a wrong one.
    That needs no sorting: errors that agree to 1/1024 join together, pixels of the class first. The
    extension does not depend on the order of equal errors.
    """
    rows = len(errors)
    bins = (errors * _BINS).int().clamp_(max=_BINS - 1) + 1
    row = torch.arange(rows, device=errors.device, dtype=torch.int32)[:, None, None]
    # the first place is of pixels without a label
    place = (2 * row + truth) * (_BINS + 1) + bins * labelled
    counts = torch.bincount(place.flatten(), minlength=2 * rows * (_BINS + 1))
    counts = counts.view(rows, 2, _BINS + 1)[..., 1:].flip(-1)  # the largest errors first
    others, own = counts.unbind(1)  # [R, B]
    missed, added = own.cumsum(1), others.cumsum(1)
    size = missed[:, -1:]
    # 1 - IoU = 1 - (size - missed) / (size + added)
    before, after = (size + added - others).float(), (size + added).float()
    of_others = (size - missed) / (before * after)
    slopes = F.pad(torch.stack((of_others, 1 / before), 1).flip(-1), (1, 0))
    return slopes.view(-1).index_select(0, place.flatten()).view_as(errors)


def _sum_of_ranks(values: Tensor, ranks: Ranks) -> Tensor:
    """Return the sum of a tensor over all processes, which gradients go through."""
    if not ranks.several:
        return values
    return _Sum.apply(values, ranks)  # type: ignore[no-any-return, no-untyped-call]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, ranks: Ranks) -> Tensor:
        ctx.size = ranks.launch.size
        return ranks.sum(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of what all processes compute alike from the sum, all together."""
        return gradients[0] * ctx.size, None
