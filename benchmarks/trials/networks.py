"""The networks of contenders, and what each costs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lcmap.engines.onnxruntime import OnnxRuntimeSession
from lcmap.errors import UnavailableError
from lcmap.network import LandCoverNetwork, receptive_field
from lcmap.raster.windows import round_up
from lcmap.training.export import exported
from lcmap.training.options import TrainOptions
from lcmap.training.run import make_network
from lcmap.training.samples import TrainingSet
from trials.declaration import Contender, Smp

_SMP_STRIDE = 32
"""Its encoders halve an image five times."""

_LEAST_MARGIN = 128
_TIMED_SIDE = 512
_TIMED_RUNS = 3


class JoinedInputs(nn.Module):
    """A network of one image, which sees side inputs as further bands."""

    def __init__(self, network: nn.Module, stride: int) -> None:
        """Take images whose sides are multiples of the stride."""
        super().__init__()
        self.network = network
        self.stride = stride

    def forward(self, *images: Tensor) -> Tensor:
        """Return scores [N, K, H, W] of images [N, C, H, W]."""
        return self.network(torch.cat(images, dim=1))


def network_of(contender: Contender, data: TrainingSet, seed: int) -> nn.Module:
    """Return a contender's network for this data, with its first weights.

    Raises:
        UnavailableError: segmentation_models_pytorch is not installed, or has no such network.
    """
    torch.manual_seed(seed)
    if contender.smp is not None:
        channels = sum(model_input.channels for model_input in data.inputs)
        return smp_network(contender.smp, channels, len(data.nomenclature))
    options = TrainOptions(size=contender.size, seed=seed)
    return make_network(data, contender.recipe, options)[0]


def smp_network(smp: Smp, channels: int, classes: int) -> nn.Module:
    """Return a network of segmentation_models_pytorch, untrained.

    Raises:
        UnavailableError: as `network_of`.
    """
    try:
        with _torchvision_operators():
            import segmentation_models_pytorch
        make = getattr(segmentation_models_pytorch, smp.architecture)
    except (ImportError, AttributeError) as error:
        raise UnavailableError(
            "segmentation_models_pytorch",
            str(error),
            "the head of benchmarks/study.py says how to install it",
        ) from error
    network = make(smp.encoder, encoder_weights=None, in_channels=channels, classes=classes)
    return JoinedInputs(network, _SMP_STRIDE)


@contextmanager
def _torchvision_operators() -> Iterator[None]:
    """Declare the operators that torchvision registers on import, where its library is missing."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        _torchvision_operators.library = library  # it lives as long as its operators
    yield


def margin_of(network: nn.Module) -> int:
    """Return the pixels around a window that its classes are predicted with.

    At least as far as lcmap's network sees, so that windows make no difference; the others see
    further than any margin.
    """
    own = isinstance(network, LandCoverNetwork)
    sees = receptive_field(network.architecture) if own else 0
    return round_up(max(sees, _LEAST_MARGIN), network.stride)


def costs(network: nn.Module, channels: Sequence[int], threads: int | None) -> dict[str, Any]:
    """Return parameters, multiplications a pixel, and processor time a pixel in onnxruntime.

    The time is the shortest of a few runs of one image by the graph as it is exported, or None
    with the reason where it cannot be; without `threads` it is not measured.
    """
    if isinstance(network, LandCoverNetwork):
        network = network.merged()
    network = network.to("cpu").eval()
    side = round_up(_TIMED_SIDE, network.stride)
    images = tuple(torch.rand(1, c, side, side) for c in channels)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(*images)
    found: dict[str, Any] = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "mac_per_pixel": counter.get_total_flops() / 2 / side**2,
        "predict_ns_per_pixel": None,
    }
    if threads is None:
        return found
    try:
        found["predict_ns_per_pixel"] = _nanoseconds(network, images, threads) / side**2
    except Exception as error:  # a network that cannot be exported can be scored all the same
        found["not_timed"] = f"{type(error).__name__}: {error}"
    return found


def _nanoseconds(network: nn.Module, images: tuple[Tensor, ...], threads: int) -> int:
    """Return the least processor time that a network takes for images, after one run before."""
    inputs = {f"image{number}": image for number, image in enumerate(images)}
    channels = {name: image.shape[1] for name, image in inputs.items()}
    graph = exported(network, channels, network.stride)
    session = OnnxRuntimeSession(graph, threads=threads)
    times = []
    for _ in range(_TIMED_RUNS + 1):
        started = time.process_time_ns()
        session.run({name: image.numpy() for name, image in inputs.items()})
        times.append(time.process_time_ns() - started)
    return min(times[1:])
