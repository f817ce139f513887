"""The network of a model, in the arithmetic that a map is computed in."""

from __future__ import annotations

import logging
from itertools import chain

import onnx

from lcmap.engines.calibration import quantise
from lcmap.engines.compute import Arithmetic
from lcmap.errors import UsageError
from lcmap.inference.campaign_inputs import Opened
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


def load_network(
    model: PathLike,
    metadata: ModelMetadata,
    precision: Arithmetic,
    opened: Opened,
) -> onnx.ModelProto:
    """Return a model's network, in int8 where that is wanted; for float16 it stays float32.

    A float32 model is brought to int8 by windows drawn from its inputs.

    Raises:
        DataError: the network's values for the inputs are not finite.
        NotARasterError, UnknownLabelError: as `calibration_samples`.
    """
    network = load_graph(model)
    if precision != "int8" or metadata.precision == "int8":
        return network
    samples = calibration_samples(opened.readers, opened.grid.shape, metadata.stride)
    first = next(samples, None)
    if first is None:  # no pixel is valid, so the network will never run
        return network
    logger.info("%s: converted to int8 with a sample of the image", model)
    return onnx.load_model_from_string(
        quantise(network.SerializeToString(), chain([first], samples))
    )
