"""Models brought to int8 on tiles like those that they were trained on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_network import drown_in_int8

from lcmap.errors import (
    InputMismatchError,
    OutputExistsError,
    QuantisationLossError,
    UsageError,
)
from lcmap.model_file import read_model, stac_item_path
from lcmap.training.int8_model import quantise_model
from lcmap.training.options import Int8Options, NetworkSize, TrainOptions, TrainOutputs, int8_path
from lcmap.training.train import train

MakeIndex = Callable[..., Path]
SMALL = TrainOptions(size=NetworkSize(4, 1), batch_size=2, epochs=2)


def test_a_model_is_calibrated_scored_and_refused_where_it_loses(
    make_index: MakeIndex, tmp_path: Path
) -> None:
    index, model = make_index(), tmp_path / "model.onnx"
    trained = train([index], TrainOutputs(model), SMALL)
    before = model.read_bytes()
    steps = []

    def progress(done: int, total: int, note: str = "", **_: object) -> None:
        steps.append((done, total, note))

    report = quantise_model(
        [index], model, int8_path(model), Int8Options(stac=True), progress=progress
    )
    assert report.model == tmp_path / "model.int8.onnx"
    assert (report.convolutions, report.in_integers) == (13, 10)
    # what the model says of itself
    assert report.before.scores.overall.tolist() == trained.scores.overall.tolist()
    after_oa = report.after.scores.overall[1]
    assert after_oa == pytest.approx(report.before.scores.overall[1], abs=0.02)
    assert f"validation mIoU {100 * trained.scores.overall[0]:.2f} % in float32" in report.text
    assert [done for done, _, _ in steps] == list(range(len(steps)))
    assert {total for _, total, _ in steps} == {len(steps) - 1}

    found, of_model = read_model(report.model), read_model(model)
    assert (found.precision, of_model.precision) == ("int8", "float32")
    assert found.quantisation["calibration"] == "training tiles"
    assert found.quantisation["samples"] == 3
    assert found.quantisation["validation before"]["miou"] == report.before.scores.overall[0]
    assert found.scores["validation"]["oa"] == report.after.scores.overall[1]
    assert found.training["scores_computed_by"].endswith(" on cpu in int8")
    assert dataclasses.replace(
        found, scores=of_model.scores, precision="float32", quantisation={},
        training=of_model.training,
    ) == of_model  # fmt: skip
    assert model.read_bytes() == before
    item = json.loads(stac_item_path(report.model).read_text())
    assert item["assets"]["model"]["href"] == "./model.int8.onnx"

    again = quantise_model([index], model, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == report.model.read_bytes()
    assert again.text == report.text.replace("model.int8", "again")

    worse = tmp_path / "worse.onnx"
    worse.write_bytes(before)
    drown_in_int8(worse)
    kept = report.model.read_bytes()
    with pytest.raises(
        QuantisationLossError,
        match=r"more than 0\.5 points: .* in int8.*an earlier one stays there.*worse",
    ) as e:
        quantise_model([index], worse, report.model, Int8Options(overwrite=True))
    assert e.value.exit_code == 65
    assert report.model.read_bytes() == kept
    quantise_model([index], worse, report.model, Int8Options(max_loss=100, overwrite=True))
    assert report.model.read_bytes() != kept

    for use in (
        lambda: quantise_model([index], report.model, tmp_path / "twice.onnx"),
        lambda: train(
            [index],
            TrainOutputs(tmp_path / "tuned.onnx"),
            TrainOptions(initial_model=report.model, epochs=1),
        ),
    ):
        with pytest.raises(InputMismatchError, match=r"int8\.onnx: is in int8"):
            use()
    other = make_index("other", np.zeros((3, 48, 48), np.uint8))
    with pytest.raises(InputMismatchError, match=r"takes image of .*, where the tiles have"):
        quantise_model([other], model, tmp_path / "other.onnx")
    assert not list(tmp_path.glob("t*.onnx")) and not (tmp_path / "other.onnx").exists()


def test_outputs_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    nowhere = [tmp_path / "none.geojson"], tmp_path / "none.onnx"
    with pytest.raises(UsageError, match=r"name ends in \.onnx"):
        quantise_model(*nowhere, tmp_path / "m.pt")
    with pytest.raises(UsageError, match="needs a name"):
        quantise_model(*nowhere, "-")
    (tmp_path / "m.onnx").touch()
    with pytest.raises(OutputExistsError):
        quantise_model(*nowhere, tmp_path / "m.onnx")
