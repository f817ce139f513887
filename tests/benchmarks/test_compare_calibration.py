"""Confidence fitted beside and elsewhere, compared as its user does."""

from __future__ import annotations

import json
from pathlib import Path

import compare_calibration as command
import numpy as np
import pytest
from compare_calibration import (
    Fitted,
    Predicted,
    Scored,
    by_class,
    drawn,
    one_and_even,
    one_for_all,
)
from scipy.special import softmax
from support import EXAMPLE_DATA

STUDY = f"""
name = "tiny"
baseline = "plain"
seeds = [0]
budget = {{ steps = 3 }}
[[contenders]]
name = "plain"
recipe = {{ width = 4, depth = 2, crop = 32, batch_size = 2 }}
[[grounds]]
name = "out"
protocol = "leave-one-zone-out"
folder = "{EXAMPLE_DATA.as_posix()}"
zones = ["suburb", "lagoon", "vineyards"]
image = "{{zone}}_rgbn.tif"
labels = "{{zone}}_labels.tif"
[[grounds]]
name = "beside"
protocol = "blocks"
folder = "{EXAMPLE_DATA.as_posix()}"
zones = ["suburb"]
image = "{{zone}}_rgbn.tif"
labels = "{{zone}}_labels.tif"
"""


def too_sure(factor: float, even: float = 0.0) -> Predicted:
    """Return scores too high by a factor, and labels, a share of which is drawn evenly."""
    random = np.random.default_rng(0)
    true = random.normal(0, 1.5, (20_000, 4))
    p = (1 - even) * softmax(true, axis=1) + even / 4
    labels = (p.cumsum(axis=1) < random.random((len(p), 1))).sum(axis=1)
    return Predicted((factor * true).astype(np.float32), labels.astype(np.uint8))


def scored(fit: Fitted, zone: Predicted) -> Scored:
    return Scored.of(fit.confidence(zone.scores), zone.scores.argmax(axis=1) == zone.labels)


def test_what_makes_scores_too_sure_is_found() -> None:
    zone = too_sure(3.0)
    plain = Fitted(np.ones(4))
    for fit in (by_class(zone), one_for_all(zone)):
        assert fit.temperatures == pytest.approx([3.0] * 4, rel=0.1)
        assert scored(fit, zone).ece < 0.01 < 0.1 < scored(plain, zone).ece
        assert scored(fit, zone).brier < scored(plain, zone).brier
    mixed = too_sure(2.0, even=0.5)
    fit = one_and_even(mixed)
    assert fit.even == pytest.approx(0.5, abs=0.05)
    assert fit.temperatures == pytest.approx([2.0] * 4, rel=0.1)
    assert scored(fit, mixed).ece < 0.02


def test_counts_of_zones_are_added() -> None:
    right = np.array([True, True, False, False])
    one = Scored.of(np.array([1.0, 0.5, 0.5, 0.0]), right)
    assert (one.brier, one.accuracy, one.confidence) == (0.125, 0.5, 0.5)
    both = one + Scored.of(np.array([1.0]), np.array([False]))
    assert both.brier == pytest.approx(1.5 / 5)
    assert both.accuracy == pytest.approx(2 / 5)


def test_zones_count_alike() -> None:
    zones = [Predicted(np.full((size, 2), size), np.zeros(size, np.uint8)) for size in (50, 900)]
    found = drawn(zones, 20, seed=0)
    assert np.unique(found.scores[:, 0], return_counts=True)[1].tolist() == [20, 20]
    assert len(drawn(zones, 100, seed=0).labels) == 150


def test_zones_are_left_out_in_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "PIXELS", 2000)
    study, work = tmp_path / "study.toml", tmp_path / "work"
    study.write_text(STUDY)
    words = [str(study), "--work", str(work), "--contender", "plain", "--ground", "out"]
    words += ["--zones", "suburb", "lagoon"]
    assert command.main(words) == 0
    printed = capsys.readouterr().out
    names = sorted(path.name.split(".")[0] for path in (work / "scores").iterdir())
    assert names == ["without-lagoon", "without-lagoon-suburb", "without-suburb"]
    values = json.loads((work / "calibration.json").read_text())
    assert set(values) == {"lagoon", "suburb"}
    for ways in values.values():
        # the map is the same, however sure it is
        accuracy = {round(of_way["accuracy"], 9) for of_way in ways.values()}
        assert len(accuracy) == 1
        constant = ways["one confidence for all pixels"]
        assert constant["ece"] == pytest.approx(abs(constant["confidence"] - accuracy.pop()))
    mean = 100 * np.mean([ways["beside"]["ece"] for ways in values.values()])
    (line,) = [line for line in printed.splitlines() if line.startswith("| beside |")]
    assert f" {mean:.1f} " in line
    monkeypatch.setattr(command, "train", None)  # what is there is not made again
    assert command.main(words) == 0
    assert capsys.readouterr().out == printed


def test_a_class_that_was_not_shown_never_wins(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    scores = np.array([[1, 2, 3], [3, 2, 1], [0, 4, 9]], np.float32)
    labels, shares = np.array([2, 0, 1], np.uint8), np.array([0.5, 0.5, 0.0])
    np.savez(path, **{"scores.a": scores, "labels.a": labels, "shares": shares})
    assert command.read_zone(path, "a").scores.argmax(axis=1).tolist() == [1, 0, 1]
    assert command.read_zone(path, "a", learnt=True).labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("ground", "zones", "said"),
    [
        ("beside", [], "does not leave out one"),
        ("none", [], "is no run of the study"),
        ("out", ["--zones", "suburb"], "are not two zones or more of the ground"),
        ("out", ["--zones", "suburb", "moon"], "choose of suburb lagoon vineyards"),
    ],
)
def test_a_run_without_zones_to_leave_out_is_refused(
    ground: str, zones: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "study.toml"
    study.write_text(STUDY)
    words = ["--contender", "plain", "--ground", ground, "--work", str(tmp_path / "work")]
    assert command.main([str(study), *words, *zones]) == 2
    assert said in capsys.readouterr().err
