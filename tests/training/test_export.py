"""The exported graph, and that a wrong one would be noticed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from shared_traces import sharing
from torch import nn

from lcmap.network import Architecture, LandCoverNetwork, land_cover_network
from lcmap.network.operations import max_pool
from lcmap.training import export
from lcmap.training.export import to_onnx, traced, verify
from lcmap.training.initialisation import initialise


def noise(channels: list[int], stride: int, seed: int) -> list[tuple[NDArray[np.float32], ...]]:
    """Return samples of several sizes, one image per input."""
    random = np.random.default_rng(seed)
    return [
        tuple(
            random.normal(0.5, 1, (count, c, rows * stride, cols * stride)).astype(np.float32)
            for c in channels
        )
        for count, rows, cols in ((1, 2, 2), (2, 5, 3), (1, 7, 12))
    ]


def network_of(channels: list[int], seed: int = 0) -> LandCoverNetwork:
    torch.manual_seed(seed)
    network = LandCoverNetwork(channels, 4, Architecture(width=16, depth=2))
    for _ in range(3):
        network(*(torch.randn(4, c, 16, 16) for c in channels))
    with torch.no_grad():
        network.classifier.weight *= 20  # probabilities as decided as a trained network's
    return network.eval()


@pytest.fixture(scope="module")
def exported() -> tuple[LandCoverNetwork, bytes]:
    network = network_of([3])
    return network, to_onnx(network, ["image"])


def test_graph_keeps_its_contract(exported: tuple[LandCoverNetwork, bytes]) -> None:
    model = onnx.load_model_from_string(exported[1])
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == ["probabilities"]
    operators = {node.op_type for node in model.graph.node}
    assert "Softmax" in operators and not operators & {"MaxUnpool", "ScatterND", "GatherND"}
    # nothing of the machine it was made on
    assert b".py" not in exported[1]
    assert all(opset.version >= 20 for opset in model.opset_import if not opset.domain)


@pytest.mark.parametrize("layer", [nn.Conv2d, nn.ConvTranspose2d])
def test_kernels_are_declared_where_the_exporter_leaves_them_out(
    layer: type[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    export = torch.onnx.export

    def silent(*args: Any, **options: Any) -> Any:
        program = export(*args, **options)
        for node in program.model.graph:
            node.attributes.pop("kernel_shape", None)
        return program

    monkeypatch.setattr(torch.onnx, "export", silent)
    free = {"input": {}}
    written = traced(layer(2, 3, (5, 4)), (torch.zeros(1, 2, 8, 8),), ["image"], free)
    (node,) = onnx.load_model_from_string(written).graph.node
    (declared,) = (item for item in node.attribute if item.name == "kernel_shape")
    assert list(declared.ints) == [5, 4]


def test_any_size_on_the_pooling_grid_gives_pytorchs_probabilities(
    exported: tuple[LandCoverNetwork, bytes],
) -> None:
    network, model = exported
    agreement = verify(model, network, noise([3], network.stride, 1))
    assert agreement.difference < 1e-5
    session = onnxruntime.InferenceSession(model)
    (found,) = session.run(None, {"image": np.ones((3, 3, 12, 20), np.float32)})
    assert found.shape == (3, 4, 12, 20)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_ties_are_broken_as_in_pytorch(
    exported: tuple[LandCoverNetwork, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, model = exported
    random = np.random.default_rng(0)
    flat = random.integers(0, 2, (1, 3, 16, 16)).astype(np.float32).repeat(4, 2).repeat(4, 3)
    rough = random.normal(0.5, 1, (1, 3, 64, 64)).astype(np.float32)
    for image in (flat, rough):
        assert verify(model, network, [(image,)]).apart < 1e-3

    def last_maximum(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maxima, indices = max_pool(x.flip(2, 3))
        return maxima.flip(2, 3), x[0, 0].numel() - 1 - indices.flip(2, 3)

    monkeypatch.setattr(land_cover_network, "max_pool", last_maximum)
    for image in (flat, rough):
        assert not verify(model, network, [(image,)]).close


def test_other_weights_are_noticed(exported: tuple[LandCoverNetwork, bytes]) -> None:
    found = verify(exported[1], network_of([3], seed=1), noise([3], 4, 0))
    assert not found.close and found.largest > 0.1
    assert re.search(r"differ by up to 0\.\d+ in a probability, in 100\.0 % of pixels$", found.text)


def test_two_entries_become_two_inputs_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    network = network_of([2, 3])
    model = to_onnx(network, ["image", "second"])
    assert capfd.readouterr() == ("", "")
    names = [value.name for value in onnx.load_model_from_string(model).graph.input]
    assert names == ["image", "second"]
    assert verify(model, network, noise([2, 3], 4, 0)).difference < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("levels", [(), (0, 1)], ids=str)
def test_a_trace_that_tests_share_is_what_the_network_would_give(
    levels: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"stem": "half", "context": 1, "series": (1,)} if levels else {}
    one, other = (
        LandCoverNetwork(
            channels, classes, Architecture(width=width, depth=1, levels=levels, **parts)
        ).eval()
        for channels, classes, width in (([2, 3], 4, 4), ([4, 1], 3, 8))
    )
    expected = to_onnx(other, ["image", "second"])
    monkeypatch.setattr(export, "traced", sharing(traced, tmp_path / "traces"))
    shared = [to_onnx(one, ["e0", "e1"]), to_onnx(other, ["image", "second"])]
    assert len(list((tmp_path / "traces").iterdir())) == 1
    assert shared[0] != shared[1]
    wanted, found = map(onnx.load_model_from_string, (expected, shared[1]))
    assert computed_by(wanted) == computed_by(found)
    for value, same in zip(ends_of(wanted), ends_of(found), strict=True):
        assert value == same
    assert sizes_within(wanted) == sizes_within(found)


def computed_by(model: onnx.ModelProto) -> list[tuple[Any, ...]]:
    """Return what each node computes of which values, whatever these are called."""
    values: dict[str, Any] = {
        tensor.name: (tuple(tensor.dims), numpy_helper.to_array(tensor).tobytes())
        for tensor in model.graph.initializer
    }
    values |= {value.name: f"input {n}" for n, value in enumerate(model.graph.input)}
    nodes = []
    for node in model.graph.node:
        attributes = sorted(item.SerializeToString(deterministic=True) for item in node.attribute)
        nodes.append((node.op_type, attributes, [values.get(name) for name in node.input]))
        values |= {name: (len(nodes), place) for place, name in enumerate(node.output)}
    return nodes


def sizes_within(model: onnx.ModelProto) -> list[list[int]]:
    """Return the sizes that the values between the nodes are said to have, 0 for free ones."""
    said = {value.name: value.type.tensor_type.shape.dim for value in model.graph.value_info}
    results = [name for node in model.graph.node for name in node.output]
    return [[size.dim_value for size in said[name]] for name in results if name in said]


def ends_of(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return inputs and outputs, whatever their free sizes are called."""
    ends = [*model.graph.input, *model.graph.output]
    for value in ends:  # which differ from one trace to the next
        for size in value.type.tensor_type.shape.dim:
            size.dim_param = "free" if size.dim_param else ""
    return ends


def test_initial_weights_are_seeded_and_of_the_published_spread() -> None:
    networks = [LandCoverNetwork([4], 7, Architecture(width=16, depth=1)) for _ in range(3)]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        initialise(network, "xavier", seed)
    first, same, other = (n.encoders[0][0].second[0].weight for n in networks)
    assert torch.equal(first, same) and not torch.equal(first, other)
    # Glorot and Bengio: uniform within the root of 6 / (fan in + fan out)
    bound = (6 / (16 * 9 + 16 * 9)) ** 0.5
    assert 0.95 * bound < first.abs().max() <= bound
    assert (networks[0].classifier.bias == 0).all()
