"""Tables of a study as Markdown and JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lcmap.raster.writing import atomic_path
from trials.costing import Cost
from trials.declaration import Study
from trials.statistics import OVERALL_MEASURES, Estimate
from trials.tables import LEVEL, REPLICATES, Comparison, GroundTable, Row

BUILDINGS = ("Bui", "Roo")
"""The class that is shown among the overall measures, as the nomenclatures call it."""


def write_tables(comparison: Comparison, path: Path) -> None:
    """Write the tables as Markdown, and as JSON beside that.

    Raises:
        CannotWriteError: as `atomic_path`.
    """
    for file, text in (
        (path, to_markdown(comparison)),
        (path.with_suffix(".json"), json.dumps(to_dict(comparison), indent=1) + "\n"),
    ):
        with atomic_path(file, overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")


def to_markdown(comparison: Comparison) -> str:
    """Return the tables as Markdown; accuracies in percent, intervals in brackets."""
    study = comparison.study
    lines = [
        f"# {study.name}",
        "",
        f"{_budgets(study)} of training and validation a run; threads: {study.threads}. "
        f"In percent; intervals are at {LEVEL:g} %. Differences are from "
        f"{_title(study, study.baseline)}, in points.",
    ]
    for table in comparison.grounds:
        lines += ["", f"## {table.ground.title or table.ground.name}", "", *_ground_lines(table)]
    lines += ["", "Carried out by:", "", *(f"- {machine}" for machine in comparison.machines)]
    return "\n".join(lines) + "\n"


def _budgets(study: Study) -> str:
    """Return what a run may take, and which contenders have a budget of their own."""
    own = [f"{_title(study, c.name)}: {c.budget.text}" for c in study.contenders if c.budget]
    return f"{study.budget.text} ({'; '.join(own)})" if own else study.budget.text


def _title(study: Study, name: str) -> str:
    (found,) = [item for item in study.contenders if item.name == name]
    return found.title or name


def _ground_lines(table: GroundTable) -> list[str]:
    shown = [name for name in table.classes if name in BUILDINGS]
    places = _places(table)
    overall = ["miou", "oa", *shown, "ece", "ece_calibrated"]
    titles = ["mIoU", "OA", *(f"IoU {name}" for name in shown), "ECE", "ECE calibrated"]
    lines = _markdown(
        ["contender", "runs", *(x for title in titles for x in (title, "difference"))],
        [
            [
                _named(row), f"{row.runs} of {table.expected}",
                *(x for name in overall for x in _pair(row, places[name])),
            ]
            for row in table.rows
        ],
    )  # fmt: skip
    lines += ["", "IoU by class, and its difference:", ""]
    lines += _markdown(
        ["contender", *table.classes],
        [
            [
                _named(row),
                *("; ".join(filter(None, _pair(row, places[name]))) for name in table.classes),
            ]
            for row in table.rows
        ],
    )
    folds = list(dict.fromkeys(fold for row in table.rows for fold in row.by_fold))
    lines += ["", "mIoU by fold:", ""]
    lines += _markdown(
        ["contender", *folds],
        [
            [_named(row), *(_percent(row.by_fold.get(fold, math.nan)) for fold in folds)]
            for row in table.rows
        ],
    )
    lines += ["", "Cost, medians of the runs:", ""]
    lines += _markdown(
        ["contender", "parameters", "kMAC/px", "ns/px", "steps", "minutes", "processor minutes"],
        [[_named(row), *_cost_cells(row.costs)] for row in table.rows],
    )
    return [*lines, "", *_notes(table)]


def _places(table: GroundTable) -> dict[str, int]:
    """Return where each measure is in an estimate."""
    return {name: place for place, name in enumerate((*OVERALL_MEASURES, *table.classes))}


def _named(row: Row) -> str:
    return row.contender.title or row.contender.name


def _pair(row: Row, place: int) -> list[str]:
    """Return the cells of a value and of its difference, each with its interval."""
    value = _with_interval(row.value, place, "")
    return [value, _with_interval(row.difference, place, "+") if row.difference else ""]


def _with_interval(estimate: Estimate, place: int, sign: str) -> str:
    value, low, high = (float(array[place]) for array in estimate)
    if math.isnan(value):
        return "–"
    return f"{_percent(value, sign)} ({_percent(low, sign)} to {_percent(high, sign)})"


def _percent(value: float, sign: str = "") -> str:
    return "–" if math.isnan(value) else f"{100 * value:{sign}.1f}"


def _cost_cells(costs: Mapping[str, float]) -> list[str]:
    return [
        "–" if math.isnan(costs[name]) else f"{costs[name] / unit:,.{digits}f}".replace(",", " ")
        for name, unit, digits in (
            ("parameters", 1, 0),
            ("mac_per_pixel", 1000, 1),
            ("predict_ns_per_pixel", 1, 0),
            ("steps", 1, 0),
            ("seconds", 60, 1),
            ("processor_seconds", 60, 1),
        )
    ]


def costs_to_markdown(found: Mapping[str, Cost]) -> str:
    """Return what contenders cost as a table in Markdown; the first is what ratios are to."""
    first = next(iter(found.values()))
    return "\n".join(
        _markdown(
            ["contender", "parameters", "kMAC/px", "a training step", "", "prediction", ""],
            [
                [
                    name,
                    f"{cost.parameters:,}".replace(",", " "),
                    f"{cost.mac_per_pixel / 1000:.1f}",
                    f"{cost.step:.2f} s",
                    f"× {cost.step / first.step:.2f}",
                    f"{cost.prediction:.0f} ns/px",
                    f"× {cost.prediction / first.prediction:.2f}",
                ]
                for name, cost in found.items()
            ],
        )
    ) + "\n"  # fmt: skip


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]


def _notes(table: GroundTable) -> list[str]:
    kind = (
        "the zone left out, whole; the test tiles of the other zones train"
        if table.ground.protocol == "leave-one-zone-out"
        else "the test tiles of the split"
    )
    lines = [
        f"Tested: {kind}. A value is the mean over folds of the mean over seeds; the IoU of a "
        f"class is over the folds that have it. Intervals: {table.covered}."
    ]
    for row in table.rows:
        if row.difference and row.paired < row.runs:
            lines.append(f"{_named(row)}: its difference is over {row.paired} runs.")
    for fold, classes in sorted(table.only_in_test.items()):
        lines.append(f"In fold {fold} no training tile has {', '.join(classes)}.")
    if table.missing:
        lines.append(f"Without a result: {', '.join(table.missing)}.")
    return lines


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """Return the tables as JSON values; fractions, None where there is no value."""
    return {
        "study": comparison.study.name,
        "budget": dataclasses.asdict(comparison.study.budget),
        "baseline": comparison.study.baseline,
        "level": LEVEL,
        "replicates": REPLICATES,
        "machines": list(comparison.machines),
        "grounds": [
            {
                "ground": table.ground.name,
                "classes": list(table.classes),
                "expected_runs": table.expected,
                "missing": list(table.missing),
                "intervals": table.covered,
                "only_in_test": table.only_in_test,
                "contenders": [_row_to_dict(table, row) for row in table.rows],
            }
            for table in comparison.grounds
        ],
    }


def _row_to_dict(table: GroundTable, row: Row) -> dict[str, Any]:
    return {
        "contender": row.contender.name,
        "runs": row.runs,
        "paired_runs": row.paired,
        "values": _estimates(table, row.value),
        "differences": _estimates(table, row.difference) if row.difference else None,
        "miou_by_fold": {fold: _number(value) for fold, value in row.by_fold.items()},
        "costs": {name: _number(value) for name, value in row.costs.items()},
    }


def _estimates(table: GroundTable, estimate: Estimate) -> dict[str, dict[str, float | None]]:
    names = [*OVERALL_MEASURES, *(f"iou {name}" for name in table.classes)]
    return {
        name: {part: _number(float(array[place])) for part, array in estimate._asdict().items()}
        for place, name in enumerate(names)
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
