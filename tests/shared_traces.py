"""Exports of networks that are built alike, traced once for all tests of a run.

PyTorch takes seconds to trace a network, however small, and hundreds of tests train one. What it
gives for two networks of one architecture differs in the weights alone, which keep their names, and
in the names of the inputs. Tests of the export itself, `test_export.py`, do without this.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import onnx
from torch import Tensor, nn

from lcmap.network import LandCoverNetwork
from lcmap.training.export import WEIGHT_PREFIX

Traced = Callable[[nn.Module, tuple[Tensor, ...], Sequence[str], Mapping[str, Any]], bytes]


def sharing(traced: Traced, folder: Path) -> Traced:
    """Return `lcmap.training.export.traced` that traces networks of each kind once.

    `folder` keeps them, also for the other processes of a run.
    """

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
        kind = repr((network.architecture, module, sizes)).encode()
        path = folder / sha256(kind).hexdigest()
        if not path.exists():
            folder.mkdir(exist_ok=True)
            being_written = path.with_suffix(f".{os.getpid()}")
            being_written.write_bytes(traced(module, examples, inputs, free))
            being_written.replace(path)
        return as_traced(onnx.load(path), module, inputs)

    return shared


def as_traced(model: onnx.ModelProto, module: nn.Module, inputs: Sequence[str]) -> bytes:
    """Return the trace of a module that is built like this one, as this one's."""
    weights = module.state_dict()
    found = {tensor.name: tensor for tensor in model.graph.initializer}
    missing = {name for name, _ in module.named_parameters()} - found.keys()
    assert not missing, f"the export has merged {missing} into others"
    for name in found.keys() & weights.keys():
        found[name].raw_data = weights[name].cpu().numpy().tobytes()
    new_names = dict(zip((value.name for value in model.graph.input), inputs, strict=True))
    for value in model.graph.input:
        value.name = new_names[value.name]
    for node in model.graph.node:
        node.input[:] = [new_names.get(name, name) for name in node.input]
    serialized: bytes = model.SerializeToString()
    return serialized
