"""What a run was carried out by: processor, libraries, version of the code."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

_LIBRARIES = ("numpy", "torch", "onnxruntime", "lcmap")
_FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16")
"""Those that decide which kernels are taken."""


@cache
def machine(threads: int, device: str = "cpu") -> dict[str, Any]:
    """Return it as JSON values; `device` is what trained, a type of PyTorch's."""
    return {
        "threads": threads,
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "processor": _of_processor("model name"),
        "flags": [flag for flag in _FLAGS if flag in _of_processor("flags").split()],
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "commit": _commit(),
    }


def _of_processor(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not on Linux
        return platform.processor()
    values = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in values if key.strip() == name), "")


def _commit() -> str | None:
    """Return the commit of the code, with "+" where it was changed since; None outside git."""
    here = Path(__file__).resolve().parent
    try:
        said = [
            subprocess.run(
                ["git", "-C", here, *words], check=True, text=True, capture_output=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    return said[0] + "+" * bool(said[1])
