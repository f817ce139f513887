"""What loads and runs the graphs of a model: onnxruntime on CPU or CUDA, OpenVINO on CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from lcmap.engines.names import Arithmetic, EngineName, Provider
from lcmap.engines.onnxruntime import TILES_AT_ONCE, OnnxRuntimeSession, choose_provider
from lcmap.errors import UsageError
from lcmap.graph.float16 import in_half_precision
from lcmap.paths import PathLike


class LoadedGraph(Protocol):
    """A graph that an engine has loaded."""

    def run(self, inputs: dict[str, npt.NDArray[np.float32]]) -> list[npt.NDArray[Any]]:
        """Return the graph's results for each input's scaled pixels, float32 [1, C, H, W]."""


class Engine(NamedTuple):
    """An engine that is there.

    `load` makes a serialised graph ready; `title` says all of the engine that results depend on;
    `tiles_at_once` threads may run a graph and find it faster.
    """

    title: str
    load: Callable[[bytes], LoadedGraph]
    tiles_at_once: int = 1


def choose_engine(
    name: EngineName,
    *,
    provider: Provider,
    threads: int | None,
    subject: PathLike,
    arithmetic: Arithmetic = "float32",
) -> Engine:
    """Return an engine; `subject` names the model in errors.

    int8 is in the graph already, float16 the engine sees to.

    Raises:
        EngineMissingError: OpenVINO is asked for and is not installed.
        ProviderMissingError: CUDA is asked for and is not there.
        UsageError: OpenVINO is asked for on CUDA, or for float16.
    """
    if name == "onnxruntime":
        device = choose_provider(provider)
        load: Callable[[bytes], LoadedGraph]
        load = partial(OnnxRuntimeSession, provider=device, threads=threads, subject=subject)
        if arithmetic == "float16":
            load = partial(_load_in_half_precision, load)
        title = f"onnxruntime {onnxruntime.__version__} on {device}"
        return Engine(title, load, TILES_AT_ONCE[device])
    if provider == "cuda":
        raise UsageError("--engine openvino", "computes on CPU only", "leave out --provider cuda")
    if arithmetic == "float16":
        raise UsageError(
            "--engine openvino", "has no float16 on CPU", "leave out --precision float16"
        )
    from lcmap.engines.openvino import OpenVinoSession, openvino_version

    title = f"openvino {openvino_version()} on cpu"
    return Engine(title, partial(OpenVinoSession, threads=threads, subject=subject))


def _load_in_half_precision(load: Callable[[bytes], LoadedGraph], graph: bytes) -> LoadedGraph:
    return load(in_half_precision(graph))
