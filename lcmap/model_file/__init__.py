"""What an .onnx file of lcmap carries: written, read and checked in this one place."""

from lcmap.model_file.input_check import check_bands, check_image
from lcmap.model_file.metadata import (
    BOUNDS_KEY,
    FORMAT_VERSION,
    ModelInput,
    ModelMetadata,
    Precision,
)
from lcmap.model_file.reading import load_graph, read_model
from lcmap.model_file.stac import stac_item
from lcmap.model_file.writing import check_model_path, model_paths, stac_item_path, write_model

__all__ = [
    "BOUNDS_KEY",
    "FORMAT_VERSION",
    "ModelInput",
    "ModelMetadata",
    "Precision",
    "check_bands",
    "check_image",
    "check_model_path",
    "load_graph",
    "model_paths",
    "read_model",
    "stac_item",
    "stac_item_path",
    "write_model",
]
