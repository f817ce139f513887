"""A model file gives back what was written, and a file that is none is refused in one line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import convert_model_to_external_data
from small_model import write_coarse_model

from lcmap.errors import (
    InputMissingError,
    NewerModelError,
    NotAModelError,
    OutputExistsError,
)
from lcmap.model_file import ModelMetadata, load_graph, read_model, stac_item_path, write_model
from lcmap.model_file.reading import METADATA_KEY


@pytest.fixture
def model(tmp_path: Path, graph: onnx.ModelProto, metadata: ModelMetadata) -> Path:
    path = tmp_path / "model.onnx"
    write_model(graph.SerializeToString(), metadata, path)
    return path


def rewrite_metadata(model: Path, **changes: object) -> None:
    """Change values of the metadata in a model file, behind lcmap's back."""
    loaded = onnx.load(model)
    for item in loaded.metadata_props:
        if item.key == "lcmap":
            item.value = json.dumps(json.loads(item.value) | changes)
    onnx.save(loaded, model)


def test_what_was_written_is_read_again(model: Path, metadata: ModelMetadata) -> None:
    assert read_model(model) == metadata


def test_a_file_is_taken_like_bytes(
    tmp_path: Path, graph: onnx.ModelProto, metadata: ModelMetadata
) -> None:
    onnx.save(graph, tmp_path / "exported.onnx")
    write_model(tmp_path / "exported.onnx", metadata, tmp_path / "model.onnx")
    assert read_model(tmp_path / "model.onnx") == metadata


def test_the_network_still_computes(model: Path, graph: onnx.ModelProto) -> None:
    image = np.random.default_rng(0).random((1, 4, 8, 16), np.float32)
    bare = onnxruntime.InferenceSession(graph.SerializeToString())
    carried = onnxruntime.InferenceSession(load_graph(model).SerializeToString())
    expected = bare.run(None, {"image": image})[0]
    np.testing.assert_array_equal(carried.run(None, {"image": image})[0], expected)


def test_scores_that_are_no_numbers_become_null(
    tmp_path: Path, graph: onnx.ModelProto, metadata: ModelMetadata
) -> None:
    scores = {"IoU": [0.5, float("nan")], "loss": float("inf")}
    changed = dataclasses.replace(metadata, scores=scores)
    write_model(graph.SerializeToString(), changed, tmp_path / "model.onnx")
    assert read_model(tmp_path / "model.onnx").scores == {"IoU": [0.5, None], "loss": None}


def test_metadata_of_an_earlier_write_is_replaced(
    tmp_path: Path, model: Path, metadata: ModelMetadata
) -> None:
    newer = dataclasses.replace(metadata, scores={"mIoU": 0.6})
    write_model(model, newer, tmp_path / "tuned.onnx")
    assert read_model(tmp_path / "tuned.onnx").scores == {"mIoU": 0.6}
    keys = [item.key for item in onnx.load(tmp_path / "tuned.onnx").metadata_props]
    assert len(keys) == len(set(keys))


def test_an_existing_model_is_kept(
    model: Path, graph: onnx.ModelProto, metadata: ModelMetadata
) -> None:
    before = model.read_bytes()
    with pytest.raises(OutputExistsError, match=r"exists already; `overwrite` to replace it"):
        write_model(graph.SerializeToString(), metadata, model)
    assert model.read_bytes() == before
    changed = dataclasses.replace(metadata, scores={})
    write_model(graph.SerializeToString(), changed, model, overwrite=True)
    assert read_model(model) == changed


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match=r"absent\.onnx: no such file"):
        read_model(tmp_path / "absent.onnx")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file(model: Path, share: float) -> None:
    content = model.read_bytes()
    model.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(NotAModelError, match=r"model\.onnx: "):
        read_model(model)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(100), b"II*\0" * 50])
def test_a_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "photo.onnx"
    path.write_bytes(content)
    with pytest.raises(NotAModelError, match=r"photo\.onnx: is not an ONNX file"):
        read_model(path)


def test_a_foreign_model(tmp_path: Path, graph: onnx.ModelProto) -> None:
    onnx.save(graph, tmp_path / "foreign.onnx")
    with pytest.raises(NotAModelError, match=r"without lcmap's metadata; .*lcmap train"):
        read_model(tmp_path / "foreign.onnx")


def test_a_newer_model(model: Path) -> None:
    rewrite_metadata(model, format_version=99, lcmap_version="9.0")
    with pytest.raises(NewerModelError, match=r"lcmap 9\.0 in format 99, .* 6; update lcmap"):
        read_model(model)


@pytest.mark.parametrize(
    "damage", [{"stride": 0}, {"stride": None}, {"entries": []}, {"entries": [{}]},
               {"nomenclature": {"name": "x"}}, {"training": 3}, {"precision": "float16"}],
)  # fmt: skip
def test_damaged_metadata(model: Path, damage: dict[str, object]) -> None:
    rewrite_metadata(model, **damage)
    with pytest.raises(NotAModelError, match=r"its metadata is damaged"):
        read_model(model)


def test_a_model_of_an_earlier_format_is_in_float32(model: Path, metadata: ModelMetadata) -> None:
    loaded = onnx.load(model)
    for item in loaded.metadata_props:
        if item.key == "lcmap":
            values = json.loads(item.value)
            del values["precision"], values["quantisation"]
            item.value = json.dumps(values | {"format_version": 2})
    onnx.save(loaded, model)
    assert read_model(model) == dataclasses.replace(metadata, format_version=2)
    assert read_model(model).precision == "float32"


def test_a_precision_that_is_not_the_graphs(
    tmp_path: Path, model: Path, graph: onnx.ModelProto, metadata: ModelMetadata
) -> None:
    rewrite_metadata(model, precision="int8")
    with pytest.raises(NotAModelError, match="metadata says int8, its graph is not in it"):
        read_model(model)
    int8 = dataclasses.replace(metadata, precision="int8", quantisation={"samples": 3})
    graph.graph.node.insert(0, helper.make_node("QuantizeLinear", ["image", "s", "z"], ["q"]))
    graph.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(0.1, np.float32), "s"),
            numpy_helper.from_array(np.array(0, np.uint8), "z"),
        ]
    )
    with pytest.raises(NotAModelError, match="metadata says float32, its graph is not in it"):
        write_model(graph.SerializeToString(), metadata, tmp_path / "other.onnx")
    write_model(graph.SerializeToString(), int8, tmp_path / "int8.onnx")
    assert read_model(tmp_path / "int8.onnx") == int8


def test_weights_in_another_file(
    tmp_path: Path, graph: onnx.ModelProto, metadata: ModelMetadata
) -> None:
    convert_model_to_external_data(graph, location="weights.bin", size_threshold=0)
    onnx.save(graph, tmp_path / "split.onnx")
    assert (tmp_path / "weights.bin").exists()
    with pytest.raises(NotAModelError, match=r"split\.onnx: its weights are in another file"):
        write_model(tmp_path / "split.onnx", metadata, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_constant_in_another_file_is_refused_in_a_branch(
    model: Path, graph: onnx.ModelProto
) -> None:
    loaded = onnx.load(model)
    constant = helper.make_tensor("hidden", TensorProto.FLOAT, [1], [0.0])
    constant.ClearField("float_data")
    constant.data_location = TensorProto.EXTERNAL
    constant.external_data.add(key="location", value="/etc/hostname")
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["hidden"], value=constant)], "branch", [], []
    )
    node = helper.make_node("If", ["weight"], ["x"], then_branch=branch, else_branch=branch)
    loaded.graph.node.append(node)
    onnx.save(loaded, model)
    with pytest.raises(NotAModelError, match=r"its weights .* in another file"):
        read_model(model)


def test_a_graph_that_the_metadata_does_not_describe(
    tmp_path: Path, graph: onnx.ModelProto, metadata: ModelMetadata
) -> None:
    model_input = metadata.inputs[0]
    cases = {
        "takes": dataclasses.replace(model_input, name="other"),
        "image has 4 channels": dataclasses.replace(model_input, bands=("red", "green")),
    }
    for message, changed in cases.items():
        with pytest.raises(NotAModelError, match=message):
            write_model(
                graph.SerializeToString(),
                dataclasses.replace(metadata, inputs=(changed,)),
                tmp_path / "model.onnx",
            )
    del graph.graph.output[0].type.tensor_type.shape.dim[3]
    with pytest.raises(NotAModelError, match="probabilities is not float32"):
        write_model(graph.SerializeToString(), metadata, tmp_path / "model.onnx")
    graph.graph.output[0].name = "logits"
    with pytest.raises(NotAModelError, match="gives"):
        write_model(graph.SerializeToString(), metadata, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_the_stac_item_lies_beside_the_model(
    tmp_path: Path, graph: onnx.ModelProto, metadata: ModelMetadata
) -> None:
    path = tmp_path / "model.onnx"
    write_model(graph.SerializeToString(), metadata, path, stac=True)
    item = json.loads(stac_item_path(path).read_text())
    assert (path.parent / item["assets"]["model"]["href"]).resolve() == path.resolve()


def test_the_level_of_an_input_is_kept_and_older_files_have_none(
    tmp_path: Path, model: Path
) -> None:
    coarse = write_coarse_model(tmp_path / "coarse.onnx", (2, 1), depth=3)
    assert [one.level for one in read_model(coarse).inputs] == [0, 2, 1]
    document = onnx.load(model)
    for item in document.metadata_props:
        if item.key == METADATA_KEY:
            values = json.loads(item.value)
            for entry in values["entries"]:
                del entry["level"]
            item.value = json.dumps(values | {"format_version": 5})
    onnx.save(document, tmp_path / "older.onnx")
    assert {one.level for one in read_model(tmp_path / "older.onnx").inputs} == {0}


@pytest.mark.parametrize(("number", "level"), [(0, 1), (1, 3), (1, -1)])
def test_a_level_that_cannot_be_is_damage(tmp_path: Path, number: int, level: int) -> None:
    coarse = write_coarse_model(tmp_path / "coarse.onnx", (1,), depth=3)
    entries = [one.to_dict() for one in read_model(coarse).inputs]
    entries[number]["level"] = level
    rewrite_metadata(coarse, entries=entries)
    with pytest.raises(NotAModelError, match=f"metadata is damaged .* on level {level}"):
        read_model(coarse)
