"""Tables of results that are made up, so that every figure in them is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trials.declaration import Budget as StudyBudget
from trials.declaration import Contender, Ground, Study
from trials.rendering import to_markdown, write_tables
from trials.tables import compare

from lcmap.accuracy.calibration import BINS
from lcmap.errors import DataError
from lcmap.training.recipe import DEFAULT

CLASSES = ["Bui", "Gra"]
STUDY = Study(
    name="made up",
    baseline="one",
    contenders=(
        Contender("one", DEFAULT, title="The one"),
        Contender("other", DEFAULT),
    ),
    grounds=(
        Ground("out", "leave-one-zone-out", zones=("a", "b"), gsd=1.0),
        Ground("beside", "blocks", zones=("a", "b"), gsd=1.0),
    ),
    seeds=(0, 1),
    budget=StudyBudget(minutes=20),
    threads=2,
)


def result(contender: str, fold: str, seed: int, right: int, ground: str = "out") -> dict[str, Any]:
    """Return a result of two blocks, each of 20 pixels of two classes, `right` of each class."""
    wrong = 10 - right
    margins = [[right, right], [10, 10], [right + wrong] * 2]
    calibration = np.zeros((3, BINS))
    calibration[:, -1] = 20, 20, 2 * right
    calibrated = calibration.copy()
    calibrated[1, -1] = 2 * right
    block = {
        "margins": margins,
        "calibration": calibration.tolist(),
        "calibrated": calibrated.tolist(),
    }
    return {
        "run": {"contender": contender, "ground": ground, "fold": fold, "seed": seed},
        "classes": CLASSES,
        "network": {"parameters": 1_000_000, "mac_per_pixel": 40_000, "predict_ns_per_pixel": None},
        "training": {"steps": 100, "seconds": 1200.0, "processor_seconds": 2400.0},
        "test": {
            "only_in_test": ["Bui"] if fold == "b" else [],
            "blocks": [{"place": [0, 0, col], **block} for col in range(2)],
        },
        "machine": {
            "device": "cpu", "processor": "A processor", "flags": ["avx2"], "threads": 2,
            "python": "3.11.7", "libraries": {"torch": "2.13.0"}, "commit": "abc",
        },
    }  # fmt: skip


def results(right: dict[tuple[str, str, int], int]) -> dict[str, dict[str, Any]]:
    return {
        f"{contender}/out/{fold}/{seed}": result(contender, fold, seed, number)
        for (contender, fold, seed), number in right.items()
    }


RIGHT = {
    ("one", "a", 0): 8, ("one", "a", 1): 8, ("one", "b", 0): 5, ("one", "b", 1): 5,
    ("other", "a", 0): 9, ("other", "a", 1): 9, ("other", "b", 0): 6,
}  # fmt: skip


def iou(right: int) -> float:
    return right / (20 - right)


def test_values_differences_and_what_is_missing() -> None:
    comparison = compare(STUDY, list(STUDY.runs), results(RIGHT))
    (table,) = comparison.grounds  # the other ground has no result
    one, other = table.rows
    assert (one.runs, other.runs, table.expected) == (4, 3, 4)
    assert table.missing == ("other/out/b/1",)
    miou, oa, ece, after, building, grass = one.value.value
    assert miou == building == grass == pytest.approx((iou(8) + iou(5)) / 2)
    assert oa == pytest.approx(0.65)
    assert ece == pytest.approx(0.35)  # it is always sure
    assert after == pytest.approx(0)
    assert one.by_fold == pytest.approx({"a": iou(8), "b": iou(5)})
    assert one.difference is None
    assert other.difference is not None
    assert other.paired == 3
    assert other.difference.value[1] == pytest.approx(0.1)
    # one is better by as much in each fold, seed and block
    assert other.difference.low[1] == pytest.approx(0.1)
    assert other.difference.high[1] == pytest.approx(0.1)
    # draws are of zone a twice, of both, or of b twice
    assert (one.value.low[1], one.value.high[1]) == pytest.approx((0.5, 0.8))
    assert table.only_in_test == {"b": ["Bui"]}
    assert other.costs["processor_seconds"] == 2400
    assert np.isnan(other.costs["predict_ns_per_pixel"])


def test_differences_are_of_the_runs_that_both_have() -> None:
    right = {("one", "a", 0): 8, ("other", "a", 0): 9, ("other", "b", 0): 2}
    (table,) = compare(STUDY, list(STUDY.runs), results(right)).grounds
    other = table.rows[1]
    assert (other.runs, other.paired) == (2, 1)
    assert other.difference is not None
    assert other.difference.value[1] == pytest.approx(0.1)
    assert other.value.value[1] == pytest.approx(0.55)


def test_markdown_says_what_a_reader_needs(tmp_path: Path) -> None:
    comparison = compare(STUDY, list(STUDY.runs), results(RIGHT))
    write_tables(comparison, tmp_path / "table.md")
    text = (tmp_path / "table.md").read_text()
    assert text == to_markdown(comparison)
    assert "20 minutes of training and validation a run; threads: 2" in text
    assert "| The one | 4 of 4 | 50.0 (33.3 to 66.7) |  | 65.0 (50.0 to 80.0) |" in text
    assert "+10.0 (+10.0 to +10.0)" in text
    assert "draws of 2 zones, 2 seeds, blocks of 128 px" in text
    assert "In fold b no training tile has Bui." in text
    assert "Without a result: other/out/b/1." in text
    assert "| The one | 1 000 000 | 40.0 | – | 100 | 20.0 | 40.0 |" in text
    assert "A processor (avx2), threads: 2, Python 3.11.7, torch 2.13.0, commit abc" in text
    for row in text.split("\n\n"):
        if row.startswith("|"):
            assert len({line.count("|") for line in row.splitlines()}) == 1
    document = json.loads((tmp_path / "table.json").read_text())
    (ground,) = document["grounds"]
    values = ground["contenders"][0]["values"]
    assert values["oa"] == pytest.approx({"value": 0.65, "low": 0.5, "high": 0.8})
    assert set(values) == {"miou", "oa", "ece", "ece_calibrated", "iou Bui", "iou Gra"}
    assert ground["contenders"][0]["costs"]["predict_ns_per_pixel"] is None


def test_budgets_of_contenders_stand_beside_that_of_the_study() -> None:
    one, other = STUDY.contenders
    own = replace(STUDY, contenders=(one, replace(other, budget=StudyBudget(steps=740))))
    text = to_markdown(compare(own, list(own.runs), results(RIGHT)))
    assert "20 minutes (other: 740 steps) of training and validation a run; threads: 2" in text


def test_one_split_and_one_seed_are_said_not_to_be_covered() -> None:
    found = {"one/beside/split0/0": result("one", "split0", 0, 8, "beside")}
    (table,) = compare(STUDY, list(STUDY.runs), found).grounds
    assert table.covered == (
        "draws of blocks of 128 px; they do not cover other spatial splits or other seeds"
    )


def test_results_of_other_ground_are_not_compared() -> None:
    found = results(RIGHT)
    found["other/out/a/1"]["test"]["blocks"][0]["place"] = [0, 7, 7]
    with pytest.raises(DataError, match="other/out/a/1: was tested on other ground"):
        compare(STUDY, list(STUDY.runs), found)


def test_without_a_result_there_is_no_table() -> None:
    with pytest.raises(DataError, match="no run has a result"):
        compare(STUDY, list(STUDY.runs), {})
