"""An onnxruntime session that keeps its memory flat."""

from __future__ import annotations

import logging
import os
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnxruntime

from lcmap.errors import NotAModelError, ProviderMissingError

Provider = Literal["auto", "cpu", "cuda"]

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_ONLY_ERRORS = 3

logger = logging.getLogger(__name__)


def available_threads() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Session:
    """A loaded network. It does not pickle: send its path and open it there."""

    def __init__(
        self, graph: bytes, *, provider: Provider = "auto", threads: int | None = None
    ) -> None:
        """Load a graph on a CUDA device, or on `threads` cores (default: all it may use).

        Raises:
            ProviderMissingError: CUDA is asked for and is not there.
            NotAModelError: onnxruntime cannot load the graph.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or available_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = _ONLY_ERRORS
        # planning all tensors in one block saves no time and takes twice the memory
        options.enable_mem_pattern = False
        # threads that wait for work leave the cores to reading and writing
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=_providers(provider)
            )
        except Exception as error:  # onnxruntime has an exception class for each status
            if not type(error).__module__.startswith("onnxruntime"):
                raise
            raise NotAModelError(
                "the model", f"onnxruntime cannot load its graph ({error})", "export it again"
            ) from error
        used = self._session.get_providers()[0]
        if provider == "cuda" and used != _CUDA:
            raise _no_cuda()
        self.provider = "cuda" if used == _CUDA else "cpu"
        logger.debug("inference on %s", self.provider)

    def run(self, entries: dict[str, npt.NDArray[np.float32]]) -> list[npt.NDArray[Any]]:
        """Return the graph's results for each entry's scaled pixels, float32 [1, C, H, W]."""
        results: list[npt.NDArray[Any]] = self._session.run(None, entries)
        return results


def _providers(provider: Provider) -> list[Any]:
    # the default doubles an arena that has to grow, and keeps it
    growth = {"arena_extend_strategy": "kSameAsRequested"}
    if provider == "cpu":
        return [(_CPU, growth)]
    if _CUDA not in onnxruntime.get_available_providers():
        if provider == "cuda":
            raise _no_cuda()
        return [(_CPU, growth)]
    # TF32 keeps 10 of 23 bits, so results would depend on the shape of the tile
    return [(_CUDA, growth | {"use_tf32": "0"}), (_CPU, growth)]


def _no_cuda() -> ProviderMissingError:
    return ProviderMissingError(
        "--provider cuda", "onnxruntime finds no CUDA device", "install onnxruntime-gpu, or use cpu"
    )
