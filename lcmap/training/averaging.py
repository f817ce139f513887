"""The running average of a network's weights over the steps of its training."""

from __future__ import annotations

import copy

import torch
from torch import nn

_FIRST_STEPS = 10


class WeightAverage:
    """An exponential running average of weights and of batch normalisation's statistics.

    It generalises better than the last weights (Izmailov et al. 2018, arXiv:1803.05407).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start from the network's weights; `decay` per step."""
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after a step (counted from 1); the first steps are soon forgotten."""
        decay = min(self._decay, step / (step + _FIRST_STEPS))
        for mine, new in zip(_tensors(self.network), _tensors(network), strict=True):
            if mine.is_floating_point():
                mine.lerp_(new, 1 - decay)
            else:
                mine.copy_(new)


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]
