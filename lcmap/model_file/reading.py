"""Reading a model's metadata, and refusing what is not a model of lcmap."""

from __future__ import annotations

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from lcmap.errors import NewerModelError, NotAModelError
from lcmap.json_text import parse_json
from lcmap.model_file.graph import check_graph, set_side
from lcmap.model_file.limits import check_file, check_operators, check_sizes
from lcmap.model_file.metadata import FORMAT_VERSION, ModelMetadata
from lcmap.paths import PathLike
from lcmap.raster.input_watch import note_input
from lcmap.raster.opening import check_readable

METADATA_KEY = "lcmap"


def read_model(path: PathLike) -> ModelMetadata:
    """Return the metadata of a model file, after checking that its graph agrees with it.

    Raises:
        InputMissingError: no such file.
        NotAModelError: not an ONNX file, or truncated, or its metadata is damaged; an ONNX file
            that lcmap did not write; as `check_graph`, `check_operators` and `check_sizes`.
        NewerModelError: written in a format that this lcmap does not know.
    """
    check_readable(path)
    note_input(path)
    check_file(path)
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise NotAModelError(
            path, "is not an ONNX file, or is truncated", "give a model that lcmap train wrote"
        ) from error
    if not model.graph.node:
        raise NotAModelError(
            path, "is not an ONNX file, or is empty", "give a model that lcmap train wrote"
        )
    text = {item.key: item.value for item in model.metadata_props}.get(METADATA_KEY)
    if text is None:
        raise NotAModelError(
            path, "an ONNX file without lcmap's metadata", "give a model that lcmap train wrote"
        )
    metadata = _parse(text, path)
    check_graph(model, metadata, path)
    check_operators(model, path)
    levels = {model_input.name: model_input.level for model_input in metadata.inputs}
    check_sizes(model, metadata.stride, levels, path)
    return metadata


def load_graph(path: PathLike) -> onnx.ModelProto:
    """Return the ONNX model in a model file, for images of any size.

    The file of a model of one image declares the size that Deepness takes, see `tile_side`.
    """
    model = onnx.load(path, load_external_data=False)
    set_side(model, None)
    return model


def _parse(text: str, path: PathLike) -> ModelMetadata:
    try:
        values = parse_json(text)
        version = int(values["format_version"])
        if version > FORMAT_VERSION:
            raise NewerModelError(
                path,
                f"written by lcmap {values.get('lcmap_version', '?')} in format {version}, "
                f"this lcmap reads up to {FORMAT_VERSION}",
                "update lcmap",
            )
        return ModelMetadata.from_dict(values)
    except NewerModelError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise NotAModelError(
            path, f"its metadata is damaged ({type(error).__name__}: {error})", "export it again"
        ) from error
