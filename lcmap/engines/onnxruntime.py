"""An onnxruntime session that keeps its memory flat."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import TensorProto, helper

from lcmap.engines.compute import Provider
from lcmap.errors import NotAModelError, UnavailableError
from lcmap.paths import PathLike
from lcmap.raster.threads import available_threads

ChosenProvider = Literal["cpu", "cuda"]

TILES_AT_ONCE: dict[ChosenProvider, int] = {"cpu": 1, "cuda": 2}
"""How many tiles are computed at once. On CUDA one is copied there while the other is computed; on
a processor two would share the same cores and take twice the memory."""

COPIES = 3.0
"""What onnxruntime holds of the tensors that are alive: it lays them out anew for its kernels and
leaves gaps between them. Of 1.32 were measured 1.1 to 2.6 in interior tiles, up to 2.9 in those at
the border."""

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_ONLY_FATAL = 4
"""What onnxruntime raises is said in one line; it would log it before."""

logger = logging.getLogger(__name__)


class OnnxRuntimeSession:
    """A loaded network. It cannot be pickled: send its path and open it there.

    Several threads may run it at once.
    """

    def __init__(
        self,
        graph: bytes,
        *,
        provider: ChosenProvider = "cpu",
        threads: int | None = None,
        subject: PathLike = "the model",
    ) -> None:
        """Load a graph on a CUDA device, or on `threads` cores (default: all it may use).

        `subject` names the model in errors.

        Raises:
            UnavailableError: there is no CUDA device.
            NotAModelError: onnxruntime cannot load the graph.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or available_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = _ONLY_FATAL
        # planning all tensors in one block saves no time and takes twice the memory
        options.enable_mem_pattern = False
        # threads that wait for work leave the cores to reading and writing
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._subject = subject
        with _refusing(subject, "load"):
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=_providers(provider)
            )
        used = self._session.get_providers()[0]
        if provider == "cuda" and used != _CUDA:
            raise _no_cuda()
        self._on_device = provider == "cuda"
        self._own = threading.local()

    def run(self, inputs: dict[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Return the graph's results for the arrays of its inputs, each [1, C, H, W].

        Raises:
            NotAModelError: onnxruntime cannot run the graph.
        """
        with _refusing(self._subject, "run"):
            if self._on_device:
                if not hasattr(self._own, "bound"):
                    self._own.bound = BoundRun(self._session, "cuda")
                bound: BoundRun = self._own.bound
                return bound.run(inputs)
            results: list[npt.NDArray[Any]] = self._session.run(None, inputs)
            return results


@contextmanager
def _refusing(subject: PathLike, what: str) -> Iterator[None]:
    """Turn what onnxruntime raises of a graph into one error that names the file."""
    try:
        yield
    except Exception as error:  # onnxruntime has an exception class for each status
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        raise NotAModelError(
            subject, f"onnxruntime cannot {what} it ({error})", "export it again"
        ) from error


class BoundRun:
    """Runs of a session whose inputs and results are on a device, one run at a time.

    Their memory there is kept from one run to the next of the same size.
    """

    def __init__(self, session: onnxruntime.InferenceSession, device: ChosenProvider) -> None:
        """Run a session on the device that it was loaded on."""
        self._session = session
        self._device = device
        self._inputs: dict[str, onnxruntime.OrtValue] = {}

    def run(self, inputs: dict[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Return the graph's results for the arrays of its inputs, each [1, C, H, W]."""
        held = {name: tuple(value.shape()) for name, value in self._inputs.items()}
        if held == {name: pixels.shape for name, pixels in inputs.items()}:
            for name, pixels in inputs.items():
                self._inputs[name].update_inplace(np.ascontiguousarray(pixels))
        else:
            self._bind(inputs)
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        results: list[npt.NDArray[Any]] = self._binding.copy_outputs_to_cpu()
        return results

    def _bind(self, inputs: dict[str, npt.NDArray[Any]]) -> None:
        self._binding = self._session.io_binding()
        for name, pixels in inputs.items():
            self._inputs[name] = onnxruntime.OrtValue.ortvalue_from_numpy(pixels, self._device)
            self._binding.bind_ortvalue_input(name, self._inputs[name])
        for result in self._session.get_outputs():
            self._binding.bind_output(result.name, self._device)


def choose_provider(provider: Provider) -> ChosenProvider:
    """Return the device that computes: for "auto" CUDA where there is a device.

    Raises:
        UnavailableError: CUDA is chosen and is not there.
    """
    if provider == "cpu":
        return "cpu"
    if _CUDA in onnxruntime.get_available_providers():
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
        graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "probe", [x], [y])
        probe = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        try:
            OnnxRuntimeSession(probe.SerializeToString(), provider="cuda")
            return "cuda"
        except UnavailableError:
            pass
    if provider == "cuda":
        raise _no_cuda()
    return "cpu"


def _providers(device: ChosenProvider) -> list[Any]:
    # the default doubles an arena that has to grow, and keeps it
    growth = {"arena_extend_strategy": "kSameAsRequested"}
    if device == "cpu":
        return [(_CPU, growth)]
    # TF32 keeps 10 of 23 bits, so results would depend on the shape of the tile; to try all
    # algorithms of a convolution takes longer, shape by shape, than the best of them saves
    cuda = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
    return [(_CUDA, growth | cuda), (_CPU, growth)]


def _no_cuda() -> UnavailableError:
    return UnavailableError(
        "`provider=cuda`",
        "onnxruntime finds no CUDA device",
        "install onnxruntime-gpu, or choose cpu",
    )
