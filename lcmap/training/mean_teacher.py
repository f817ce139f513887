"""Learning from crops without labels: a network's running average teaches it.

Source: Tarvainen and Valpola 2017 (arXiv:1703.01780); for segmentation French et al. 2020
(arXiv:1906.01916), who show that mixed crops matter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lcmap.dataset.reading import IGNORE
from lcmap.training.loss import weighted_cross_entropy
from lcmap.training.normalisation_statistics import normalisations, recompute_statistics
from lcmap.training.precision import autocast
from lcmap.training.ranks import ALONE, Ranks
from lcmap.training.recipe import Consistency
from lcmap.training.shared_normalisation import stop_sharing
from lcmap.training.unlabelled_batches import UnlabelledBatch, UnlabelledSampler

_ADAPTING_BATCHES = 50
"""Over how many batches without labels the statistics of batch normalisation are taken."""


class MeanTeacher:
    """Makes labels of what an averaged network is sure of, and the loss of learning them."""

    def __init__(
        self,
        average: nn.Module,
        consistency: Consistency,
        weights: Tensor,
        bfloat16: bool,
        ranks: Ranks = ALONE,
    ) -> None:
        """Let the running average of a network teach; `weights`, [K], are those of the classes."""
        self._average = average.eval()
        self._consistency = consistency
        self._weights = weights
        self._bfloat16 = bfloat16
        self._ranks = ranks

    def loss(self, scores: Tensor, batch: UnlabelledBatch, progress: float) -> Tensor:
        """Return this rank's part of the loss of a network's scores of `batch.strong`, a scalar.

        scores: [N, K, H, W]; progress: which fraction of the run is over. It is the cross entropy
        of what the teacher is sure of, times the share of that among the pixels without a label.
        """
        labels, unknown = self._labels(batch)
        counts = torch.stack([(labels != IGNORE).sum(), unknown.sum()]).to(scores.device)
        sure, of_all = self._ranks.sum(counts.double())
        found = weighted_cross_entropy(scores, labels, self._weights, self._ranks)
        share = (sure / of_all.clamp(min=1)).float()
        loss: Tensor = found * share * ramp(progress, self._consistency)
        return loss

    @torch.no_grad()
    def _labels(self, batch: UnlabelledBatch) -> tuple[Tensor, Tensor]:
        """Return the classes of `batch.strong`, int64 [N, H, W], and which pixels have no label.

        A class is 255 where the teacher is not sure, or the pixel has a label or no data.
        """
        if not len(batch.own):  # this rank has none
            return batch.own.long(), batch.unknown
        with autocast(batch.own.device, self._bfloat16):
            scores = self._average(*batch.weak)  # [N, K, H, W]
        confidence, classes = torch.softmax(scores.float(), dim=1).max(dim=1)  # [N, H, W]
        sure = batch.unknown & (confidence >= self._consistency.threshold)
        labels = torch.where(sure, classes, IGNORE)
        return batch.mixed(labels), batch.mixed(batch.unknown)


def ramp(progress: float, consistency: Consistency) -> float:
    """Return the weight of the loss at a fraction 0 … 1 of the run (Laine and Aila 2017)."""
    before = max(1 - progress / consistency.ramp_up, 0.0) if consistency.ramp_up else 0.0
    return consistency.weight * math.exp(-5 * before**2)


@torch.no_grad()
def adapt_normalisation(network: nn.Module, sampler: UnlabelledSampler, share: float) -> None:
    """Mix the statistics of batch normalisation, in place, with those on crops without labels.

    `share` is how much these count. Means and variances are those of a mixture of both. Source: Li
    et al. 2016 (arXiv:1603.04779).

    Raises:
        NotARasterError: pixels cannot be read.
    """
    device = next(network.parameters()).device
    layers = normalisations(network)
    trained = [(_copy(m.running_mean), _copy(m.running_var)) for m in layers]
    stop_sharing(network)
    batches = map(sampler.whole, range(_ADAPTING_BATCHES))
    recompute_statistics(network, (tuple(x.to(device) for x in images) for images in batches))
    for layer, (mean, variance) in zip(layers, trained, strict=True):
        assert layer.running_mean is not None and layer.running_var is not None
        own_mean, own_variance = layer.running_mean.clone(), layer.running_var.clone()
        layer.running_mean.copy_(mean.lerp(own_mean, share))
        between = share * (1 - share) * (own_mean - mean) ** 2
        layer.running_var.copy_(variance.lerp(own_variance, share) + between)


def _copy(values: Tensor | None) -> Tensor:
    assert values is not None
    return values.clone()
