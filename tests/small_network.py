"""The network itself, small, with random weights as large as those of a trained one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import onnx
from onnx import numpy_helper

from lcmap.network.layers import FINE


@cache
def exported_network(
    channels: Sequence[int], *, width: int = 8, depth: int = 2, **parts: Any
) -> bytes:
    """Return a network of four classes as training exports it; its inputs are e0, e1 and so on."""
    import torch

    from lcmap.network import Architecture, LandCoverNetwork
    from lcmap.training.export import to_onnx

    torch.manual_seed(0)
    network = LandCoverNetwork(channels, 4, Architecture(width=width, depth=depth, **parts))
    for block in network.context:  # at first they keep context out
        torch.nn.init.ones_(block.across[1].weight)
    for _ in range(5):  # for the statistics of batch normalisation
        network(*(torch.randn(4, c, 32, 32) for c in channels))
    with torch.no_grad():
        network.classifier.weight *= 20
    return to_onnx(network, [f"e{i}" for i in range(len(channels))])


def drown_in_int8(model: Path) -> None:
    """Make one channel of a model file, which nothing uses, so large that int8 loses the others."""
    loaded = onnx.load(model)
    for tensor in loaded.graph.initializer:
        values = numpy_helper.to_array(tensor).copy()
        if tensor.name == "network.refinement.feature.1.bias":
            values[0] = 1e6
        elif tensor.name == "network.refinement.joint.0.weight":
            values[:, FINE // 2] = 0
        else:
            continue
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(loaded, model)
