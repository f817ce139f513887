"""The statistics of batch normalisation, taken anew with the weights that are kept."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def recompute_statistics(network: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> None:
    """Let batch normalisations have the mean statistics of these batches, and no earlier ones.

    A batch has one image [N, C, H, W] per input. The running statistics of an average of weights
    are those of other weights (Izmailov et al. 2018, arXiv:1803.05407, section 3.2).
    torch.optim.swa_utils.update_bn does the same for networks of one input, in one process.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [layer.momentum for layer in layers]
    was_training = network.training
    network.train()
    for number, images in enumerate(batches, start=1):
        for layer in layers:
            layer.momentum = 1 / number
        network(*images)
    for layer, momentum in zip(layers, before, strict=True):
        layer.momentum = momentum
    network.train(was_training)
