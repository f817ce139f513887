"""The statistics of batch normalisation: those of a model, and taken anew with the weights kept."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def normalisations(network: nn.Module) -> list[nn.BatchNorm2d]:
    """Return the batch normalisations of a network."""
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def all_have_statistics(network: nn.Module) -> bool:
    """Tell whether all batch normalisations have the statistics of some training.

    A mean of exactly 0 and a variance of exactly 1 in all channels are those that a layer begins
    with.
    """
    return all(
        bool((layer.running_mean != 0).any() or (layer.running_var != 1).any())
        for layer in normalisations(network)
        if layer.running_mean is not None and layer.running_var is not None
    )


@torch.no_grad()
def recompute_statistics(network: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> None:
    """Let batch normalisations have the mean statistics of these batches, and no earlier ones.

    A batch has one image [N, C, H, W] per input. The running statistics of an average of weights
    are those of other weights (Izmailov et al. 2018, arXiv:1803.05407, section 3.2).
    torch.optim.swa_utils.update_bn takes networks of one input, whose layers need no momentum.
    """
    found = normalisations(network)
    before = [layer.momentum for layer in found]
    was_training = network.training
    network.train()
    for number, images in enumerate(batches, start=1):
        for layer in found:
            layer.momentum = 1 / number
        network(*images)
    for layer, momentum in zip(found, before, strict=True):
        layer.momentum = momentum
    network.train(was_training)
