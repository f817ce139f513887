"""A model that is calibrated on images which networks were trained without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from lcmap import defaults
from lcmap.accuracy.calibration import expected_calibration_error
from lcmap.errors import LcmapError, NoLabelledPixelError, UsageError
from lcmap.model_file import read_model
from lcmap.training import calibration, folds
from lcmap.training.calibration import Drawn
from lcmap.training.elsewhere import deal_places, fitted_across, places_of
from lcmap.training.finished_model import FinishedModel
from lcmap.training.folds import labelled_tiles
from lcmap.training.options import NetworkSize, TrainOptions, TrainOutputs
from lcmap.training.train import TrainReport, train
from tests.training.conftest import learnable

MakeIndex = Callable[..., Path]


def drawn(factor: float, seed: int, pixels: int = 20_000) -> Drawn:
    """Return scores that are too high by a factor, and labels."""
    random = np.random.default_rng(seed)
    true = random.normal(0, 1.5, (pixels, 3))
    p = softmax(true, axis=1)
    labels = (p.cumsum(axis=1) < random.random((len(p), 1))).sum(axis=1)
    return Drawn(factor * true, labels)


def test_too_sure_predictions_of_all_parts_are_brought_down_together() -> None:
    found = fitted_across([drawn(3.0, seed) for seed in range(3)], 3)
    assert found.temperatures.values == pytest.approx([3.0] * 3, rel=0.05)
    assert found.temperatures.pixels == 60_000
    assert found.ece < 0.015 < 0.15 < found.ece_before


def test_a_part_does_not_judge_the_temperatures_that_were_fitted_to_it() -> None:
    # two parts as they should be, one too sure: it alone is not helped by what the others say
    found = fitted_across([drawn(1.0, 0), drawn(1.0, 1), drawn(4.0, 2)], 3)
    before, after = (expected_calibration_error(c) for c in (found.before, found.after))
    assert after[2] == pytest.approx(before[2], abs=0.01)
    assert (after[:2] > before[:2] + 0.05).all()
    assert found.ece == pytest.approx(after.mean())


def likelihood(part: Drawn, temperature: float) -> float:
    """Return the mean log-likelihood of a part's labels."""
    p = softmax(part.scores / temperature, axis=1)
    return float(np.log(p[np.arange(len(p)), part.labels]).mean())


def test_each_part_counts_the_same_however_many_pixels_it_has() -> None:
    parts = [drawn(4.0, 0, 5_000), drawn(1.0, 1, 50_000)]
    found = float(fitted_across(parts, 2).temperatures.values[0])

    def of_parts(temperature: float) -> float:
        return float(np.mean([likelihood(part, temperature) for part in parts]))

    assert of_parts(found) > max(of_parts(found * factor) for factor in (0.98, 1.02))


def test_a_handful_of_pixels_does_not_count_as_a_part() -> None:
    odd = Drawn(np.array([[9.0, 0.0, 0.0]] * 10), np.ones(10, int))  # sure, and wrong
    found = fitted_across([drawn(1.0, 0), drawn(1.0, 1), odd], 3).temperatures.values
    assert calibration.ENOUGH > 10
    assert found == pytest.approx([1.0] * 3, abs=0.15)


def test_the_error_is_the_mean_of_the_parts_that_have_pixels() -> None:
    parts = [drawn(3.0, 0), drawn(3.0, 1, 0), drawn(3.0, 2)]
    found, without = fitted_across(parts, 3), fitted_across([parts[0], parts[2]], 2)
    assert found.ece == without.ece and found.ece_before == without.ece_before
    assert "mean of 2 of 3 parts" in found.text and "nan" not in found.text
    assert "mean of 2 parts:" in without.text
    said = found.to_dict()
    assert said["parts"] == 3 and said["parts judged"] == 2
    assert "parts" not in without.to_dict()


@pytest.mark.parametrize("pixels", [0, 20_000])
def test_an_error_that_no_two_parts_tell_is_not_known(pixels: int) -> None:
    found = fitted_across([drawn(3.0, 0, pixels), drawn(3.0, 1, 0), drawn(3.0, 2, 0)], 3)
    assert np.isnan(found.ece) and np.isnan(found.ece_before)
    assert "not known" in found.text and "nan" not in found.text
    assert found.to_dict()["parts judged"] == 0
    assert found.temperatures.values == pytest.approx([3.0 if pixels else 1.0] * 3, rel=0.05)


def test_the_picture_leaves_out_what_no_part_tells() -> None:
    measured: Any = SimpleNamespace(reliability=np.ones((3, 15)))
    for pixels, drawn_too in ((0, False), (20_000, True)):
        found = fitted_across([drawn(3.0, seed, pixels) for seed in range(3)], 3)
        model = FinishedModel(b"", found.temperatures, measured, measured, measured, found)
        names = {"left out, before", "left out, after"} if drawn_too else set()
        assert set(model.reliability) == names | {"validation"}


def indexes(make_index: MakeIndex, places: int, **options: Any) -> list[Path]:
    """Return the indexes of images of so many places."""
    return [make_index(f"zone{n}", east=1000 * n, **options) for n in range(places)]


def test_images_that_overlap_are_one_place(make_index: MakeIndex) -> None:
    for name, east in (("a", 0), ("b", 60), ("c", 30), ("d", 500), ("e", 48)):
        make_index(name, east=east)
    folder = make_index("a").parent
    tiles = labelled_tiles([folder / f"{name}.tiles.geojson" for name in "abcde"])
    names = [sorted({tile.image.stem for tile in place}) for place in places_of(tiles)]
    # b joins neither a nor e by itself, which touches a: c does
    assert names == [["a", "b", "c", "e"], ["d"]]


@pytest.mark.parametrize("places", [3, 5, 8])
def test_places_are_dealt_whole(make_index: MakeIndex, places: int) -> None:
    tiles = labelled_tiles(indexes(make_index, places))
    parts = deal_places(places_of(tiles))
    assert len(parts) == min(places, defaults.CALIBRATION_FOLDS)
    images = [{tile.image for tile in part} for part in parts]
    assert sum(map(len, images)) == len(set.union(*images)) == places
    assert max(map(len, images)) - min(map(len, images)) <= 1
    assert sum(map(len, parts)) == len(tiles)


def trained(paths: list[Path], model: Path, **files: Any) -> TrainReport:
    return train(
        paths,
        TrainOutputs(model, **files),
        TrainOptions(size=NetworkSize(8, 1), epochs=1, calibrate="elsewhere"),
    )


def unlike(make_index: MakeIndex) -> list[Path]:
    """Return the indexes of three images; in each, other values are light."""
    image, codes = learnable()
    images: list[NDArray[np.uint8]] = [image, 255 - image, np.roll(image, 7, axis=1)]
    return [
        make_index(f"zone{n}", image, codes, east=1000 * n, splits=("train", "validation", "test"))
        for n, image in enumerate(images)
    ]


def test_a_network_that_is_surely_wrong_elsewhere_becomes_less_sure(
    make_index: MakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, seen = unlike(make_index), []
    whole = folds._train_without

    def noted(run: Any, parts: Any, number: int, options: Any, progress: Any) -> Any:
        seen.append({tile.image.stem for tile in parts.held_out[number]})
        assert all(tile.split != "test" for tile in parts.held_out[number])
        return whole(run, parts, number, options, progress)

    monkeypatch.setattr(folds, "_train_without", noted)
    report = trained(paths, tmp_path / "m.onnx")
    assert sorted(map(sorted, seen)) == [["zone0"], ["zone1"], ["zone2"]]
    calibration = read_model(tmp_path / "m.onnx").calibration
    assert calibration["fitted on"] == "images left out" and calibration["places"] == 3
    temperatures = calibration["temperatures"]
    assert set(temperatures) == {"Dar", "Lig", "Nev"}
    (temperature,) = set(temperatures.values())
    assert temperature > 1.0
    assert report.elsewhere is not None
    assert calibration["ece of images left out"] == pytest.approx(report.elsewhere.ece)
    assert report.elsewhere.ece < report.elsewhere.ece_before
    assert "images left out, mean of 3 parts" in report.text
    assert not list(tmp_path.glob("*.pt"))


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_with_the_next_part(
    make_index: MakeIndex, tmp_path: Path, stopped_at_second: list[int]
) -> None:
    paths = unlike(make_index)
    with pytest.raises(KeyboardInterrupt, match="`resume`"):
        trained(paths, tmp_path / "m.onnx")
    assert (tmp_path / "m.calibration.pt").exists() and not (tmp_path / "m.onnx").exists()
    trained(paths, tmp_path / "m.onnx", resume=True)
    assert stopped_at_second == [0, 1, 1, 2]  # the first part is not trained again
    whole_run = trained(paths, tmp_path / "whole.onnx").elsewhere
    resumed = read_model(tmp_path / "m.onnx").calibration
    assert whole_run is not None
    assert resumed["ece of images left out"] == pytest.approx(whole_run.ece)


@pytest.mark.parametrize(
    ("places", "options", "files", "said"),
    [
        (2, {}, {}, "the tiles are of 2 that do not overlap"),
        (3, {}, {"export_best": True}, "takes more training"),
        (3, {"recipe": "paper"}, {}, "is for a recipe that calibrates"),
    ],
)
def test_what_cannot_be_calibrated_elsewhere_is_refused(
    make_index: MakeIndex, tmp_path: Path, places: int, options: Any, files: Any, said: str
) -> None:
    paths = indexes(make_index, places)
    there = set(tmp_path.iterdir())
    with pytest.raises(UsageError, match=said) as caught:
        train(
            paths,
            TrainOutputs(tmp_path / "m.onnx", **files),
            TrainOptions(calibrate="elsewhere", **options),
        )
    assert isinstance(caught.value, LcmapError) and caught.value.exit_code == 2
    assert "calibrate" in str(caught.value)
    assert set(tmp_path.iterdir()) == there


def test_places_without_training_tiles_are_refused_before_anything_is_trained(
    make_index: MakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [
        make_index(f"zone{n}", east=1000 * n, splits=splits)
        for n, splits in enumerate([("train", "validation"), ("validation",), ("validation",)])
    ]
    monkeypatch.setattr("lcmap.training.train._train", never)
    with pytest.raises(NoLabelledPixelError, match="too few training tiles") as caught:
        trained(paths, tmp_path / "m.onnx")
    assert "`calibrate`" in str(caught.value)
    assert not list(tmp_path.glob("m.*"))


def never(*_: Any) -> None:
    raise AssertionError("training begins")
