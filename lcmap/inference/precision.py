"""The network of a model, in the arithmetic that a map is computed in."""

from __future__ import annotations

import logging
from itertools import chain
from typing import NamedTuple

import onnx

from lcmap.engines.calibration import quantise
from lcmap.engines.choice import Engine
from lcmap.engines.compute import Arithmetic
from lcmap.errors import NotAModelError, UsageError
from lcmap.graph.nodes import UnknownGraphError
from lcmap.graph.series import split_series
from lcmap.inference.campaign_inputs import Opened
from lcmap.inference.options import AlignedInputOptions
from lcmap.inference.pooled_series import DatePooling
from lcmap.inference.source import calibration_samples
from lcmap.model_file import ModelMetadata, load_graph
from lcmap.paths import PathLike

logger = logging.getLogger(__name__)


def choose_precision(
    wanted: Arithmetic | None, metadata: ModelMetadata, model: PathLike, *, verify: bool
) -> Arithmetic:
    """Return what a model is computed in: what is wanted, else its own precision.

    Raises:
        UsageError: the model cannot be computed in that, or the map not be verified.
    """
    precision = wanted or metadata.precision
    if precision != "int8" and metadata.precision == "int8":
        raise UsageError(
            f"`precision={precision}`", f"{model} is int8", "use the model it was made from"
        )
    if precision == "float16" and verify:
        raise UsageError(
            "`precision=float16`",
            "rounds by more than `verify` allows",
            "verify in float32, then leave out `verify`",
        )
    return precision


class LoadedNetwork(NamedTuple):
    """A model's network without what pools the dates of its series, and that, by their names."""

    network: onnx.ModelProto
    poolings: dict[str, DatePooling]


def load_network(model: PathLike, metadata: ModelMetadata, engine: Engine) -> LoadedNetwork:
    """Return a model's network.

    Raises:
        NotAModelError: it does not pool the dates of a series before all else.
    """
    names = [item.name for item in metadata.inputs if item.kind == "series"]
    try:
        network, found = split_series(load_graph(model), names)
    except UnknownGraphError as error:
        raise NotAModelError(model, f"{error}", "export the model with lcmap again") from error
    poolings = {
        name: DatePooling(name, pooling, engine.load_beside) for name, pooling in found.items()
    }
    return LoadedNetwork(network, poolings)


def in_precision(
    network: onnx.ModelProto,
    model: PathLike,
    metadata: ModelMetadata,
    precision: Arithmetic,
    opened: Opened,
    options: AlignedInputOptions,
) -> onnx.ModelProto:
    """Return a network in int8 where that is wanted; for 16-bit floats it stays float32.

    A float32 model is brought to int8 by windows drawn from its inputs: those with pixels that are
    valid in every input or, where there is none and the options allow it, in any.

    Raises:
        DataError: the network's values for the inputs are not finite.
        NotARasterError, UnknownLabelError: as `calibration_samples`.
    """
    if precision != "int8" or metadata.precision == "int8":
        return network
    for missing in dict.fromkeys((False, options.allow_missing)):
        samples = calibration_samples(
            opened.readers, opened.grid.shape, metadata.stride, allow_missing=missing
        )
        first = next(samples, None)
        if first is not None:
            break
    if first is None:  # no pixel is valid, so the network will never run
        return network
    logger.info("%s: converted to int8 with a sample of the image", model)
    return onnx.load_model_from_string(
        quantise(network.SerializeToString(), chain([first], samples))
    )
