"""The metadata keys with which QGIS's Deepness plugin runs a model by itself.

Source: Deepness, "Adding metadata to ONNX model" and its class ModelBase. Each value is a JSON
string. The plugin divides pixels by 255 and then standardises: (x / 255 - mean) / std.
"""

from __future__ import annotations

import json

from lcmap.model_file.metadata import ModelInput, ModelMetadata

_TILE_SIZE = 512
_OVERLAP_PERCENT = 25
_FLATTENING = 1e12
"""A standard deviation that turns a band without contrast into 0, as lcmap does."""


def tile_side(metadata: ModelMetadata) -> int | None:
    """Return the side of the plugin's tiles in pixels; None for a model of several inputs.

    The plugin asks the model for it, and takes none whose height and width are free. Half of the
    overlap hides what a tile's border does to the pixels near it.
    """
    if len(metadata.inputs) != 1 or metadata.inputs[0].kind != "image":
        return None
    side = _TILE_SIZE
    while side * _OVERLAP_PERCENT < 2 * metadata.receptive_field * 100:
        side *= 2
    return side


def deepness_keys(metadata: ModelMetadata) -> dict[str, str]:
    """Return the plugin's keys and JSON values; none for a model of several inputs.

    The plugin knows no quantiles, so an image is scaled by those of the training images.
    """
    side = tile_side(metadata)
    if side is None:
        return {}
    model_input = metadata.inputs[0]
    names = [land_cover.name for land_cover in metadata.nomenclature.classes]
    values: dict[str, object] = {
        "model_type": "Segmentor",
        "class_names": {str(index): name for index, name in enumerate(names)},
        "tiles_size": side,
        "tile_size": side,
        "tiles_overlap": _OVERLAP_PERCENT,
        "seg_thresh": 0,
        "seg_small_segment": 0,
    }
    if model_input.gsd is not None:
        values["resolution"] = model_input.gsd * 100.0
    if model_input.quantiles:
        values["standardization_mean"], values["standardization_std"] = _standardisation(
            model_input
        )
    return {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}


def _standardisation(model_input: ModelInput) -> tuple[list[float], list[float]]:
    mean = [low / 255.0 for low, _ in model_input.quantiles]
    std = [
        (high - low) / 255.0 if high > low else _FLATTENING for low, high in model_input.quantiles
    ]
    return mean, std
