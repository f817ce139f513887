"""What loads and runs the graphs of a model: onnxruntime on CPU or CUDA, OpenVINO on CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import onnxruntime

from lcmap.errors import UsageError
from lcmap.inference.predictor import LoadedGraph
from lcmap.inference.session import Provider, Session, choose_provider

EngineName = Literal["onnxruntime", "openvino"]


class Engine(NamedTuple):
    """An engine that is there.

    `load` makes a serialised graph ready; `title` says all of the engine that results depend on.
    """

    title: str
    load: Callable[[bytes], LoadedGraph]


def choose_engine(
    name: EngineName,
    *,
    provider: Provider,
    threads: int | None,
    subject: str | os.PathLike[str],
) -> Engine:
    """Return an engine; `subject` names the model in errors.

    Raises:
        EngineMissingError: OpenVINO is asked for and is not installed.
        ProviderMissingError: CUDA is asked for and is not there.
        UsageError: OpenVINO is asked for on CUDA.
    """
    if name == "onnxruntime":
        device = choose_provider(provider)
        load = partial(Session, provider=device, threads=threads, subject=subject)
        return Engine(f"onnxruntime {onnxruntime.__version__} on {device}", load)
    if provider == "cuda":
        raise UsageError("--engine openvino", "computes on CPU only", "leave out --provider cuda")
    from lcmap.inference.openvino_session import OpenVinoSession, openvino_version

    title = f"openvino {openvino_version()} on cpu"
    return Engine(title, partial(OpenVinoSession, threads=threads, subject=subject))
