"""What loads and runs the graphs of a model: onnxruntime on CPU or CUDA, OpenVINO on CPU.

OpenVINO is faster on processors, and is taken there where it is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy.typing as npt
import onnx
import onnxruntime

from lcmap.engines.compute import Arithmetic, Compute
from lcmap.engines.onnxruntime import (
    COPIES,
    TILES_AT_ONCE,
    ChosenProvider,
    OnnxRuntimeSession,
    choose_provider,
)
from lcmap.engines.openvino import COPIES as OPENVINO_COPIES
from lcmap.engines.openvino import OpenVinoSession, check_bfloat16, is_importable, openvino_version
from lcmap.errors import UsageError
from lcmap.graph.float16 import in_half_precision
from lcmap.paths import PathLike


class LoadedGraph(Protocol):
    """A graph that an engine has loaded."""

    def run(self, inputs: dict[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Return the graph's results for the arrays of its inputs, each [1, C, H, W]."""


LARGEST_BLOCKS: dict[ChosenProvider, int] = {"cpu": 3072, "cuda": 1536}
"""The largest side of an output window: larger ones win little, and stopping a run waits for one
tile. The memory of a CUDA device is not that which a user gives."""

_BESIDE = 1
"""Threads of what runs beside the network, which takes the cores."""


def as_it_is(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph that is given."""
    return graph


class Engine(NamedTuple):
    """An engine that is available.

    `load` makes a serialised graph ready, which `converted` has brought to the arithmetic that it
    computes in; `load_beside` one that another thread runs meanwhile, on the processor in float32.
    `title` names everything about the engine that results depend on; `tiles_at_once` is how many
    threads run a graph at once to be fastest; `copies` is the memory that it takes for the tensors
    of a tile, as a multiple of theirs, and `largest_block` the side of the largest output window
    that it should have. One that is `padded` is right for the graph of the model file alone.
    """

    title: str
    load: Callable[[bytes], LoadedGraph]
    load_beside: Callable[[bytes], LoadedGraph]
    tiles_at_once: int = 1
    converted: Callable[[onnx.ModelProto], onnx.ModelProto] = as_it_is
    padded: bool = False
    copies: float = COPIES
    largest_block: int = LARGEST_BLOCKS["cpu"]


def choose_engine(compute: Compute, arithmetic: Arithmetic, subject: PathLike) -> Engine:
    """Return the engine that a user chose, computing in `arithmetic`.

    `subject` names the model in errors. A graph in int8 is int8 as it is; for 16-bit floats the
    engine converts a float32 graph.

    Raises:
        UnavailableError: OpenVINO is needed and is not installed; CUDA is chosen and is not there;
            the processor has no bfloat16.
        UsageError: the engine does not compute in that, or on that device.
    """
    if compute.engine == "openvino" and compute.provider == "cuda":
        raise UsageError("`engine=openvino`", "computes on CPU only", "leave out `provider=cuda`")
    device = "cpu" if compute.engine == "openvino" else choose_provider(compute.provider)
    if _is_for_openvino(compute, arithmetic, device):
        return _openvino(compute, arithmetic, subject)
    load: Callable[[bytes], LoadedGraph]
    load = partial(OnnxRuntimeSession, provider=device, threads=compute.threads, subject=subject)
    beside = partial(OnnxRuntimeSession, threads=_BESIDE, subject=subject)
    converted = in_half_precision if arithmetic == "float16" else as_it_is
    title = f"onnxruntime {onnxruntime.__version__} on {device}"
    # a processor imitates float16, and rounds a value on one way to a comparison, not on another
    imitated = arithmetic == "float16" and device == "cpu"
    return Engine(
        title, load, beside, TILES_AT_ONCE[device], converted, padded=imitated,
        largest_block=LARGEST_BLOCKS[device],
    )  # fmt: skip


def _is_for_openvino(compute: Compute, arithmetic: Arithmetic, device: ChosenProvider) -> bool:
    """Tell which engine computes; onnxruntime has no bfloat16 on processors, OpenVINO no float16.

    Raises:
        UsageError: the engine that was named has no bfloat16.
    """
    if compute.engine == "openvino":
        return True
    if arithmetic == "bfloat16":
        if device == "cuda":
            raise UsageError(
                "`precision=bfloat16`", "is for processors", "`provider=cpu` or `precision=float16`"
            )
        if compute.engine == "onnxruntime":
            raise UsageError(
                "`precision=bfloat16`", "needs OpenVINO", "leave out `engine=onnxruntime`"
            )
        return True
    automatic = compute.engine == "auto" and device == "cpu" and arithmetic != "float16"
    return automatic and is_importable()


def _openvino(compute: Compute, arithmetic: Arithmetic, subject: PathLike) -> Engine:
    if arithmetic == "float16":
        raise UsageError(
            "`engine=openvino`", "has no float16 on CPU", "leave out `precision=float16`"
        )
    if arithmetic == "bfloat16":
        check_bfloat16()
    title = f"openvino {openvino_version()} on cpu"
    load = partial(OpenVinoSession, arithmetic=arithmetic, threads=compute.threads, subject=subject)
    beside = partial(OpenVinoSession, threads=_BESIDE, subject=subject)
    return Engine(title, load, beside, copies=OPENVINO_COPIES[arithmetic])
