"""Runs whose validation tiles train in the end: --final."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
from support import run_lcmap

from lcmap.dataset.reading import TileReader
from lcmap.dataset.tile_index import IndexedTile
from lcmap.errors import CheckpointError
from lcmap.model_file import read_model
from lcmap.network import Architecture, LandCoverNetwork
from lcmap.raster.windows import Window
from lcmap.training.augmentation import Pixels
from lcmap.training.batches import Sampler
from lcmap.training.final import FinalTrainer, with_validation_tiles
from lcmap.training.initialisation import initialise
from lcmap.training.optimisation import Budget
from lcmap.training.options import NetworkSize, TrainOptions, TrainOutputs
from lcmap.training.recipe import DEFAULT
from lcmap.training.samples import SampleSource, read_training_set
from lcmap.training.train import TrainReport, train
from lcmap.training.trainer import Trainer

MakeIndex = Callable[..., Path]
SMALL = ["--width", "4", "--depth", "1", "--batch-size", "2", "--epochs", "3"]
OPTIONS = TrainOptions(size=NetworkSize(4, 1), batch_size=2, epochs=3, final=True)


def weights(model: Path) -> dict[str, bytes]:
    graph = onnx.load(str(model)).graph
    return {t.name: onnx.numpy_helper.to_array(t).tobytes() for t in graph.initializer}


def run(index: Path, output: Path, **files: Any) -> TrainReport:
    progress = files.pop("progress", lambda *_, **__: None)
    return train([index], TrainOutputs(output, **files), OPTIONS, progress=progress)


@pytest.fixture
def read_tiles(monkeypatch: pytest.MonkeyPatch) -> list[IndexedTile]:
    """The tiles that are read, in order."""
    tiles: list[IndexedTile] = []
    read = SampleSource.read

    def watched(source: SampleSource, tile: IndexedTile, inside: Window | None = None) -> Pixels:
        tiles.append(tile)
        return read(source, tile, inside)

    monkeypatch.setattr(SampleSource, "read", watched)
    return tiles


def test_a_final_model_has_the_scores_of_the_run_without_the_validation_tiles(
    make_index: MakeIndex, tmp_path: Path, read_tiles: list[IndexedTile]
) -> None:
    index, plain, final = make_index(), tmp_path / "plain.onnx", tmp_path / "final.onnx"
    first = run_lcmap("train", index, "-o", plain, *SMALL)
    more = ["--final", "--stac", "--quantize", "--max-loss", 100]
    result = run_lcmap("train", index, "-o", final, *SMALL, *more)
    assert (first.exit_code, result.exit_code) == (0, 0), result.stderr
    scores, ious, sure, never, said, of_int8 = result.stdout.splitlines()
    assert [sure, never] == first.stdout.splitlines()[2:4]
    assert [scores.split("validation")[1].split(";")[0], ious] == [
        first.stdout.splitlines()[0].split("validation")[1].split(";")[0],
        first.stdout.splitlines()[1],
    ]
    before, after = read_model(plain), read_model(final)
    assert said == (
        f"trained anew on training and validation tiles, {before.training['steps']} steps; the "
        "scores are those of the same recipe without the validation tiles"
    )
    assert after.scores == before.scores and "scores_of" not in before.training
    assert after.training["scores_of"] == "the same recipe without the validation tiles"
    assert after.training["steps"] == before.training["steps"]
    assert (before.training["final"], after.training["final"]) == (False, True)
    assert weights(plain) != weights(final)
    item = json.loads(final.with_suffix(".stac.json").read_text())
    hyperparameters = item["properties"]["mlm:hyperparameters"]
    assert hyperparameters["trained_on"] == "training and validation tiles"
    assert hyperparameters["scores_of"] == after.training["scores_of"]
    # what int8 costs was measured on tiles that trained: it is no score
    quantised = read_model(tmp_path / "final.int8.onnx")
    assert quantised.scores == after.scores
    assert quantised.quantisation["validation after"]["miou"] > 0
    assert of_int8.endswith("on tiles that trained it")
    assert {tile.split for tile in read_tiles} == {"train", "validation"}

    with open(tmp_path / "final.curves.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    of_final = [row for row in rows if row["tiles"] == "all"]
    assert rows[:3] == [row for row in rows if row["tiles"] == "training"]
    assert [row["epoch"] for row in of_final] == ["1", "2", "3"][: len(of_final)]
    assert of_final[-1]["steps"] == str(before.training["steps"])
    assert all(row["miou"] == "" and float(row["loss"]) > 0 for row in of_final)
    assert (tmp_path / "final.curves.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "final.checkpoint.pt").exists()


def test_the_final_weights_are_those_of_as_many_steps_on_all_tiles(
    make_index: MakeIndex, tmp_path: Path
) -> None:
    index = make_index()
    report = run(index, tmp_path / "final.onnx")
    data = read_training_set([index], scaling=OPTIONS.chosen_recipe().scaling)
    assert (len(data.train), len(data.validation)) == (3, 3)
    everything = with_validation_tiles(data)
    assert everything.train == data.train + data.validation
    # shares of the labels of both, counted
    counts = [sum(tile.class_counts.get(code, 0) for tile in everything.train) for code in (2, 5)]
    np.testing.assert_allclose(everything.shares, [*np.divide(counts, sum(counts)), 0])
    recipe = OPTIONS.chosen_recipe()
    network = LandCoverNetwork([2], 3, dataclasses.replace(recipe.architecture, width=4, depth=1))
    initialise(network, DEFAULT.initialisation, OPTIONS.seed)
    with TileReader(data.nomenclature) as reader:
        source = SampleSource(reader)
        trainer = Trainer(everything, source, network, recipe, OPTIONS)
        trainer.budget = Budget(steps=report.steps)  # of the first run: all its epochs
        sampler = Sampler(source, everything.train, recipe, 16, OPTIONS.seed)
        for number in range(read_model(tmp_path / "final.onnx").training["steps"]):
            trainer.step(sampler.batch(number))
    found = weights(tmp_path / "final.onnx")
    for name, value in trainer.evaluated.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert found[f"network.{name}"] == value.contiguous().numpy().tobytes(), name


class Interrupted(Exception):
    """What stops a run in these tests."""


def interrupt(*, on_all_tiles: bool, after: int) -> Callable[..., None]:
    def progress(done: int, total: int, note: str = "", **_: object) -> None:
        if done >= after and ("all tiles" in note) == on_all_tiles:
            raise Interrupted

    return progress


@pytest.mark.slow
def test_a_run_goes_on_to_the_same_bits_from_either_part(
    make_index: MakeIndex, tmp_path: Path
) -> None:
    index, whole, parts = make_index(), tmp_path / "whole.onnx", tmp_path / "parts.onnx"
    report = run(index, whole)
    assert report.epoch > 1  # so that the final part has two epochs
    steps = report.final_steps or 0
    with pytest.raises(Interrupted):
        run(index, parts, progress=interrupt(on_all_tiles=False, after=report.steps // 2))
    with pytest.raises(CheckpointError, match="begun with final True, this one has False"):
        options = TrainOptions(size=NetworkSize(4, 1), batch_size=2, epochs=3)
        train([index], TrainOutputs(parts, resume=True), options)
    with pytest.raises(Interrupted):
        run(index, parts, resume=True, progress=interrupt(on_all_tiles=True, after=steps - 1))
    epochs: list[int] = []

    def progress(done: int, total: int, note: str = "", **_: object) -> None:
        epochs.append(done)

    resumed = run(index, parts, resume=True, progress=progress)
    assert min(epochs) > steps // 2 and max(epochs) == steps  # not from the beginning
    assert weights(whole) == weights(parts)
    assert resumed.scores.overall.tolist() == report.scores.overall.tolist()
    assert (resumed.epoch, resumed.final_steps) == (report.epoch, report.final_steps)


@pytest.mark.slow
def test_the_best_model_so_far_is_the_first_runs(make_index: MakeIndex, tmp_path: Path) -> None:
    index, plain, parts = make_index(), tmp_path / "plain.onnx", tmp_path / "parts.onnx"
    assert run_lcmap("train", index, "-o", plain, *SMALL).exit_code == 0
    with pytest.raises(Interrupted):
        run(index, parts, progress=interrupt(on_all_tiles=True, after=1))
    result = run_lcmap("train", index, "-o", parts, *SMALL, "--final", "--export-best")
    assert result.exit_code == 0 and "anew" not in result.stdout
    assert weights(parts) == weights(plain)
    training = read_model(parts).training
    assert "scores_of" not in training and training["final"] is False
    assert parts.with_suffix(".checkpoint.pt").exists()


def test_minutes_are_shared_and_learning_rates_are_those_of_the_first_run(
    make_index: MakeIndex,
) -> None:
    data = read_training_set([make_index()])
    options = TrainOptions(size=NetworkSize(2, 1), batch_size=2, minutes=20, final=True)
    ticks = iter(range(10_000))  # a second each time that the clock is looked at
    with TileReader(data.nomenclature) as reader:
        source = SampleSource(reader)
        network = LandCoverNetwork([2], 3, Architecture(width=2, depth=1))
        first = Trainer(
            data, source, network, options.chosen_recipe(), options, now=lambda: next(ticks)
        )
        while not first.ended:
            first.epoch()
        assert 500 < first.rows[-1]["seconds"] < 700  # of 20 minutes
        first.best_epoch = 2
        final = FinalTrainer(
            first, LandCoverNetwork([2], 3, Architecture(width=2, depth=1)), options
        )
    kept = first.rows[1]
    assert kept["learning_rate"] > 2e-4
    assert final.budget.last_step == kept["steps"]
    final.steps = kept["steps"] - 1
    assert final.learning_rate() == pytest.approx(kept["learning_rate"], rel=0.1)
