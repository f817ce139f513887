"""The weights a network starts from: random, or those of a model."""

from __future__ import annotations

import os

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import nn

from lcmap.errors import NotAModelError
from lcmap.model_file import read_model
from lcmap.network import LandCoverNetwork
from lcmap.training.export import WEIGHT_PREFIX
from lcmap.training.recipe import Initialisation

_REMEDY = "give a model that lcmap train wrote"


def initialise(network: nn.Module, kind: Initialisation, seed: int) -> None:
    """Draw the weights of all convolutions anew; biases become 0.

    "xavier" is Glorot and Bengio 2010, as in the paper (section 2.4); "kaiming" He et al. 2015.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            if kind == "xavier":
                nn.init.xavier_uniform_(module.weight, generator=generator)
            else:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def load_network(model: str | os.PathLike[str]) -> LandCoverNetwork:
    """Return the network that a model file holds, with its weights.

    Raises:
        InputMissingError, NewerModelError, ExternalDataError, ModelGraphError: as `read_model`.
        NotAModelError: as `read_model`; or the file does not say how its network is built, or
            lacks weights of it.
    """
    metadata = read_model(model)
    try:
        network = LandCoverNetwork(
            [entry.channels for entry in metadata.entries],
            len(metadata.nomenclature),
            **{name: metadata.architecture[name] for name in ("width", "depth", "skip")},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NotAModelError(model, "does not say how its network is built", _REMEDY) from error
    found = {
        tensor.name.removeprefix(WEIGHT_PREFIX): onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(os.fspath(model)).graph.initializer
        if tensor.name.startswith(WEIGHT_PREFIX)
    }
    own = network.state_dict()
    for name, value in own.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in found or found[name].shape != tuple(value.shape):
            raise NotAModelError(model, f"lacks the weights {name}", _REMEDY)
        own[name] = torch.from_numpy(np.array(found[name]))
    network.load_state_dict(own)
    return network
