"""Classes that training tiles lack are never predicted, by no engine."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from lcmap.dataset.tile_index import read_tile_index
from lcmap.engines.onnxruntime import OnnxRuntimeSession
from lcmap.engines.openvino import OpenVinoSession
from lcmap.graph.outputs import with_results
from lcmap.model_file import load_graph, read_model
from lcmap.training.absent_classes import absent_classes
from lcmap.training.final import with_validation_tiles
from lcmap.training.initialisation import load_network
from lcmap.training.options import NetworkSize, TrainOptions, TrainOutputs
from lcmap.training.samples import read_training_set
from lcmap.training.train import TrainReport, train

MakeIndex = Callable[..., Path]


def trained(index: Path, model: Path, **options: Any) -> TrainReport:
    options = {"size": NetworkSize(4, 1), "epochs": 1} | options
    return train([index], TrainOutputs(model, stac=True), TrainOptions(**options))


def engines(graph: onnx.ModelProto) -> list[Any]:
    serialised = graph.SerializeToString()
    return [
        OnnxRuntimeSession(serialised),
        OpenVinoSession(serialised),
    ]


def test_what_no_tile_has_is_never_predicted(
    make_index: MakeIndex, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tmp_path / "m.onnx"
    with caplog.at_level(logging.WARNING):
        report = trained(make_index(), model)
    assert "no training tile has never: the model never predicts it" in caplog.messages
    assert report.absent == ("Nev",) and "never predicted: Nev" in report.text
    training = read_model(model).training
    assert training["absent_classes"] == ["Nev"]
    assert training["class_shares"]["Nev"] == 0
    assert sum(training["class_shares"].values()) == pytest.approx(1, abs=1e-5)
    item = json.loads((tmp_path / "m.stac.json").read_text())["properties"]
    assert item["mlm:hyperparameters"]["absent_classes"] == ["Nev"]

    graph = load_graph(model)
    for tensor in graph.graph.initializer:
        if tensor.name == "network.classifier.bias":  # without the mask it would always win
            bias = np.array([0, 0, 1e4], np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(bias, tensor.name))
    image = np.random.default_rng(0).normal(0.5, 0.3, (1, 2, 64, 64)).astype(np.float32)
    for session in engines(with_results(graph, ("winner", "probabilities"))):
        winner, probabilities = session.run({"image": image})
        assert not (winner == 2).any() and not probabilities[:, 2].any()
        assert np.abs(probabilities.sum(axis=1) - 1).max() < 1e-5
    plain = load_network(model)  # as it was trained, without the mask
    assert plain.classifier.weight.shape[0] == 3


def test_a_class_of_validation_tiles_is_learnt_by_the_final_run(
    make_index: MakeIndex, caplog: pytest.LogCaptureFixture
) -> None:
    codes = np.full((48, 48), 2, np.uint8)
    codes[:, ::2] = 5
    for tile in read_tile_index(make_index()).tiles:
        if tile.split == "validation":
            codes[tile.window.slices] = 9
    data = read_training_set([make_index(codes=codes)])
    assert absent_classes(data, None, with_validation_tiles(data)) == (2,)
    assert caplog.messages == [
        "no training tile has never: the final run alone learns it, from validation tiles"
    ]


def test_a_class_that_the_initial_model_learnt_stays(
    make_index: MakeIndex, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    codes = np.full((48, 48), 5, np.uint8)
    codes[:, ::2], codes[::3] = 2, 9
    first, second, third = (tmp_path / f"{name}.onnx" for name in "abc")
    assert trained(make_index("all", codes=codes), first).absent == ()
    index, size = make_index("two"), NetworkSize()
    with caplog.at_level(logging.WARNING):
        assert trained(index, second, initial_model=first, size=size).absent == ()
    assert any("predicts it as the one it starts from learnt it" in m for m in caplog.messages)
    assert trained(index, third).absent == ("Nev",)
    again = trained(index, tmp_path / "d.onnx", initial_model=third, size=size)
    assert again.absent == ("Nev",)
