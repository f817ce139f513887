"""Export of a trained network to ONNX, and how far the two agree."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir
import onnxruntime
import onnxscript.optimizer
import torch
from numpy.typing import NDArray
from onnx_ir.passes.common import (
    ClearMetadataAndDocStringPass,
    CommonSubexpressionEliminationPass,
    RemoveUnusedNodesPass,
)
from torch import Tensor, nn

from lcmap.graph.classification import Classification
from lcmap.model_file.graph import OUTPUT, input_tensors
from lcmap.network import LandCoverNetwork

WEIGHT_PREFIX = "network."
"""Before the names that weights have in `LandCoverNetwork.state_dict`, in the graph."""

TOLERANCE = 1e-4
"""The largest difference of a probability that rounding explains by itself."""

MOST_APART = 1e-2
"""The share of pixels that may be beyond it, see `Agreement`; another rule for ties moves most."""

_OPSET = 20
_DATES = 3
"""Of a series, while a network is traced."""
_PLAIN = Classification()


class _WithSoftmax(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *images: Tensor) -> Tensor:
        """Return probabilities [N, K, H, W]."""
        return torch.softmax(self.network(*images), dim=1)


def probabilities_of(scores: Tensor, classification: Classification) -> Tensor:
    """Return probabilities [N, K, H, W] of scores [N, K, H, W], as `with_classification` says."""
    temperatures, absent = classification
    if absent:
        scores = scores.index_fill(1, torch.tensor(absent, device=scores.device), -torch.inf)
    if temperatures is not None:
        of_winner = scores.new_tensor(temperatures)[scores.argmax(dim=1, keepdim=True)]
        scores = scores / of_winner  # [N, 1, H, W] each
    return torch.softmax(scores, dim=1)


def to_onnx(network: LandCoverNetwork, inputs: Sequence[str]) -> bytes:
    """Return a network as an ONNX model with one input per input and softmax inside.

    Branches beside convolutions are merged into them. Batch, height and width are free, the latter
    two multiples of the stride. A series has three inputs, see `input_tensors`, and a free number
    of dates; beside it the batch is one image. The weights keep the names that they have in the
    state dict of the network without branches, after `WEIGHT_PREFIX`.
    """
    channels = dict(zip(inputs, network.input_channels, strict=True))
    series = [inputs[number] for number in network.architecture.series]
    return exported(network.merged(), channels, network.stride, network.levels, series)


def exported(
    network: nn.Module,
    inputs: Mapping[str, int],
    stride: int,
    levels: Sequence[int] = (),
    series: Collection[str] = (),
) -> bytes:
    """Return any network as `to_onnx` does, traced with images of some strides.

    `inputs` are the channels of each input, by the name that it gets; heights and widths of one of
    level k are 1/2^k of the image's. `series` are the names of those that are series.
    """
    network = network.to("cpu").eval()
    level_of = dict(zip(inputs, levels or [0] * len(inputs), strict=True))
    images: list[Tensor] = []
    names: list[str] = []
    for name, c in inputs.items():
        of_input = input_tensors(name, is_series=name in series)
        names += of_input
        side = 4 * stride >> level_of[name]
        count = _DATES if name in series else 1 if series else 2
        shapes = (count, c, side, side), (count, 1, side, side), (count, 1, 1, 1)
        images += [torch.zeros(shape) for shape, _ in zip(shapes, of_input, strict=False)]
    free = {"images": _free_sizes(stride, level_of, series)}
    return traced(_WithSoftmax(network), tuple(images), names, free)


def traced(
    module: nn.Module, examples: tuple[Tensor, ...], inputs: Sequence[str], free: Mapping[str, Any]
) -> bytes:
    """Return the ONNX model of any module, whose result is called OUTPUT.

    `free` says which dimensions of the module's arguments are free, as `torch.export` takes it.
    """
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            examples,
            dynamo=True,
            external_data=False,
            verbose=False,
            # the exporter's own optimisation would merge batch normalisation into the kernels,
            # after which the weights could not be trained further; onnxruntime does it on loading
            optimize=False,
            opset_version=_OPSET,
            input_names=list(inputs),
            output_names=[OUTPUT],
            dynamic_shapes=dict(free),
        )
        assert program is not None
        model: Any = program.model
        onnxscript.optimizer.fold_constants(model)
        for simplify in (
            CommonSubexpressionEliminationPass(),
            RemoveUnusedNodesPass(),
            ClearMetadataAndDocStringPass(),
        ):
            simplify(model)
        _declare_kernels(model.graph)
        serialized: bytes = program.model_proto.SerializeToString()
    return serialized


def _declare_kernels(graph: ir.Graph) -> None:
    """Let each convolution say its kernel's sides, which earlier exporters left out.

    They are known from its weights, but not once these are integers.
    """
    for node in graph:
        weights = node.inputs[1] if node.op_type in ("Conv", "ConvTranspose") else None
        if weights is not None and weights.const_value is not None:
            sides = weights.const_value.shape.numpy()[2:]
            node.attributes.setdefault("kernel_shape", ir.AttrInt64s("kernel_shape", sides))


def _free_sizes(
    stride: int, levels: Mapping[str, int], series: Collection[str]
) -> tuple[dict[int, Any], ...]:
    """Return which dimensions of each tensor are free, and how they hang together."""
    free = torch.export.Dim.DYNAMIC
    if not any(levels.values()) and not series:
        return tuple({0: free, 2: free, 3: free} for _ in levels)
    rows, columns = (torch.export.Dim(name, min=2) for name in ("rows", "columns"))
    found: list[dict[int, Any]] = []
    for name, level in levels.items():
        sides = {2: (stride >> level) * rows, 3: (stride >> level) * columns}
        if name in series:
            dates = {0: torch.export.Dim(f"dates_{name}")}
            found += [dates | sides, dates | sides, dates]
        else:
            found.append(sides if series else {0: free} | sides)
    return tuple(found)


class Agreement(NamedTuple):
    """How far onnxruntime and PyTorch are apart.

    `difference` is the largest of a probability where both chose the same maxima; `apart` is the
    share of pixels beyond `TOLERANCE`, where a maximum that is tied but for rounding was unpooled
    to another pixel; `largest` is the largest difference of all.
    """

    difference: float
    apart: float
    largest: float

    @property
    def close(self) -> bool:
        """Whether rounding explains what is apart."""
        return self.apart <= MOST_APART

    @property
    def text(self) -> str:
        """What was found, in one line."""
        if self.close:
            return (
                f"onnxruntime agrees with PyTorch to {self.difference:.1g}, "
                f"{100 * self.apart:.2g} % of pixels apart"
            )
        return (
            f"onnxruntime {onnxruntime.__version__} and PyTorch {torch.__version__} differ by up "
            f"to {self.largest:.2g} in a probability, in {100 * self.apart:.1f} % of pixels"
        )


def verify(
    model: bytes,
    network: LandCoverNetwork,
    samples: Sequence[tuple[NDArray[np.float32], ...]],
    classification: Classification = _PLAIN,
) -> Agreement:
    """Return how far an exported model is from the network on samples, all pixels together.

    A sample is one image [N, C, H, W] per input. The model has the `classification`.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    reference = network.to("cpu").eval()
    differences = []
    for images in samples:
        with torch.inference_mode():
            scores = reference(*map(torch.from_numpy, images))
        expected = probabilities_of(scores, classification).numpy()
        (found,) = session.run(None, dict(zip(names, images, strict=True)))
        differences.append(np.abs(found - expected).max(axis=1).ravel())
    all_pixels = np.concatenate(differences)
    alike = all_pixels <= TOLERANCE  # False for NaN
    return Agreement(
        difference=float(all_pixels[alike].max(initial=0.0)),
        apart=1.0 - float(alike.mean()),
        largest=float(all_pixels.max()),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch.onnx from saying that torchvision, which lcmap does not use, is missing."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # from inside torch.export, on Python's copying of its own trees
            warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)`")
            # inputs of one size share the names of their axes
            warnings.filterwarnings("ignore", message=r"# The axis name: .* will not be used")
            yield
    finally:
        logger.setLevel(level)
