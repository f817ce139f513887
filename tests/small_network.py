"""The network itself, small, with random weights as large as those of a trained one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lcmap.network import Skip


@cache
def exported_network(
    channels: Sequence[int], *, width: int = 8, depth: int = 2, skip: Skip = "concat"
) -> bytes:
    """Return a network of four classes as training exports it; its entries are e0, e1 and so on."""
    import torch

    from lcmap.network import LandCoverNetwork
    from lcmap.training.export import to_onnx

    torch.manual_seed(0)
    network = LandCoverNetwork(channels, 4, width=width, depth=depth, skip=skip)
    for _ in range(5):  # for the statistics of batch normalisation
        network(*(torch.randn(4, c, 32, 32) for c in channels))
    with torch.no_grad():
        network.classifier.weight *= 20
    return to_onnx(network, [f"e{i}" for i in range(len(channels))])
