"""Writing a model: the ONNX graph and what it says of itself, in one file."""

from __future__ import annotations

import json
import math
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import onnx

from lcmap.errors import UsageError
from lcmap.model_file.deepness import deepness_keys, tile_side
from lcmap.model_file.graph import check_graph, set_side
from lcmap.model_file.metadata import ModelMetadata
from lcmap.model_file.reading import METADATA_KEY
from lcmap.model_file.stac import STAC_DIGEST, stac_item
from lcmap.paths import PathLike
from lcmap.raster.destination import Stream, stream_at
from lcmap.raster.making import MEMBER, current_digest
from lcmap.raster.output_set import OutputSet
from lcmap.raster.writing import atomic_path, check_output

_IR_VERSION = 9
"""Of ONNX 1.15, with operators up to set 20."""


def write_model(
    graph: bytes | PathLike,
    metadata: ModelMetadata,
    destination: PathLike,
    *,
    overwrite: bool = False,
    stac: bool = False,
    within: OutputSet | None = None,
) -> None:
    """Write an exported ONNX model (bytes or a file) with its metadata to `destination`.

    Metadata that the graph carried before is replaced. The file is one that Deepness loads: its
    version is one that onnxruntime 1.17 reads, and a model of one image declares the plugin's size
    of tiles; `load_graph` leaves the size free. With `stac` a STAC item is written beside it, see
    `model_paths`; both appear together, and with the rest of a set `within` that they are.

    Raises:
        NotAModelError: the graph is not what the metadata says.
        OutputExistsError, CannotWriteError, LockedError: as `raster.writing.atomic_path`.
    """
    if isinstance(graph, bytes):
        model, subject = onnx.load_model_from_string(graph), os.fspath(destination)
    else:
        model, subject = onnx.load(graph, load_external_data=False), os.fspath(graph)
    check_graph(model, metadata, subject)
    values = _without_nan(metadata.to_dict())
    keys = {METADATA_KEY: json.dumps(values, ensure_ascii=False, allow_nan=False)}
    del model.metadata_props[:]
    keys |= deepness_keys(metadata) | current_digest(MEMBER)
    for key, value in keys.items():
        model.metadata_props.add(key=key, value=value)
    side = tile_side(metadata)
    if side is not None:
        set_side(model, side)
    model.ir_version = min(model.ir_version, _IR_VERSION)
    model.producer_name = "lcmap"
    model.producer_version = metadata.lcmap_version

    paths = model_paths(destination, stac=stac)
    alone = OutputSet(paths, overwrite=overwrite, part_of_another=True)
    with nullcontext(within) if within else alone as files:
        for path in paths:
            check_output(path, overwrite=overwrite or files.overwrite)
        with atomic_path(destination, overwrite=overwrite, within=files) as temporary:
            temporary.write_bytes(model.SerializeToString())
        if stac:
            item = _without_nan(stac_item(metadata, destination))
            item["properties"] |= current_digest(STAC_DIGEST)
            text = json.dumps(item, indent=2, ensure_ascii=False)
            with atomic_path(paths[1], overwrite=overwrite, within=files) as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")


def model_paths(model: PathLike, *, stac: bool) -> list[PathLike]:
    """Return the files that a model is written to: with a STAC item, that one beside it."""
    return [model, stac_item_path(model)] if stac else [model]


def check_model_path(path: PathLike) -> None:
    """Check that a path is one to write a model to.

    Raises:
        UsageError: it is standard output, or its name does not end in .onnx.
    """
    if stream_at(path) == Stream(1):
        raise UsageError(
            "`output`", "a model has other files beside it, so it needs a name", "name a .onnx file"
        )
    if Path(path).suffix != ".onnx":
        raise UsageError(
            os.fspath(path), "a model's name ends in .onnx", f"try {Path(path).stem}.onnx"
        )


def _without_nan(value: Any) -> Any:
    """Return JSON values with null for NaN and infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def stac_item_path(model: PathLike) -> Path:
    """Return the path of a model's STAC item: model.onnx -> model.stac.json."""
    return Path(model).with_suffix(".stac.json")
