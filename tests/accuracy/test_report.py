"""The forms that scripts read: JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from lcmap.accuracy.confusion import margins
from lcmap.accuracy.intervals import Interval
from lcmap.accuracy.measures import OVERALL, PER_CLASS, Scores, scores
from lcmap.accuracy.report import CSV_HEADER, Bootstrap, MapScore, Report, of_class, overall
from lcmap.nomenclature import load_nomenclature

TOPO6 = load_nomenclature("topo6")


def map_score(name: str, matrix: np.ndarray, first: MapScore | None = None) -> MapScore:
    found = scores(margins(matrix))
    interval = Interval(
        *(Scores(found.per_class + shift, found.overall + shift) for shift in (-0.1, 0.1))
    )
    differences = None
    if first:
        pairs = zip(found, first.scores, strict=True)
        differences = Scores(*(own - other for own, other in pairs))
    return MapScore(
        name,
        (f"{name}.tif",),
        None,
        (),
        matrix,
        found,
        interval,
        differences,
        Interval(differences, differences) if differences else None,
    )


@pytest.fixture
def report() -> Report:
    """Two maps in topo6; the reference lacks the last class, the second map misses 5 pixels."""
    one = np.zeros((6, 7), np.int64)
    one[range(5), range(5)] = (50, 40, 300, 20, 90)
    one[0, 5] = 7
    two = one.copy()
    two[2, 2] -= 5
    two[2, 6] += 5
    first = map_score("one", one)
    return Report(
        nomenclature=TOPO6,
        only=None,
        maps=(first, map_score("two", two, first)),
        references=("ref.tif",),
        reference_crosswalk=None,
        tiles=("t.geojson",),
        split="test",
        pixels=int(one.sum()),
        not_covered=3,
        left_out_unclassified=0,
        bootstrap=Bootstrap(1000, 95.0, 256, 40, 0),
    )


def test_json_holds_everything(report: Report) -> None:
    found = json.loads(report.to_json())
    assert (found["format"], found["version"]) == ("lcmap-score", 1)
    assert found["nomenclature"] == TOPO6.to_dict()
    assert found["pixels"] == {"scored": 507, "not_covered": 3, "left_out_unclassified": 0}
    assert found["bootstrap"] == {
        "replicates": 1000, "level": 95.0, "block": 256, "blocks": 40, "seed": 0,
        "unit": "default", "images": 1, "images_differ": False,
    }  # fmt: skip
    one, two = found["maps"]
    assert one["files"] == ["one.tif"]
    assert one["confusion"] == report.maps[0].matrix.tolist()
    assert (one["unclassified"], two["unclassified"]) == (0, 5)
    assert [item["short"] for item in one["classes"]] == [item.short for item in TOPO6.classes]
    buffer = one["classes"][0]
    assert (buffer["code"], buffer["reference"], buffer["predicted"]) == (1, 57, 50)
    assert buffer["recall"]["value"] == pytest.approx(50 / 57)
    assert buffer["recall"]["low"] == pytest.approx(50 / 57 - 0.1)
    assert one["difference"] is None
    assert two["difference"]["minus"] == "one"
    assert two["difference"]["overall"]["oa"]["value"] == pytest.approx(-5 / 507)
    assert two["difference"]["classes"][2]["iou"]["value"] == pytest.approx(-5 / 300)


def test_json_has_null_for_what_is_undefined(report: Report) -> None:
    buildings = json.loads(report.to_json())["maps"][0]["classes"][5]
    assert (buildings["reference"], buildings["predicted"]) == (0, 7)
    for measure in PER_CLASS:
        assert buildings[measure] == {"value": None, "low": None, "high": None}


def test_csv_has_a_row_for_each_map_class_and_measure(report: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert tuple(rows[0]) == CSV_HEADER
    assert len(rows) == 3 * (len(OVERALL) + 6 * len(PER_CLASS)), "two maps and one difference"
    key = ("two", "one", "Crops and low vegetation", "recall")
    keys = [(row["map"], row["minus"], row["class"], row["measure"]) for row in rows]
    row = rows[keys.index(key)]
    assert (row["code"], float(row["value"])) == ("3", pytest.approx(-5 / 300, abs=1e-6))
    undefined = [row for row in rows if row["code"] == "6"]
    assert {row["value"] for row in undefined} == {""}


def test_without_bootstrap_there_are_no_ends(report: Report) -> None:
    plain = replace(
        report,
        bootstrap=None,
        maps=tuple(replace(m, interval=None, difference_interval=None) for m in report.maps),
    )
    found = json.loads(plain.to_json())
    assert found["bootstrap"] is None
    assert found["maps"][0]["overall"]["oa"]["low"] is None
    assert all(row["low"] == "" for row in csv.DictReader(io.StringIO(plain.to_csv())))


def test_a_single_figure(report: Report) -> None:
    one = report.maps[0]
    assert overall(one.scores, one.interval, "oa")[0] == pytest.approx(500 / 507)
    assert of_class(one.scores, one.interval, "iou", 0)[0] == pytest.approx(50 / 57)
    value, low, high = of_class(one.scores, None, "iou", 0)
    assert math.isnan(low) and math.isnan(high) and not math.isnan(value)
