"""Fine-tuning that keeps what does best from the initial model's weights to the last ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from support import run_lcmap

from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.tile_index import read_tile_index, write_tile_index
from lcmap.model_file import read_model
from lcmap.nomenclature import Nomenclature
from lcmap.training.export import WEIGHT_PREFIX
from lcmap.training.interpolation import SHARE_KEY, best_share, interpolated
from lcmap.training.options import NetworkSize, TrainOptions, TrainOutputs
from lcmap.training.recipe import RECIPES
from lcmap.training.train import TrainReport, train

MakeIndex = Callable[..., Path]
SMALL = NetworkSize(4, 1)


def test_weights_lie_on_the_way_and_counts_are_those_of_the_end() -> None:
    start = {"weight": torch.tensor([0.1, -3.0]), "batches": torch.tensor(7)}
    end = {"weight": torch.tensor([0.7, 1.0]), "batches": torch.tensor(9)}
    for share, kept in ((0.0, start), (1.0, end)):
        assert torch.equal(interpolated(start, end, share)["weight"], kept["weight"])
    quarter = interpolated(start, end, 0.25)
    assert quarter["weight"].tolist() == pytest.approx([0.25, -2.0])
    assert quarter["batches"] == 9


@pytest.mark.parametrize(
    ("scores", "of_end", "found"),
    [
        ({0.0: 0.4, 0.5: 0.6}, 0.5, 0.5),
        ({0.0: 0.4, 0.5: 0.5}, 0.5, 1.0),  # no better than the end
        ({0.0: 0.6, 0.5: 0.6}, 0.5, 0.0),
        ({0.0: float("nan")}, 0.5, 1.0),
        ({}, 0.5, 1.0),
    ],
)
def test_the_share_that_scores_best_is_found(
    scores: dict[float, float], of_end: float, found: float
) -> None:
    assert best_share(scores, scores.__getitem__, of_end) == found


def weights(model: Path) -> dict[str, NDArray[Any]]:
    return {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(str(model)).graph.initializer
        if tensor.name.startswith(WEIGHT_PREFIX) and "num_batches" not in tensor.name
    }


def same(one: Path, other: Path) -> bool:
    pair = weights(one), weights(other)
    return all(np.array_equal(value, pair[1][name]) for name, value in pair[0].items())


def with_wrong_training_labels(make_index: MakeIndex, name: str) -> Path:
    """Return an index whose training tiles call light what is dark, and dark what is light."""
    right = make_index(name)
    with rasterio.open(right.with_name(f"{name}.labels.tif")) as labels:
        codes = labels.read(1)
    wrong = make_index(f"{name}-wrong", codes=np.where(codes == 5, 2, 5).astype(np.uint8))
    index, other = read_tile_index(right), read_tile_index(wrong)
    tiles = tuple(
        dataclasses.replace(flip if tile.split == "train" else tile, split=tile.split)
        for tile, flip in zip(index.tiles, other.tiles, strict=True)
    )
    mixed = right.with_name(f"{name}-mixed.tiles.geojson")
    write_tile_index(dataclasses.replace(index, path=mixed, tiles=tiles), overwrite=True)
    return mixed


def tuned(index: Path, output: Path, initial: Path, **options: Any) -> TrainReport:
    chosen = TrainOptions(batch_size=2, epochs=2, initial_model=initial, **options)
    return train([index], TrainOutputs(output, overwrite=True), chosen)


@pytest.fixture(scope="module")
def good_model(make_shared_index: MakeIndex) -> Path:
    """A model that knows light from dark."""
    index = make_shared_index("first")
    path = index.with_name("good.onnx")
    options = TrainOptions(size=SMALL, batch_size=2, epochs=3)
    report = train([index], TrainOutputs(path), options)
    assert report.scores.overall[0] > 0.9
    assert report.share == 1.0
    assert SHARE_KEY not in read_model(path).training
    return path


@pytest.mark.parametrize("final", [False, True])
def test_tuning_that_only_harms_leaves_the_initial_weights(
    make_index: MakeIndex, tmp_path: Path, good_model: Path, final: bool
) -> None:
    index, output = with_wrong_training_labels(make_index, "new"), tmp_path / "tuned.onnx"
    words = ["-o", output, "--init-from", good_model, "--epochs", 3, "--batch-size", 2]
    result = run_lcmap("train", index, *words, *(["--final"] if final else []))
    assert result.exit_code == 0, result.stderr
    said = f"no epoch did better than {good_model}: the weights are its own"
    assert said in result.stdout.splitlines()
    assert same(output, good_model)
    training = read_model(output).training
    assert training[SHARE_KEY] == 0.0
    # no tile has trained these weights, those for validation neither
    assert "trained anew" not in result.stdout
    assert "on all tiles" not in result.stderr
    assert "trained_on" not in training and training["final"] is False


def test_weights_on_the_way_are_kept_where_they_do_best(
    make_index: MakeIndex, tmp_path: Path, good_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, output = make_index("new"), tmp_path / "tuned.onnx"
    monkeypatch.setattr("lcmap.training.trainer.best_share", lambda *_: 0.25)
    report = tuned(index, output, good_model)
    assert f"did best 25 % of the way from those of {good_model} to those of epoch" in report.text
    monkeypatch.setattr("lcmap.training.trainer.best_share", lambda *_: 1.0)
    assert " of the way" not in tuned(index, tmp_path / "whole.onnx", good_model).text
    start, quarter, end = map(weights, (good_model, output, tmp_path / "whole.onnx"))
    for name, value in quarter.items():
        way = 0.75 * start[name] + 0.25 * end[name]
        np.testing.assert_allclose(value, way, rtol=1e-5, atol=1e-6)
    assert not same(good_model, tmp_path / "whole.onnx")


def test_the_published_recipe_goes_to_the_end(
    make_index: MakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = dataclasses.replace(RECIPES["paper"], width=4, depth=1)
    monkeypatch.setitem(RECIPES, "paper", small)
    index, first = make_index("first"), tmp_path / "paper.onnx"
    options = TrainOptions(recipe="paper", batch_size=2, epochs=1)
    train([index], TrainOutputs(first), options)
    wrong = with_wrong_training_labels(make_index, "new")
    report = tuned(wrong, tmp_path / "tuned.onnx", first, recipe="paper")
    assert report.share == 1.0
    after = statistics(tmp_path / "tuned.onnx")
    assert all((after[name] != value).any() for name, value in statistics(first).items())


def statistics(model: Path) -> dict[str, NDArray[Any]]:
    return {name: value for name, value in weights(model).items() if ".running_" in name}


@pytest.mark.parametrize("batches", [4, 0])
def test_the_statistics_stay_where_there_are_few_tiles(
    make_index: MakeIndex,
    tmp_path: Path,
    good_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    batches: int,
) -> None:
    monkeypatch.setattr("lcmap.training.trainer._FEW_BATCHES", batches)
    monkeypatch.setattr("lcmap.training.trainer.best_share", lambda *_: 1.0)
    tuned(make_index("new"), tmp_path / "tuned.onnx", good_model)
    before, after = statistics(good_model), statistics(tmp_path / "tuned.onnx")
    assert before
    assert all(np.array_equal(after[name], value) for name, value in before.items()) == bool(
        batches
    )
    assert not same(tmp_path / "tuned.onnx", good_model)


def test_a_model_with_a_new_input_goes_to_the_end_and_learns_statistics(
    make_index: MakeIndex, three: Nomenclature, tmp_path: Path, good_model: Path
) -> None:
    index = make_index("both", side=RasterContent("labels", three))
    assert tuned(index, tmp_path / "both.onnx", good_model).share == 1.0
    before, after = statistics(good_model), statistics(tmp_path / "both.onnx")
    assert set(after) > set(before)
    for name, value in after.items():
        first = before.get(name, 0 if "mean" in name else 1)
        assert (value != first).any(), name
