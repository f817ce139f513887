"""A model of several inputs: the network itself with random weights, small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lcmap.model_file import ModelInput, ModelMetadata, write_model
from lcmap.nomenclature import load_nomenclature

BANDS = ("red", "green", "blue", "nir")
S2_BANDS = ("B2", "B3", "B8")
IMAGE = ModelInput("image", "image", BANDS, "uint8", 0.8)
S2 = ModelInput("side1", "image", S2_BANDS, "int16", 10.0)
OSO = ModelInput(
    "side2", "labels", ("class",), "uint8", 10.0, nomenclature=load_nomenclature("oso23")
)


def write_fusion_model(
    path: Path, inputs: Sequence[ModelInput], *, depth: int = 2, **parts: Any
) -> Path:
    """Write a model of flair7 that takes these inputs."""
    import torch

    from lcmap.network import Architecture, LandCoverNetwork, receptive_field, stride
    from lcmap.training.export import to_onnx
    from lcmap.training.initialisation import initialise

    architecture = Architecture(width=8, depth=depth, **parts)
    network = LandCoverNetwork([model_input.channels for model_input in inputs], 7, architecture)
    # as large as in a trained network, so that every input counts and a map has several classes
    initialise(network, "kaiming", seed=1)
    with torch.no_grad():
        network.classifier.weight.mul_(3)
    metadata = ModelMetadata(
        load_nomenclature("flair7"), tuple(inputs), stride(architecture),
        receptive_field(architecture),
    )  # fmt: skip
    write_model(to_onnx(network, [model_input.name for model_input in inputs]), metadata, path)
    return path
