"""The checkpoint of a run that has not ended, beside the model to be."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from lcmap.errors import CheckpointError
from lcmap.paths import PathLike
from lcmap.raster.writing import atomic_path

FORMAT_VERSION = 3


def checkpoint_path(model: PathLike) -> Path:
    """Return where the checkpoint of a model's run is: model.onnx -> model.checkpoint.pt."""
    return Path(model).with_suffix(".checkpoint.pt")


def write_checkpoint(path: Path, settings: dict[str, Any], state: dict[str, Any]) -> None:
    """Write a run's state (tensors and plain values) and the settings it was begun with.

    Raises:
        CannotWriteError: as `atomic_path`.
    """
    # written to a file by torch itself, a full disk would be an error without a cause
    content = io.BytesIO()
    torch.save({"version": FORMAT_VERSION, "settings": settings, "state": state}, content)
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_bytes(content.getbuffer())


def read_checkpoint(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a run that was begun with these settings.

    Raises:
        CheckpointError: no checkpoint of lcmap, or damaged, or of a run with other settings.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        version = content["version"]
        begun_with, state = dict(content["settings"]), dict(content["state"])
    # of a damaged file, torch's reader raises whatever it comes across
    except Exception as error:
        raise CheckpointError(
            path, "is not a checkpoint of lcmap, or is damaged", "remove it to start again"
        ) from error
    if version != FORMAT_VERSION:
        raise CheckpointError(
            path, "was written by another version of lcmap", "remove it to start again"
        )
    other = _difference(begun_with, settings)
    if other is not None:
        name, then, now = other
        raise CheckpointError(
            path,
            f"its run was begun with {name} {then}, this one has {now}",
            "use the same options, or `overwrite` without `resume` to start again",
        )
    return state


def _difference(then: dict[str, Any], now: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """Return the name of the first setting that differs, and its values; one left out is None."""
    for name in {**now, **then}:
        before, after = then.get(name), now.get(name)
        if before != after:
            if isinstance(before, dict) and isinstance(after, dict):
                inner = _difference(before, after)
                return inner and (f"{name} {inner[0]}", *inner[1:])
            return name, before, after
    return None
