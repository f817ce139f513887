"""Which device computes, and in which number format."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch

from lcmap.errors import UsageError

DeviceName = Literal["auto", "cpu", "cuda"]


def choose_device(wanted: DeviceName) -> torch.device:
    """Return the device; auto takes CUDA where it is there.

    Raises:
        UsageError: CUDA was asked for and is not there.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise UsageError("`device=cuda`", "PyTorch finds no CUDA device", "use `device=cpu`")
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def computes_bfloat16(device: torch.device) -> bool:
    """Tell whether a device multiplies bfloat16 faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(device: torch.device, bfloat16: bool) -> AbstractContextManager[None]:
    """Return a context in which convolutions compute in bfloat16, weights staying float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)
