"""An OpenVINO session, for graphs as `lcmap.engines.onnxruntime.OnnxRuntimeSession` takes them.

OpenVINO is optional, and is imported when a graph is first loaded.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy.typing as npt

from lcmap.engines.compute import Arithmetic
from lcmap.errors import NotAModelError, UnavailableError
from lcmap.paths import PathLike
from lcmap.raster.threads import available_threads

TOLERANCE = 1e-5
"""The largest difference from onnxruntime, of a probability, that rounding explains by itself.

Larger differences come from a maximum, or a step of a quantised model, that two roundings put on
different sides: see `lcmap.training.export.Agreement`.
"""

COPIES: dict[Arithmetic, float] = {"float32": 1.4, "int8": 1.4, "bfloat16": 0.8}
"""What OpenVINO holds of the tensors that are alive, as if they were float32. Of 2026.4 were
measured 0.7 to 1.1 in interior tiles, up to 1.3 in those at the border, and half of it in
bfloat16."""

_SETTINGS = {
    "NUM_STREAMS": 1,
    # threads bound to a core wait for it where reading or writing has it
    "ENABLE_CPU_PINNING": False,
}

_CONVERTER = "openvino.tools.ovc"
"""Converts models of other frameworks. On import it reports to openvino's makers that it is used,
and takes as long as the rest."""

# without a hint OpenVINO takes bfloat16 or float16, where a processor has them, without a word
_HINTS: dict[Arithmetic, str] = {"float32": "f32", "int8": "f32", "bfloat16": "bf16"}

logger = logging.getLogger(__name__)


class OpenVinoSession:
    """A loaded network. It cannot be pickled, and runs one tile at a time."""

    def __init__(
        self,
        graph: bytes,
        *,
        arithmetic: Arithmetic = "float32",
        threads: int | None = None,
        subject: PathLike = "the model",
    ) -> None:
        """Load a graph on `threads` cores (default: all it may use).

        It computes in float32, or in int8 where the graph is quantised; in bfloat16 products are
        of 16 bits and sums of 32. `subject` names the model in errors.

        Raises:
            UnavailableError: OpenVINO is not installed.
            NotAModelError: OpenVINO cannot load the graph.
        """
        openvino = _openvino()
        settings = _SETTINGS | {
            "INFERENCE_PRECISION_HINT": _HINTS[arithmetic],
            "INFERENCE_NUM_THREADS": threads or available_threads(),
        }
        core = openvino.Core()
        try:
            compiled = core.compile_model(core.read_model(graph), "CPU", settings)
        except RuntimeError as error:  # the only class of its errors
            raise NotAModelError(
                subject,
                f"OpenVINO {openvino.__version__} cannot load its graph ({error})",
                "choose `engine=onnxruntime`",
            ) from error
        self._subject = subject
        self._request = compiled.create_infer_request()
        self._results = len(compiled.outputs)
        logger.debug("inference by OpenVINO %s in %s", openvino.__version__, arithmetic)

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Return the graph's results for the arrays of its inputs, each [1, C, H, W].

        Raises:
            NotAModelError: OpenVINO cannot run the graph.
        """
        try:
            results = self._request.infer(dict(inputs), share_inputs=True)
        except RuntimeError as error:
            raise NotAModelError(
                self._subject,
                f"OpenVINO {openvino_version()} cannot run it ({error})",
                "choose `engine=onnxruntime`",
            ) from error
        return [results[number] for number in range(self._results)]


def is_importable() -> bool:
    """Tell whether OpenVINO is installed and can be imported."""
    try:
        _openvino()
    except UnavailableError as error:
        logger.debug("%s", error)
        return False
    return True


def check_bfloat16() -> None:
    """Check that OpenVINO is there, and that the processor multiplies bfloat16 by itself.

    OpenVINO would imitate it on other processors with AVX-512, which takes longer than float32.

    Raises:
        UnavailableError: it is not installed, or the processor has no such instructions.
    """
    if "BF16" not in _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise UnavailableError(
            "`precision=bfloat16`",
            "this processor has no instructions for it (avx512_bf16 or amx_bf16)",
            "leave it out, or `precision=int8`",
        )


def openvino_version() -> str:
    """Return the version of OpenVINO that is installed, with its build, as in 2026.4.1-22982.

    Raises:
        UnavailableError: OpenVINO is not installed.
    """
    return "-".join(str(_openvino().__version__).split("-")[:2])


def _openvino() -> ModuleType:
    try:
        with _without_converter():
            return importlib.import_module("openvino")
    except ImportError as error:
        raise UnavailableError(
            "`engine=openvino`",
            f"OpenVINO cannot be imported ({error})",
            "pip install 'lcmap[openvino]', or choose another engine",
        ) from error


@contextmanager
def _without_converter() -> Iterator[None]:
    """Hide what openvino imports with itself where it is there, and has no use for here."""
    if _CONVERTER in sys.modules:
        yield
        return
    sys.modules[_CONVERTER] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_CONVERTER]
