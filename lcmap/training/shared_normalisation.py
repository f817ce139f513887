"""Batch normalisation over the batches of all processes, as over one batch.

torch's own SyncBatchNorm computes on CUDA alone. This one computes in PyTorch's kernels for one
process, and brings together sums of a few numbers per channel, forward and backward.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcmap.network.operations import NormReluPad, mirror_pad
from lcmap.training.ranks import ALONE, Ranks


def share_normalisation(network: nn.Module, ranks: Ranks) -> None:
    """Let the batch normalisations of a network, in training, be over all processes, in place."""
    if not ranks.several:
        return
    for module in network.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, _shared(child, ranks))


def stop_sharing(network: nn.Module) -> None:
    """Let the batch normalisations of a network be over this process's batches alone, in place."""
    for module in network.modules():
        if isinstance(module, _SharedBatchNorm):
            module.ranks = ALONE


def _shared(alone: nn.BatchNorm2d, ranks: Ranks) -> _SharedBatchNorm:
    kind = _SharedNormReluPad if isinstance(alone, NormReluPad) else _SharedBatchNorm
    shared = kind(alone.num_features, alone.eps, alone.momentum)
    shared.ranks = ranks
    shared.weight, shared.bias = alone.weight, alone.bias
    shared.load_state_dict(alone.state_dict())
    return shared.to(alone.weight.device).train(alone.training)


class _SharedBatchNorm(nn.BatchNorm2d):
    ranks: Ranks

    def forward(self, x: Tensor) -> Tensor:
        """Return x [N, C, H, W], normalised; in training by the statistics of all processes."""
        if not self.training:
            return super().forward(x)
        count, mean, variance = _statistics(x, self.ranks)
        assert self.running_mean is not None and self.running_var is not None
        assert self.momentum is not None and self.num_batches_tracked is not None
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        inverse = (variance + self.eps).rsqrt()
        return _Normalisation.apply(  # type: ignore[no-any-return, no-untyped-call]
            x, self.weight, self.bias, mean, inverse, count, self.ranks
        )


class _SharedNormReluPad(_SharedBatchNorm):
    def forward(self, x: Tensor) -> Tensor:
        """Return what `NormReluPad` does, [N, C, H+2, W+2]."""
        return mirror_pad(F.relu(super().forward(x), inplace=True))


@torch.no_grad()
def _statistics(x: Tensor, ranks: Ranks) -> tuple[Tensor, Tensor, Tensor]:
    """Return how many values each channel has in all processes, their mean and variance, [C]."""
    channels = x.shape[1]
    count = x.numel() // channels
    mean, variance = x.new_zeros(2, channels, dtype=torch.float32)
    if count:
        # with a momentum of 1 the running statistics are those of the batch, in float32
        torch.batch_norm_update_stats(x, mean, variance, 1.0)
    mean, variance = mean.double(), variance.double() * (count - 1) / max(count, 1)
    # the square of the mean is subtracted again: float64 holds enough of it
    sums = torch.stack((torch.full_like(mean, count), count * mean, count * (variance + mean**2)))
    counts, of_values, of_squares = ranks.sum(sums)
    mean = of_values / counts
    variance = (of_squares / counts - mean**2).clamp(min=0)
    return counts.float(), mean.float(), variance.float()


class _Normalisation(torch.autograd.Function):
    """y = (x - mean) · w / σ + b, where mean and σ are of the x of all processes."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        inverse: Tensor,
        count: Tensor,
        ranks: Ranks,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, inverse, count)
        ctx.ranks = ranks
        scale = weight * inverse
        return _scaled(x, scale, bias - mean * scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the loss of all processes with respect to x.

        Those with respect to weight and bias are this process's part, as for every parameter.
        """
        (dy,) = gradients
        x, weight, mean, inverse, count = ctx.saved_tensors
        to_weight, to_bias = torch.zeros_like(mean), torch.zeros_like(mean)
        if x.numel():
            _, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
                dy, x, weight, mean, inverse, mean, inverse, True, 0.0, [False, True, True]
            )
        # as Ioffe and Szegedy 2015 (arXiv:1502.03167), section 3:
        # dx = w / σ · (dy - Σdy / n - (x - mean) / σ · Σ(dy · (x - mean) / σ) / n)
        of_weight, of_bias = ctx.ranks.sum(torch.stack((to_weight, to_bias))) / count
        scale = weight * inverse
        slope = -scale * inverse * of_weight
        to_x = _scaled(dy, scale, -scale * of_bias - slope * mean).add_(
            _scaled(x, slope, torch.zeros_like(slope))
        )
        return to_x, to_weight, to_bias, None, None, None, None


def _scaled(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Return x · scale + shift, by channel, in the type of x: batch normalisation does it fast."""
    if not x.numel():
        return torch.empty_like(x)
    nothing, one = torch.zeros_like(scale), torch.ones_like(scale)
    return F.batch_norm(x, nothing, one, scale, shift, training=False, eps=0.0)
