"""Exports of networks that are built alike, traced once for all tests of a process.

PyTorch takes seconds to trace a network, however small, and hundreds of tests train one. What it
gives for two networks of one architecture differs in the weights alone, which keep their names.
Tests of the export itself, `test_export.py`, do without this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx
from torch import Tensor, nn

from lcmap.network import LandCoverNetwork
from lcmap.training.export import WEIGHT_PREFIX

Traced = Callable[[nn.Module, tuple[Tensor, ...], Sequence[str], Mapping[str, Any]], bytes]

_TRACES: dict[str, bytes] = {}


def sharing(traced: Traced) -> Traced:
    """Return `lcmap.training.export.traced` that traces networks of each kind once."""

    def shared(
        module: nn.Module,
        examples: tuple[Tensor, ...],
        inputs: Sequence[str],
        free: Mapping[str, Any],
    ) -> bytes:
        network = getattr(module, WEIGHT_PREFIX.removesuffix("."), None)
        if not isinstance(network, LandCoverNetwork):
            return traced(module, examples, inputs, free)
        sizes = [tuple(example.shape) for example in examples]
        key = repr((network.architecture, module, sizes, list(inputs)))
        if key not in _TRACES:
            _TRACES[key] = traced(module, examples, inputs, free)
            return _TRACES[key]
        return with_weights(_TRACES[key], module)

    return shared


def with_weights(trace: bytes, module: nn.Module) -> bytes:
    """Return a trace of a module that is built like this one, with the weights of this one."""
    weights = module.state_dict()
    model = onnx.load_model_from_string(trace)
    found = {tensor.name: tensor for tensor in model.graph.initializer}
    missing = {name for name, _ in module.named_parameters()} - found.keys()
    assert not missing, f"the export has merged {missing} into others"
    for name in found.keys() & weights.keys():
        found[name].raw_data = weights[name].cpu().numpy().tobytes()
    return model.SerializeToString()
