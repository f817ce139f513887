"""What training computes again and again on CUDA, recorded once and replayed.

A step of a small network starts hundreds of short kernels, and takes as long as the processor needs
to start them. A CUDA graph starts all that were recorded at once. What cannot be recorded is
computed operation by operation, with the same results but for rounding.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lcmap.training.precision import autocast

logger = logging.getLogger(__name__)

_RUNS_BEFORE = 3
"""So many, as PyTorch advises, let its libraries choose algorithms and take their memory."""


class Passes:
    """A network's passes in training, forward and, by autograd, backward.

    On CUDA they are recorded for images of the shapes that come first, where that is wanted.
    """

    def __init__(self, network: nn.Module, *, recorded: bool) -> None:
        """Pass through this network, in training."""
        self._network = network
        self._to_record = recorded
        self._recorded: tuple[list[torch.Size], bool] | None = None
        self._replayed: Callable[..., Any]

    def __call__(self, images: tuple[Tensor, ...], bfloat16: bool) -> Tensor:
        """Return scores [N, K, H, W] of images, one for each input of the network.

        Convolutions are in bfloat16 or in float32.
        """
        if self._to_record:
            self._record(images, bfloat16)
        if self._recorded == (_shapes(images), bfloat16):
            found: Tensor = self._replayed(*images)
            return found
        with autocast(images[0].device, bfloat16):
            found = self._network(*images)
        return found

    def _record(self, images: tuple[Tensor, ...], bfloat16: bool) -> None:
        """Record the passes of images of these shapes; the network's state stays as it is."""
        self._to_record = False
        # recording runs the passes a few times, which moves the statistics of normalisation
        before = [buffer.clone() for buffer in self._network.buffers()]
        try:
            self._replayed = torch.cuda.make_graphed_callables(
                _InAutocast(self._network, bfloat16), _copies(images), _RUNS_BEFORE
            )
            self._recorded = _shapes(images), bfloat16
            _let_gradients_be_summed_on_the_stream_of_the_recording()
        except RuntimeError as error:
            logger.debug("the passes of the network cannot be recorded: %s", error)
        with torch.no_grad():
            for buffer, value in zip(self._network.buffers(), before, strict=True):
                buffer.copy_(value)


class _InAutocast(nn.Module):
    def __init__(self, network: nn.Module, bfloat16: bool) -> None:
        super().__init__()
        self.network = network
        self._bfloat16 = bfloat16

    def forward(self, *images: Tensor) -> Tensor:
        # with a cache a replay would read what was cast, once, before the recording
        with torch.autocast("cuda", torch.bfloat16, enabled=self._bfloat16, cache_enabled=False):
            found: Tensor = self.network(*images)
        return found


def _let_gradients_be_summed_on_the_stream_of_the_recording() -> None:
    """Keep PyTorch from warning, once in a process, of what any recorded network does."""
    warn = getattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch", None)
    if warn is not None:  # older versions do not warn
        warn(False)


Function = Callable[[Sequence[Tensor]], list[Tensor]]


class Recorded:
    """A function of tensors, without gradients, whose results last until it is called again.

    It is recorded for tensors on CUDA, of the shapes that come first.
    """

    def __init__(self, function: Function) -> None:
        """Compute what this function does, which depends on nothing but its tensors."""
        self._function = function
        self._graph: torch.cuda.CUDAGraph | None = None
        self._to_record = True

    def __call__(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the results."""
        if self._to_record and tensors and tensors[0].device.type == "cuda":
            self._record(tensors)
        if self._graph is None or _shapes(tensors) != _shapes(self._inputs):
            return self._function(tensors)
        torch._foreach_copy_(self._inputs, list(tensors))
        self._graph.replay()
        return self._results

    def _record(self, tensors: Sequence[Tensor]) -> None:
        self._to_record = False
        self._inputs = _copies(tensors)
        try:
            beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            beside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(beside):
                for _ in range(_RUNS_BEFORE):
                    self._function(self._inputs)
            torch.cuda.current_stream().wait_stream(beside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._results = self._function(self._inputs)
            self._graph = graph
        except RuntimeError as error:
            logger.debug("a function cannot be recorded: %s", error)


def _shapes(tensors: Sequence[Tensor]) -> list[torch.Size]:
    return [tensor.shape for tensor in tensors]


def _copies(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return tensors that a graph may keep, as those lie in memory."""
    return tuple(torch.empty_like(tensor).copy_(tensor) for tensor in tensors)
