"""Models in 8-bit integers: a float32 graph and a sample of pixels to an int8 graph."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from lcmap.engines.onnxruntime import OnnxRuntimeSession
from lcmap.errors import DataError
from lcmap.graph.int8 import Range, activations, with_integers

CalibrationSample = tuple[npt.NDArray[np.float32], ...]
"""What a network takes, float32 [1, C, h, w] for each input."""

SAMPLES = 32
SAMPLE_SIDE = 256
"""This many windows, of this many pixels a side, show how large the values in a network become."""

_OUTSIDE = 1e-4
"""The share of a window's values that may be cut off, at the low and at the high end."""

_STEP = 7
"""Every seventh value is looked at: all of them would take as long as the network does."""


def quantise(model: bytes, samples: Iterable[CalibrationSample]) -> bytes:
    """Return a float32 model of lcmap as one that computes its convolutions in 8-bit integers.

    Inputs, output, sizes and metadata stay the same. The samples show the range of the
    convolutions' results; they are taken one after another.

    Raises:
        DataError: there is no sample, or the network's values for one are not finite.
    """
    merged = _with_merged_normalisation(onnx.load_model_from_string(model))
    integers: bytes = with_integers(merged, _ranges(merged, samples)).SerializeToString()
    return integers


def _with_merged_normalisation(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model with batch normalisation in the convolutions and constants as initializers."""
    # importing these takes as long as the rest of a command
    import onnx_ir
    from onnx_ir.passes.common import LiftConstantsToInitializersPass
    from onnxscript.rewriter import rewrite
    from onnxscript.rewriter.rules.common import fuse_batchnorm_into_conv_rule

    network = onnx_ir.serde.deserialize_model(model)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(network)
    return onnx_ir.serde.serialize_model(rewrite(network, [fuse_batchnorm_into_conv_rule]))


def _ranges(model: onnx.ModelProto, samples: Iterable[CalibrationSample]) -> dict[str, Range]:
    """Return the range of each activation of a model over the samples."""
    names = activations(model.graph)
    inputs = [value.name for value in model.graph.input]
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    del observed.graph.output[:]
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    session = OnnxRuntimeSession(observed.SerializeToString())
    lows, highs = [], []  # one item a sample, each [activations]
    for sample in samples:
        found = map(_extent, session.run(dict(zip(inputs, sample, strict=True))))
        low, high = zip(*found, strict=True)
        lows.append(low)
        highs.append(high)
    if not highs:
        raise DataError(
            "calibration", "no window has a valid pixel", "give images with valid pixels"
        )
    extents = np.stack([np.min(lows, axis=0), np.max(highs, axis=0)], axis=1).tolist()
    if not np.isfinite(extents).all():
        raise DataError(
            "calibration",
            "the network computes values that are not finite",
            "train the model again",
        )
    return {name: Range(low, high) for name, (low, high) in zip(names, extents, strict=True)}


def _extent(values: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
    """Return the range of nearly all values: a few pixels must not make every step coarse."""
    some = values.ravel()[::_STEP]
    return np.quantile(some, (_OUTSIDE, 1.0 - _OUTSIDE))
