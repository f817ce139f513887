"""The weights a network starts from: random, or those of a model."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import nn

from lcmap.errors import InputMismatchError, NotAModelError
from lcmap.model_file import ModelInput, ModelMetadata, read_model
from lcmap.network import Architecture, LandCoverNetwork
from lcmap.nomenclature import Nomenclature
from lcmap.paths import PathLike
from lcmap.raster.band_comparison import same_bands
from lcmap.raster.opening import has_band_names
from lcmap.training.export import WEIGHT_PREFIX
from lcmap.training.recipe import Initialisation
from lcmap.training.samples import TrainingSet

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


def with_names_of(model: ModelMetadata, data: TrainingSet) -> TrainingSet:
    """Return tiles that a model fits, with the names of its bands where their images have none."""
    named = (
        dataclasses.replace(ours, bands=theirs.bands)
        if theirs.kind == ours.kind == "image" and not has_band_names(ours.bands)
        else ours
        for theirs, ours in zip(model.inputs, data.inputs, strict=False)
    )
    return dataclasses.replace(data, inputs=(*named, *data.inputs[len(model.inputs) :]))


def read_initial_model(model: PathLike, data: TrainingSet) -> ModelMetadata:
    """Return the metadata of a float32 model of the tiles' classes, its inputs their first ones.

    Bands are compared as those of an image that it maps, and the classes of a label map by their
    codes and names, in order.

    Raises:
        InputMissingError, NotAModelError, NewerModelError: as `read_model`.
        InputMismatchError: it is in int8, or has other inputs or classes.
    """
    metadata = read_model(model)
    if metadata.precision != "float32":
        raise InputMismatchError(
            model,
            f"is in {metadata.precision}, its weights are rounded",
            "give the float32 model that it was made from",
        )
    if metadata.nomenclature.classes != data.nomenclature.classes:
        raise InputMismatchError(
            model,
            f"was trained for the nomenclature {metadata.nomenclature.name}, the tiles are in "
            f"{data.nomenclature.name}, with other classes",
            "start from a model of the same nomenclature",
        )
    if len(metadata.inputs) > len(data.inputs):
        raise InputMismatchError(
            model,
            f"takes {len(metadata.inputs)} inputs, the tiles have {len(data.inputs)}",
            "prepare the image with the same `sides`",
        )
    for theirs, ours in zip(metadata.inputs, data.inputs, strict=False):
        _check_input(model, theirs, ours)
    return metadata


def load_network(model: PathLike) -> LandCoverNetwork:
    """Return the network that a model file holds, with its weights.

    Raises:
        InputMissingError, NewerModelError, NotAModelError: as `read_model`.
        NotAModelError: as `read_model`; or the file does not say how its network is built, or lacks
            weights of it.
    """
    metadata = read_model(model)
    try:
        network = LandCoverNetwork(
            [model_input.channels for model_input in metadata.inputs],
            len(metadata.nomenclature),
            Architecture.of_model(metadata.architecture),
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


def _check_input(model: PathLike, theirs: ModelInput, ours: ModelInput) -> None:
    """Check that an input of the model is as that of the tiles in its place."""
    remedy = "start from a model of the same inputs, or of the first ones alone"
    taken, had = _taken(theirs), _taken(ours)
    alike = (theirs.kind, theirs.dtype, theirs.level) == (ours.kind, ours.dtype, ours.level)
    if theirs.nomenclature and ours.nomenclature and theirs.level == ours.level:
        if theirs.nomenclature.coded_names == ours.nomenclature.coded_names:
            return
        if theirs.nomenclature.name == ours.nomenclature.name:
            taken, had = _differing(theirs.nomenclature, ours.nomenclature)
        remedy = (
            "prepare the tiles with the classes of the model's input, or start from a model of the "
            "first inputs alone"
        )
    elif alike and same_bands(theirs.bands, ours.bands):
        return
    raise InputMismatchError(model, f"takes {taken}, where the tiles have {had}", remedy)


def _differing(theirs: Nomenclature, ours: Nomenclature) -> tuple[str, str]:
    """Return in words how two nomenclatures of one name differ: of the model, of the tiles."""
    if len(theirs) != len(ours):
        return (
            f"labels in {theirs.name} of {len(theirs)} classes",
            f"labels in {ours.name} of {len(ours)} classes",
        )
    pairs = enumerate(zip(theirs.coded_names, ours.coded_names, strict=True), start=1)
    place, (one, other) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
    return (
        f"labels in {theirs.name} with {one[0]} {one[1]} as class {place}",
        f"{other[0]} {other[1]}",
    )


def _taken(model_input: ModelInput) -> str:
    cells = f" on cells of {1 << model_input.level} px" if model_input.level else ""
    if model_input.nomenclature:
        return f"labels in {model_input.nomenclature.name}{cells}"
    bands = ", ".join(model_input.bands)
    return f"{model_input.kind} of {model_input.dtype} bands {bands}{cells}"
