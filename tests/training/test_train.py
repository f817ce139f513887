"""Whole runs on a small image that can be learnt."""

from __future__ import annotations

import copy
import csv
import dataclasses
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime
import pytest
import torch

from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.reading import TileReader
from lcmap.dataset.tile_index import IndexedTile, read_tile_index
from lcmap.errors import (
    CheckpointError,
    InputMismatchError,
    LockedError,
    OutputExistsError,
    UsageError,
)
from lcmap.model_file import read_model
from lcmap.network import Architecture, LandCoverNetwork
from lcmap.nomenclature import Nomenclature
from lcmap.progress import silent
from lcmap.raster.output_set import OutputSet
from lcmap.raster.windows import Window
from lcmap.training.augmentation import Pixels
from lcmap.training.batches import Sampler
from lcmap.training.checkpoint import checkpoint_path
from lcmap.training.initialisation import load_network
from lcmap.training.int8_model import quantise_model
from lcmap.training.options import Int8Options, NetworkSize, TrainOptions, TrainOutputs
from lcmap.training.recipe import DEFAULT, RECIPES, Loss, Recipe
from lcmap.training.samples import SampleSource, TrainingSet, read_training_set
from lcmap.training.train import TrainReport, train
from lcmap.training.trainer import Trainer

MakeIndex = Callable[..., Path]
SMALL: dict[str, Any] = {"width": 4, "depth": 1, "batch_size": 2, "epochs": 3}


def weights(model: Path) -> dict[str, bytes]:
    graph = onnx.load(str(model)).graph
    return {t.name: onnx.numpy_helper.to_array(t).tobytes() for t in graph.initializer}


def run(index: Path, output: Path, **given: Any) -> TrainReport:
    options = SMALL | given
    progress = options.pop("progress", silent)
    size = NetworkSize(**{name: options.pop(name, None) for name in ("width", "depth")})
    files = {name: options.pop(name) for name in ("resume", "overwrite") if name in options}
    return train(
        [index],
        TrainOutputs(output, **files),
        TrainOptions(size=size, **options),
        progress=progress,
    )


class Interrupted(Exception):
    """What stops a run in these tests."""


def interrupt_after(steps: int) -> Callable[..., None]:
    def progress(done: int, total: int, note: str = "", **_: object) -> None:
        if done >= steps:
            raise Interrupted

    return progress


EVERY_LEVER = dataclasses.replace(
    DEFAULT,
    loss=Loss(dice=0.5, lovasz=0.5, boundary=1.0, border=1, smoothing=0.05, robust=0.3),
    optimizer="muon",
    schedule="trapezoid",
    normalisation="recomputed",
)


@pytest.mark.parametrize("recipe", [DEFAULT, EVERY_LEVER], ids=["default", "every lever"])
def test_a_run_learns_and_resuming_it_ends_at_the_same_bits(
    make_index: MakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    monkeypatch.setitem(RECIPES, "default", recipe)
    index = make_index()
    whole, parts = tmp_path / "whole.onnx", tmp_path / "parts.onnx"
    report = run(index, whole)
    miou, oa, *_ = report.scores.overall
    assert miou > 0.75 and oa > (0.85 if recipe == DEFAULT else 0.8)
    assert report.agreement.difference < 1e-4 and report.agreement.apart < 1e-2

    with pytest.raises(Interrupted):
        run(index, parts, progress=interrupt_after(report.steps // 2))
    assert not parts.exists() and checkpoint_path(parts).exists()
    resumed = run(index, parts, resume=True)
    assert weights(whole) == weights(parts)
    assert resumed.scores.overall.tolist() == report.scores.overall.tolist()
    assert (resumed.epoch, resumed.steps) == (report.epoch, report.steps)
    assert not checkpoint_path(parts).exists()

    with open(tmp_path / "parts.curves.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    best = max(rows, key=lambda row: float(row["miou"]))
    assert best["epoch"] == str(report.epoch)
    # one by PyTorch, in bfloat16 where the device has it, one by onnxruntime in float32
    assert float(best["miou"]) == pytest.approx(miou, abs=0.03)
    assert (tmp_path / "parts.curves.png").read_bytes().startswith(b"\x89PNG")

    metadata = read_model(whole)
    assert metadata.nomenclature.codes == (2, 5, 9)
    assert (metadata.stride, metadata.receptive_field) == (4, 44)
    assert metadata.scores["validation"]["miou"] == miou
    assert metadata.training["epoch"] == report.epoch
    engine = f"onnxruntime {onnxruntime.__version__} on cpu"
    assert metadata.training["scores_computed_by"] == f"{engine} in float32"
    recipe, built = metadata.training["recipe"], metadata.training["architecture"]
    assert recipe["name"] == "default"
    assert (recipe["width"], recipe["depth"]) == (built["width"], built["depth"]) == (4, 1)
    assert set(metadata.calibration["temperatures"]) == {"Dar", "Lig", "Nev"}
    assert metadata.calibration["ece before"] == report.ece_before
    assert "before calibration" in report.text
    tuned = run(index, tmp_path / "tuned.onnx", initial_model=whole, epochs=1, width=None)
    assert tuned.scores.overall[0] > 0.75


@pytest.mark.slow
def test_a_run_that_learns_without_labels_is_resumed_to_the_same_bits(
    make_index: MakeIndex, tmp_path: Path
) -> None:
    index, whole, parts = make_index(), tmp_path / "whole.onnx", tmp_path / "parts.onnx"
    image = make_index("other", image=np.full((2, 48, 48), 7, np.uint8)).with_name("other.tif")
    given: dict[str, Any] = {"unlabelled": (image,), "epochs": 2}
    report = run(index, whole, **given)
    with pytest.raises(Interrupted):
        run(index, parts, progress=interrupt_after(report.steps * 3 // 4), **given)
    with pytest.raises(CheckpointError, match="unlabelled images"):
        run(index, parts, resume=True, unlabelled=(image, index.with_name("zone.tif")), epochs=2)
    run(index, parts, resume=True, **given)
    assert weights(whole) == weights(parts)


def test_a_model_of_the_image_alone_is_extended_by_a_side_input(
    make_index: MakeIndex,
    three: Nomenclature,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone, both = tmp_path / "alone.onnx", tmp_path / "both.onnx"
    first = run(make_index("alone"), alone, epochs=2)
    index = make_index("both", side=RasterContent("labels", three))
    started: list[LandCoverNetwork] = []

    class Watched(Trainer):
        def __init__(self, data: TrainingSet, source: SampleSource, network: LandCoverNetwork,
                     *rest: Any, **options: Any) -> None:  # fmt: skip
            started.append(copy.deepcopy(network).eval())
            super().__init__(data, source, network, *rest, **options)

    monkeypatch.setattr("lcmap.training.run.Trainer", Watched)
    tuned = run(index, both, initial_model=alone, epochs=1, width=None, depth=None)
    image, side = torch.rand(1, 2, 32, 32), torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        found, wanted = started[0](image, side), load_network(alone).eval()(image)
    assert torch.allclose(found, wanted, rtol=0, atol=1e-4)
    assert [model_input.kind for model_input in read_model(both).inputs] == ["image", "labels"]
    assert tuned.scores.overall[0] > first.scores.overall[0] - 0.05
    joint = load_network(both).deepest.first[0].weight
    assert joint[:, 4:].any()  # what the side input adds is used


@pytest.fixture
def unexported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes seconds and comes after the training."""

    def stop(*_: object) -> bytes:
        raise Interrupted

    monkeypatch.setattr("lcmap.training.finished_model.to_onnx", stop)


@pytest.mark.usefixtures("unexported")
def test_patience_ends_a_run_that_does_not_improve(make_index: MakeIndex, tmp_path: Path) -> None:
    # labels without any relation to the image: the first epochs are as good as the last
    codes = np.random.default_rng(3).choice([2, 5], (48, 48)).astype(np.uint8)
    with pytest.raises(Interrupted):
        run(make_index(codes=codes), tmp_path / "m.onnx", epochs=12, patience=1)
    rows = (tmp_path / "m.checkpoint.curves.csv").read_text().splitlines()[1:]
    miou = [float(row.split(",")[5]) for row in rows]
    assert 2 <= len(rows) < 12
    assert miou[-1] <= max(miou[:-1])


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_the_papers_epoch_is_one_pass_without_patience(
    make_index: MakeIndex, batch_size: int
) -> None:
    data = read_training_set([make_index()])
    read: list[IndexedTile] = []

    class Watched(SampleSource):
        def read(self, tile: IndexedTile, inside: Window | None = None) -> Pixels:
            read.append(tile)
            return super().read(tile, inside)

    options = TrainOptions(recipe="paper", batch_size=batch_size)
    recipe = options.chosen_recipe()
    per_epoch = {1: 3, 2: 2, 4: 1}[batch_size]
    orders = []
    with TileReader(data.nomenclature) as reader:
        source = Watched(reader)
        trainer = Trainer(
            data, source, LandCoverNetwork([2], 3, Architecture(width=2, depth=1)), recipe, options
        )
        sampler = Sampler(source, data.train, recipe, 16, options.seed)
        for epoch in range(50):
            read.clear()
            for step in range(per_epoch):
                sampler.batch(epoch * per_epoch + step)
            orders.append([data.train.index(tile) for tile in read])
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    assert len({tuple(order) for order in orders}) == 6  # every order comes
    assert trainer.budget.steps == 100 * per_epoch and recipe.patience is None
    rates = []
    for epoch in (1, 50, 51, 100):
        for trainer.steps in ((epoch - 1) * per_epoch, epoch * per_epoch - 1):  # first and last
            rates.append(trainer.learning_rate())
    assert rates == pytest.approx([0.01] * 4 + [0.007] * 4)


def test_the_papers_recipe_resumes_at_the_same_bits(make_index: MakeIndex, tmp_path: Path) -> None:
    index = make_index(splits=("train", "train", "validation"))
    whole, parts = tmp_path / "whole.onnx", tmp_path / "parts.onnx"
    report = run(index, whole, recipe="paper", epochs=4)
    assert report.ece_before is None and read_model(whole).calibration == {}
    assert report.steps == 12  # six tiles, two a step
    with pytest.raises(Interrupted):
        run(index, parts, recipe="paper", epochs=4, progress=interrupt_after(8))
    run(index, parts, recipe="paper", epochs=4, resume=True)
    assert weights(whole) == weights(parts)
    read = (path.read_text().splitlines() for path in sorted(tmp_path.glob("*.curves.csv")))
    losses = [[row["loss"] for row in csv.DictReader(lines)] for lines in read]
    assert losses[0] == losses[1]


@pytest.mark.usefixtures("unexported")
def test_minutes_shape_and_end_the_run(make_index: MakeIndex, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with pytest.raises(Interrupted):
        run(make_index(), tmp_path / "m.onnx", epochs=None, minutes=0.05,
            progress=lambda done, total, note="", **_: seen.append((done, total)))  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "m.checkpoint.curves.csv").read_text().splitlines()))
    assert all(total == 3 for _, total in seen)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    # the schedule follows the clock down to nothing, whatever the number of steps
    assert float(rows[-1]["learning_rate"]) < 0.2 * 3e-3


@pytest.mark.usefixtures("unexported")
@pytest.mark.parametrize("recipe", ["default", "paper"])
def test_recipes_train_on_nan_pixels_and_unlabelled_ground(
    make_index: MakeIndex, tmp_path: Path, recipe: str
) -> None:
    random = np.random.default_rng(0)
    image = random.normal(size=(2, 48, 48)).astype(np.float32)
    image[:, :8] = np.nan
    codes = np.where(image[0] > 0, 5, 2).astype(np.uint8)
    codes[:, 40:] = 0
    with pytest.raises(Interrupted):
        run(make_index(image=image, codes=codes), tmp_path / "m.onnx", recipe=recipe, epochs=1)
    (row,) = csv.DictReader((tmp_path / "m.checkpoint.curves.csv").read_text().splitlines())
    assert np.isfinite(float(row["loss"])) and 0 < float(row["miou"]) <= 1


@pytest.mark.usefixtures("unexported")
def test_a_checkpoint_is_neither_overwritten_nor_continued_by_chance(
    make_index: MakeIndex, tmp_path: Path
) -> None:
    index, output = make_index(), tmp_path / "m.onnx"
    with pytest.raises(Interrupted):
        run(index, output, epochs=1)
    with pytest.raises(OutputExistsError, match=r"run that was interrupted; `resume`"):
        run(index, output, epochs=1)
    with pytest.raises(CheckpointError, match="begun with seed 0, this one has 1"):
        run(index, output, epochs=1, seed=1, resume=True)
    with pytest.raises(Interrupted):
        run(index, output, epochs=1, seed=1, overwrite=True)


@pytest.mark.parametrize(
    "held", ["m.onnx", "m.stac.json", "m.curves.png", "m.int8.onnx", "m.checkpoint.pt"]
)
def test_one_run_at_a_time_makes_a_model(tmp_path: Path, held: str) -> None:
    outputs = TrainOutputs(tmp_path / "m.onnx", stac=True, resume=True)
    with (
        OutputSet([tmp_path / held], overwrite=True),
        pytest.raises(LockedError, match=f"{held}: another run is making it"),
    ):
        train([tmp_path / "t.geojson"], outputs, int8=Int8Options())
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("unexported")
def test_a_run_is_not_continued_on_an_image_that_was_replaced(
    make_index: MakeIndex, tmp_path: Path
) -> None:
    index, output = make_index(), tmp_path / "m.onnx"
    with pytest.raises(Interrupted):
        run(index, output, epochs=1)
    image = read_tile_index(index).tiles[0].image
    status, content = image.stat(), bytearray(image.read_bytes())
    content[-1] ^= 1
    image.write_bytes(content)
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(CheckpointError, match="begun with content of the inputs"):
        run(index, output, epochs=1, resume=True)
    content[-1] ^= 1
    image.write_bytes(content)
    with pytest.raises(Interrupted):
        run(index, output, epochs=1, resume=True)


@pytest.mark.usefixtures("unexported")
def test_resume_without_a_checkpoint_begins(make_index: MakeIndex, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(make_index(), tmp_path / "m.onnx", epochs=1, resume=True)
    assert checkpoint_path(tmp_path / "m.onnx").exists()


def test_an_initial_model_must_fit(
    make_index: MakeIndex, three: Nomenclature, tmp_path: Path
) -> None:
    first, both = tmp_path / "first.onnx", tmp_path / "both.onnx"
    run(make_index(), first, epochs=1)
    run(make_index("both", side=RasterContent("labels", three)), both, epochs=1)
    bands = np.arange(3 * 48 * 48, dtype=np.uint32).reshape(3, 48, 48) % 251
    renamed = dataclasses.replace(
        three, classes=(*three.classes[:2], dataclasses.replace(three.classes[2], code=8))
    )
    other = RasterContent("labels", dataclasses.replace(renamed, name="renamed"))
    plain = make_index("plain")
    cases = [
        (first, make_index("bands", bands.astype(np.uint8)), {}, "takes image of uint8 bands"),
        (first, plain, {"width": 8}, "has width 4, not 8"),
        (first, make_index("classes", nomenclature=renamed), {}, "with other classes"),
        (both, plain, {}, "takes 2 inputs, the tiles have 1; prepare the image with the same"),
        (both, make_index("side", side=other), {},
         "takes labels in three, where the tiles have labels in renamed"),
    ]  # fmt: skip
    for model, index, options, match in cases:
        with pytest.raises(InputMismatchError, match=match):
            run(index, tmp_path / "m.onnx", initial_model=model, **({"width": None} | options))


def test_contradictions_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    nowhere = [tmp_path / "none.geojson"]
    with pytest.raises(UsageError, match="`minutes`: cannot be given with `epochs`"):
        train(nowhere, TrainOutputs(tmp_path / "m.onnx"), TrainOptions(epochs=1, minutes=1))
    with pytest.raises(UsageError, match="`minutes`: must be a finite number"):
        train(nowhere, TrainOutputs(tmp_path / "m.onnx"), TrainOptions(minutes=math.inf))
    with pytest.raises(UsageError, match=r"name ends in \.onnx"):
        train(nowhere, TrainOutputs(tmp_path / "m.pt"))
    with pytest.raises(UsageError, match="needs a name"):
        train(nowhere, TrainOutputs("-"))


def test_scores_are_those_of_the_exported_model_whatever_it_was_trained_in(
    make_index: MakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lcmap.training.trainer.computes_bfloat16", lambda device: True)
    index, model = make_index(), tmp_path / "model.onnx"
    report = run(index, model, epochs=1)
    carried = read_model(model).scores["validation"]
    assert carried["miou"] == report.scores.overall[0]
    before = quantise_model(
        [index], model, tmp_path / "int8.onnx", Int8Options(max_loss=100)
    ).before
    assert before.scores.overall.tolist() == report.scores.overall.tolist()
    assert [carried["miou"], carried["oa"]] == before.scores.overall[:2].tolist()
    assert carried["ece"] == report.ece == pytest.approx(before.ece, rel=1e-6)
