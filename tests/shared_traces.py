"""Exports of networks that are built alike, traced once for all tests of a run.

PyTorch takes seconds to trace a network, however small, and hundreds of tests train one. What it
gives for two networks that differ in their channels or classes alone has the same nodes: other are
the weights, which keep their names, what has the size of weights, and the names of the inputs.
Tests of the export itself, `test_export.py`, do without this.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
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
        kind = kind_of(network, examples).encode()
        path = folder / sha256(kind).hexdigest()
        if not path.exists():
            folder.mkdir(exist_ok=True)
            being_written = path.with_suffix(f".{os.getpid()}")
            being_written.write_bytes(traced(module, examples, inputs, free))
            being_written.replace(path)
        return as_traced(onnx.load(path), module, examples, inputs)

    return shared


def kind_of(network: LandCoverNetwork, examples: tuple[Tensor, ...]) -> str:
    """Return what decides the nodes of a trace: all but the numbers of channels and classes."""
    architecture = dataclasses.replace(network.architecture, width=1, side_width=1)
    layers = re.sub(r"(\w\()\d+(, \d+)?(?=, \w+=)|(?<=groups=)\d+", r"\1", repr(network))
    return repr((architecture, layers, [(len(example), example.shape[2:]) for example in examples]))


def as_traced(
    model: onnx.ModelProto,
    module: nn.Module,
    examples: tuple[Tensor, ...],
    inputs: Sequence[str],
) -> bytes:
    """Return the trace of a module whose nodes are these, as this one's."""
    weights = {name: value.cpu().numpy() for name, value in module.state_dict().items()}
    found = {tensor.name: tensor for tensor in model.graph.initializer}
    missing = {name for name, _ in module.named_parameters()} - found.keys()
    assert not missing, f"the export has merged {missing} into others"
    for name in found.keys() & weights.keys():
        found[name].CopyFrom(numpy_helper.from_array(weights[name], name))
    fit_convolutions(model.graph)
    (output,) = model.graph.output
    output.type.tensor_type.shape.dim[1].dim_value = module.network.classes
    new_names = dict(zip((value.name for value in model.graph.input), inputs, strict=True))
    for value, example in zip(model.graph.input, examples, strict=True):
        value.name = new_names[value.name]
        value.type.tensor_type.shape.dim[1].dim_value = example.shape[1]
    for node in model.graph.node:
        node.input[:] = [new_names.get(name, name) for name in node.input]
    fit_values(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def fit_convolutions(graph: onnx.GraphProto) -> None:
    """Give convolutions the groups, and the zeros for a bias, that their weights need."""
    values = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "Conv" or not node.input[1].startswith(WEIGHT_PREFIX):
            continue
        filters = values[node.input[1]].dims[0]
        for attribute in node.attribute:
            if attribute.name == "group" and attribute.i > 1:
                attribute.i = filters
        if len(node.input) > 2 and not node.input[2].startswith(WEIGHT_PREFIX):
            zeros = np.zeros(filters, np.float32)
            values[node.input[2]].CopyFrom(numpy_helper.from_array(zeros, node.input[2]))


def fit_values(model: onnx.ModelProto) -> None:
    """Let the graph say the channels that its values have."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(bare).graph.value_info
    shapes = {value.name: value.type.tensor_type.shape.dim for value in inferred}
    for value in model.graph.value_info:
        sizes, known = value.type.tensor_type.shape.dim, shapes.get(value.name, ())
        if len(sizes) == len(known) == 4 and known[1].dim_value:
            sizes[1].dim_value = known[1].dim_value
