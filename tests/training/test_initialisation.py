"""First weights: drawn by a seed, or those of a model file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lcmap.errors import NotAModelError
from lcmap.model_file import ModelInput, ModelMetadata, write_model
from lcmap.network import Architecture, LandCoverNetwork, receptive_field, stride
from lcmap.nomenclature import Nomenclature
from lcmap.training.export import to_onnx
from lcmap.training.initialisation import initialise, load_network

ARCHITECTURE = {"width": 4, "depth": 2, "skip": "reduce"}
BANDS = ("red", "green", "nir")


@pytest.fixture(scope="module")
def saved(
    three: Nomenclature, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[LandCoverNetwork, Path]]:
    """A network with weights and statistics of its own, and its file with any architecture."""
    torch.manual_seed(0)
    built = Architecture(**ARCHITECTURE)  # type: ignore[arg-type]
    network = LandCoverNetwork([3], len(three), built)
    network(torch.randn(4, 3, 16, 16))
    graph = to_onnx(network.eval(), ["image"])
    path = tmp_path_factory.mktemp("models") / "model.onnx"

    def save(architecture: dict[str, object]) -> tuple[LandCoverNetwork, Path]:
        metadata = ModelMetadata(
            three, (ModelInput("image", "image", BANDS, "uint8", 0.8),),
            stride(built), receptive_field(built), architecture=architecture,
        )  # fmt: skip
        write_model(graph, metadata, path, overwrite=True)
        return network, path

    return save


def test_a_network_comes_back_bit_for_bit(
    saved: Callable[..., tuple[LandCoverNetwork, Path]],
) -> None:
    network, path = saved({"name": "U-Net", **ARCHITECTURE})
    found = load_network(path).state_dict()
    for name, value in network.state_dict().items():
        if "num_batches" not in name:
            assert torch.equal(value, found[name]), name


@pytest.mark.parametrize(
    ("architecture", "match"),
    [
        ({}, "does not say how its network is built"),
        (ARCHITECTURE | {"skip": "sum"}, "does not say how its network is built"),
        (ARCHITECTURE | {"width": "wide"}, "does not say how its network is built"),
        (ARCHITECTURE | {"width": 8}, "lacks the weights encoders"),
    ],
)
def test_a_file_without_such_a_network_is_refused(
    saved: Callable[..., tuple[LandCoverNetwork, Path]],
    architecture: dict[str, object], match: str,
) -> None:  # fmt: skip
    with pytest.raises(NotAModelError, match=match):
        load_network(saved(architecture)[1])


@pytest.mark.parametrize("kind", ["xavier", "kaiming"])
def test_weights_are_the_seeds(kind: str) -> None:
    networks = [LandCoverNetwork([2, 3], 4, Architecture(width=4, depth=1)) for _ in range(3)]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        initialise(network, kind, seed)  # type: ignore[arg-type]
    first, same, other = (network.encoders[1][0].first[0].weight for network in networks)
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert not networks[0].classifier.bias.any()
