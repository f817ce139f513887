"""A STAC item that describes a model with the Machine Learning Model (MLM) extension.

Source: https://stac-extensions.github.io/mlm/v1.5.0/schema.json, STAC 1.1.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lcmap.model_file.deepness import tile_side
from lcmap.model_file.graph import OUTPUT
from lcmap.model_file.metadata import BOUNDS_KEY, ModelInput, ModelMetadata
from lcmap.paths import PathLike
from lcmap.raster.classes import Color, InputKind

MLM_SCHEMA = "https://stac-extensions.github.io/mlm/v1.5.0/schema.json"
STAC_VERSION = "1.1.0"
STAC_DIGEST = "lcmap:digest"
"""What holds the digest of what a document is made of."""

_TASK = "semantic-segmentation"
_DESCRIPTIONS: dict[InputKind, str] = {
    "image": "each band scaled by the image's own 2 % and 98 % quantiles to 0 and 1, without "
    "clipping; value_scaling holds those of the training images",
    "labels": "a label map as one channel per class, 1 where the pixel has it",
    "probabilities": "the probability of each class",
}
_SCALED_ALIKE = (
    "each band scaled by the 2 % and 98 % quantiles of the training images to 0 and 1, without "
    "clipping; value_scaling holds them"
)


def stac_item(
    metadata: ModelMetadata, model: PathLike, created: datetime | None = None
) -> dict[str, Any]:
    """Return the STAC item (JSON values) of a model file; it refers to the file beside it."""
    path = Path(model)
    side = tile_side(metadata) or -1  # -1 is free
    properties: dict[str, Any] = {
        "datetime": (created or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "description": f"Land-cover model of lcmap {metadata.lcmap_version}, "
        f"nomenclature {metadata.nomenclature.title}",
        "mlm:name": f"lcmap {re.sub(r'[^a-zA-Z0-9]+', ' ', path.stem).strip() or 'model'}",
        "mlm:architecture": str(metadata.architecture.get("name", "U-Net")),
        "mlm:tasks": [_TASK],
        "mlm:framework": "ONNX",
        "mlm:input": [_input(model_input, side) for model_input in metadata.inputs],
        "mlm:output": [_output(metadata, side)],
        "bands": [
            {"name": band, "data_type": model_input.dtype}
            | ({} if model_input.gsd is None else {"gsd": model_input.gsd})
            for model_input in metadata.inputs
            for band in model_input.bands
        ],
    }
    hyperparameters = {
        re.sub(r"[^0-9a-zA-Z_.-]", "_", key): value
        for key, value in metadata.training.items()
        if key != BOUNDS_KEY
    }
    if metadata.calibration:
        hyperparameters["calibration"] = metadata.calibration
    if hyperparameters:
        properties["mlm:hyperparameters"] = hyperparameters
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [MLM_SCHEMA],
        "id": path.stem,
        **_place(metadata.training.get(BOUNDS_KEY)),
        "properties": properties,
        "links": [],
        "assets": {
            "model": {
                "href": f"./{quote(path.name)}",
                "title": "ONNX model",
                "type": "application/octet-stream; framework=onnx",
                "roles": ["mlm:model"],
                "mlm:artifact_type": "onnx",
                "bands": properties["bands"],  # STAC 1.1 describes them where the data are
            }
        },
    }


def _place(bounds: object) -> dict[str, Any]:
    """Return where the training tiles are: a geometry and its bbox, or neither."""
    match bounds:
        case [float(west), float(south), float(east), float(north)]:
            ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
            return {
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "bbox": [west, south, east, north],
            }
    return {"geometry": None}


def _input(model_input: ModelInput, side: int) -> dict[str, Any]:
    value: dict[str, Any] = {
        "name": model_input.name,
        "bands": list(model_input.bands),
        "input": {
            "shape": [-1, model_input.channels, *(side >> model_input.level,) * 2],
            "dim_order": [
                "time" if model_input.kind == "series" else "batch",
                "bands",
                "height",
                "width",
            ],
            "data_type": "float32",
        },
        "description": _DESCRIPTIONS[model_input.kind]
        if model_input.normalisation == "quantiles-2-98"
        else _SCALED_ALIKE,
    }
    if model_input.quantiles:
        value["value_scaling"] = [
            {"type": "min-max", "minimum": low, "maximum": high}
            for low, high in model_input.quantiles
        ]
    return value


def _output(metadata: ModelMetadata, side: int) -> dict[str, Any]:
    classes = metadata.nomenclature.classes
    colors = metadata.nomenclature.class_table().colors
    return {
        "name": OUTPUT,
        "tasks": [_TASK],
        "result": {
            "shape": [-1, len(classes), side, side],
            "dim_order": ["batch", "class", "height", "width"],
            "data_type": "float32",
        },
        "classification:classes": [
            described_class(
                index,
                land_cover.short or land_cover.name,
                f"{land_cover.name} (code {land_cover.code} in the map)",
                colors[land_cover.code],
            )
            for index, land_cover in enumerate(classes)
        ],
    }


def described_class(value: int, name: str, description: str, color: Color | None) -> dict[str, Any]:
    """Return a class as the classification extension describes it, which allows few characters in
    a name."""
    found = {
        "value": value,
        "name": re.sub(r"[^0-9A-Za-z_-]+", "-", name),
        "description": description,
    }
    return found if color is None else found | {"color_hint": "{:02x}{:02x}{:02x}".format(*color)}
