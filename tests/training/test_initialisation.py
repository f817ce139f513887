"""First weights: drawn by a seed, or those of a model file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_model import write_label_fusion_model, write_small_model

from lcmap.errors import InputMismatchError, NotAModelError
from lcmap.model_file import ModelInput, ModelMetadata, read_model, write_model
from lcmap.network import Architecture, LandCoverNetwork, receptive_field, stride
from lcmap.nomenclature import LandCoverClass, Nomenclature
from lcmap.training.export import to_onnx
from lcmap.training.initialisation import (
    initialise,
    load_network,
    read_initial_model,
    with_names_of,
)
from lcmap.training.samples import TrainingSet

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
        (ARCHITECTURE | {"context": 10**9}, "does not say how its network is built"),
        (ARCHITECTURE | {"clip": [0]}, "does not say how its network is built"),
        (ARCHITECTURE | {"width": 8}, "lacks the weights encoders"),
        (ARCHITECTURE | {"stem": "half"}, "lacks the weights encoders"),
    ],
)
def test_a_file_without_such_a_network_is_refused(
    saved: Callable[..., tuple[LandCoverNetwork, Path]],
    architecture: dict[str, object], match: str,
) -> None:  # fmt: skip
    with pytest.raises(NotAModelError, match=match):
        load_network(saved(architecture)[1])


def test_every_part_of_a_network_comes_back(three: Nomenclature, tmp_path: Path) -> None:
    built = Architecture(4, 1, "reduce", "half", context=1, reparametrised=True, clip=(-0.5, 2.0))
    network = LandCoverNetwork([3], len(three), built).eval()
    merged = network.merged()
    metadata = ModelMetadata(
        three, (ModelInput("image", "image", BANDS, "uint8", 0.8),), stride(built),
        receptive_field(built), architecture=dataclasses.asdict(merged.architecture),
    )  # fmt: skip
    write_model(to_onnx(network, ["image"]), metadata, tmp_path / "model.onnx")
    found = load_network(tmp_path / "model.onnx")
    assert found.architecture == dataclasses.replace(built, reparametrised=False)
    for name, value in merged.state_dict().items():
        assert torch.equal(value, found.state_dict()[name]), name


@pytest.mark.parametrize("kind", ["xavier", "kaiming"])
def test_weights_are_the_seeds(kind: str) -> None:
    networks = [LandCoverNetwork([2, 3], 4, Architecture(width=4, depth=1)) for _ in range(3)]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        initialise(network, kind, seed)  # type: ignore[arg-type]
    first, same, other = (network.encoders[1][0].first[0].weight for network in networks)
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert not networks[0].classifier.bias.any()


def tiles_like(model: Path, **changes: object) -> TrainingSet:
    """A training set of a model's classes and inputs, of which the last one is changed."""
    found = read_model(model)
    *others, last = found.inputs
    inputs = (*others, dataclasses.replace(last, **changes))  # type: ignore[arg-type]
    return TrainingSet(found.nomenclature, (), inputs, (), (), np.zeros(7), 16, {})


@pytest.mark.parametrize(
    "bands",
    [
        ("red", "green", "blue", "nir"),
        ("RED", "Green", "blue ", "NIR"),
        ("band 1", "band 2", "band 3", "band 4"),
    ],
)
def test_training_starts_from_a_model_that_maps_the_tiles_image(
    tmp_path: Path, bands: tuple[str, ...]
) -> None:
    model = write_small_model(tmp_path / "m.onnx")
    assert read_initial_model(model, tiles_like(model, bands=bands)) == read_model(model)
    named = with_names_of(read_model(model), tiles_like(model, bands=bands)).inputs[0].bands
    assert named == (("red", "green", "blue", "nir") if bands[0] == "band 1" else bands)
    nameless = write_small_model(tmp_path / "n.onnx", bands=tuple(f"band {i}" for i in range(1, 5)))
    assert read_initial_model(nameless, tiles_like(nameless, bands=bands)).inputs


@pytest.mark.parametrize(
    "changes",
    [
        {"bands": ("nir", "red", "green", "blue")},
        {"bands": ("band 1", "band 2", "band 3")},
        {"dtype": "uint16"},
        {"kind": "series"},
        {"level": 2},
    ],
)
def test_a_model_of_another_image_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    model = write_small_model(tmp_path / "m.onnx")
    with pytest.raises(InputMismatchError, match="takes image of uint8 bands red, green, blue"):
        read_initial_model(model, tiles_like(model, **changes))


def test_labels_are_of_the_classes_that_the_weights_meet(tmp_path: Path) -> None:
    model = write_label_fusion_model(tmp_path / "m.onnx")
    oso = read_model(model).inputs[1].nomenclature
    assert oso is not None
    first, *middle, last = oso.classes

    def start(*classes: LandCoverClass, name: str = "oso23") -> None:
        changed = dataclasses.replace(oso, name=name, classes=classes)
        read_initial_model(model, tiles_like(model, nomenclature=changed))

    dull = dataclasses.replace(last, color="#000000", short="x")
    start(first, *middle, dull, name="the same by another name")
    more = dataclasses.replace(last, code=99, name="more")
    for classes, differ in (
        ((*oso.classes, more), "23 classes, where the tiles have labels in oso23 of 24 classes"),
        ((first, *middle), "23 classes, where the tiles have labels in oso23 of 22 classes"),
        ((first, *middle, dataclasses.replace(last, code=99)),
         f"with {last.code} {last.name} as class 23, where the tiles have 99 {last.name}"),
        ((first, *middle, dataclasses.replace(last, name="sea")),
         f"with {last.code} {last.name} as class 23, where the tiles have {last.code} sea"),
        ((last, *middle, first), f"with {first.code} {first.name} as class 1, where"),
    ):  # fmt: skip
        with pytest.raises(InputMismatchError, match=f"takes labels in oso23 .*{differ}") as caught:
            start(*classes)
        assert "\n" not in str(caught.value)
        assert "with the classes of the model" in caught.value.remedy
    with pytest.raises(InputMismatchError, match="where the tiles have labels in other"):
        start(first, *middle, name="other")
