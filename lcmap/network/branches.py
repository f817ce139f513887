"""3 × 3 convolutions that have branches while they are trained (Ding et al. 2021, RepVGG)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Branches(nn.Module):
    """The sum of a 3 × 3 and a 1 × 1 convolution and, of equal channels, the input itself.

    Each is normalised by itself (arXiv:2101.03697, section 3.2). With the statistics that training
    left it is a 3 × 3 convolution with a bias, see `merged`. What follows is the normalisation that
    a plain convolution has too, which takes the bias up.
    """

    def __init__(self, channels: int, out: int) -> None:
        """Take `channels`, return `out`."""
        super().__init__()
        self.around = nn.Sequential(nn.Conv2d(channels, out, 3, bias=False), nn.BatchNorm2d(out))
        self.across = nn.Sequential(nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out))
        self.same = nn.BatchNorm2d(channels) if channels == out else None

    def forward(self, padded: Tensor) -> Tensor:
        """Return [N, out, H, W] from [N, channels, H+2, W+2]."""
        x = padded[:, :, 1:-1, 1:-1]
        found = self.around(padded) + self.across(x)
        return found if self.same is None else found + self.same(x)

    @torch.no_grad()
    def merged(self) -> tuple[Tensor, Tensor]:
        """Return kernel [out, channels, 3, 3] and bias [out] that give the sum, in evaluation."""
        around, across = self.around[0].weight, F.pad(self.across[0].weight, (1, 1, 1, 1))
        kernel, bias = _normalised(around, self.around[1])
        for branch, norm in ((across, self.across[1]), (_identity(around), self.same)):
            if norm is not None:
                of_branch, shift = _normalised(branch, norm)
                kernel, bias = kernel + of_branch, bias + shift
        return kernel, bias


def _identity(like: Tensor) -> Tensor:
    """Return the kernel [C, C, 3, 3] that leaves its input as it is."""
    return nn.init.dirac_(torch.empty_like(like))


def _normalised(kernel: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return a kernel with normalisation by running statistics merged into it, and the bias."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return kernel * scale[:, None, None, None], norm.bias - norm.running_mean * scale
