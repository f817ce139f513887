"""The results of a study set side by side: means, intervals, differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.errors import DataError
from trials.declaration import Contender, Ground, Run, Study
from trials.statistics import OVERALL_MEASURES, Counts, Estimate, bootstrap, mean_measures

REPLICATES = 2000
LEVEL = 95.0
_SEED = 0

Result = Mapping[str, Any]
Cells = dict[str, dict[int, Result]]
"""Results by fold and seed."""


@dataclass(frozen=True)
class Row:
    """A contender on a ground.

    value, difference: [3 + K], see `measures`; the difference is from the baseline in the folds
    and seeds that both have, None of the baseline itself and where there is no such run.
    by_fold: the mean mIoU of each fold.
    costs: medians over runs of what training and prediction take.
    """

    contender: Contender
    runs: int
    value: Estimate
    difference: Estimate | None
    paired: int
    by_fold: dict[str, float]
    costs: dict[str, float]


@dataclass(frozen=True)
class GroundTable:
    """All contenders on a ground; `expected` runs of each, `missing` the names of those that lack.

    only_in_test: the classes of a fold's test ground that its training tiles lack.
    """

    ground: Ground
    classes: tuple[str, ...]
    rows: tuple[Row, ...]
    expected: int
    missing: tuple[str, ...]
    covered: str
    only_in_test: dict[str, list[str]]


@dataclass(frozen=True)
class Comparison:
    """A study's tables, and what its runs were carried out by."""

    study: Study
    grounds: tuple[GroundTable, ...]
    machines: tuple[str, ...] = field(default=())


def compare(study: Study, runs: Sequence[Run], results: Mapping[str, Result]) -> Comparison:
    """Return the tables of the runs that have a result.

    Raises:
        DataError: none has, or two results are not of the same ground.
    """
    tables = [_ground_table(study, ground, runs, results) for ground in study.grounds]
    found = tuple(table for table in tables if table.rows)
    if not found:
        raise DataError(study.name, "no run has a result", "carry it out without `table` first")
    machines = sorted({_machine(result) for result in results.values()})
    return Comparison(study, found, tuple(machines))


def _machine(result: Result) -> str:
    about = result["machine"]
    libraries = ", ".join(f"{name} {number}" for name, number in about["libraries"].items())
    trained = "" if about["device"] == "cpu" else f"trained on {about['device']}; "
    return (
        f"{trained}{about['processor']} ({', '.join(about['flags'])}), "
        f"threads: {about['threads']}, Python {about['python']}, {libraries}, "
        f"commit {about['commit']}"
    )


def _ground_table(
    study: Study, ground: Ground, runs: Sequence[Run], results: Mapping[str, Result]
) -> GroundTable:
    wanted = [run for run in runs if run.ground.name == ground.name]
    of_each: dict[str, Cells] = {contender.name: {} for contender in study.contenders}
    for run in wanted:
        if run.name in results:
            of_each[run.contender.name].setdefault(run.fold, {})[run.seed] = results[run.name]
    baseline = of_each[study.baseline]
    rows = tuple(
        _row(contender, of_each[contender.name], baseline, contender.name == study.baseline)
        for contender in study.contenders
        if of_each[contender.name]
    )
    found = [results[run.name] for run in wanted if run.name in results]
    most = max(of_each.values(), key=lambda cells: sum(map(len, cells.values())))
    return GroundTable(
        ground=ground,
        classes=tuple(found[0]["classes"]) if found else (),
        rows=rows,
        expected=len({(run.fold, run.seed) for run in wanted}),
        missing=tuple(run.name for run in wanted if run.name not in results),
        covered=_covered(ground, most) if found else "",
        only_in_test={
            result["run"]["fold"]: result["test"]["only_in_test"]
            for result in found
            if result["test"]["only_in_test"]
        },
    )


def _covered(ground: Ground, cells: Cells) -> str:
    """Return what intervals are drawn from, and what they do not cover."""
    fold = "zones" if ground.protocol == "leave-one-zone-out" else "spatial splits"
    seeds = max(map(len, cells.values()))
    drawn, alone = [], []
    for number, what in ((len(cells), fold), (seeds, "seeds")):
        if number > 1:
            drawn.append(f"{number} {what}")
        else:
            alone.append(f"other {what}")
    text = f"draws of {', '.join([*drawn, f'blocks of {ground.block} px'])}"
    return f"{text}; they do not cover {' or '.join(alone)}" if alone else text


def _row(contender: Contender, cells: Cells, baseline: Cells, is_baseline: bool) -> Row:
    value = bootstrap(_counts([cells]), replicates=REPLICATES, seed=_SEED, level=LEVEL)[0]
    shared = _shared(cells, baseline)
    difference = None
    if shared and not is_baseline:
        pair = [{f: {s: of[f][s] for s in shared[f]} for f in shared} for of in (baseline, cells)]
        _, apart = bootstrap(_counts(pair), replicates=REPLICATES, seed=_SEED, level=LEVEL)
        difference = Estimate(*(array[1] for array in apart))
    miou = OVERALL_MEASURES.index("miou")
    all_results = [result for seeds in cells.values() for result in seeds.values()]
    return Row(
        contender=contender,
        runs=len(all_results),
        value=Estimate(*(array[0] for array in value)),
        difference=difference,
        paired=sum(map(len, shared.values())),
        by_fold={
            fold: float(mean_measures(_counts([{fold: seeds}]))[0, miou])
            for fold, seeds in cells.items()
        },
        costs={
            name: _median([result[part][name] for result in all_results])
            for part, name in (
                ("network", "parameters"),
                ("network", "mac_per_pixel"),
                ("network", "predict_ns_per_pixel"),
                ("training", "steps"),
                ("training", "seconds"),
                ("training", "processor_seconds"),
            )
        },
    )


def _median(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else math.nan


def _shared(cells: Cells, others: Cells) -> dict[str, list[int]]:
    """Return the folds and seeds that both have."""
    shared = {
        fold: [seed for seed in seeds if seed in others.get(fold, {})]
        for fold, seeds in cells.items()
    }
    return {fold: seeds for fold, seeds in shared.items() if seeds}


def _counts(contenders: Sequence[Cells]) -> list[Counts]:
    """Return the counts of each fold, [seeds, contenders, blocks, …]; all have the same cells.

    Raises:
        DataError: the results of a fold are not of the same blocks.
    """
    folds = []
    for fold, seeds in contenders[0].items():
        results = [[cells[fold][seed] for cells in contenders] for seed in seeds]
        places = results[0][0]["test"]["blocks"]
        for result in (result for row in results for result in row):
            found = result["test"]["blocks"]
            if [block["place"] for block in found] != [block["place"] for block in places]:
                raise DataError(
                    "/".join(map(str, result["run"].values())),
                    "was tested on other ground than the runs it is compared with",
                    "remove its result and carry it out again",
                )
        folds.append(Counts(*(_stacked(results, name) for name in Counts._fields)))
    return folds


def _stacked(results: Sequence[Sequence[Result]], name: str) -> NDArray[np.float64]:
    return np.array(
        [[[b[name] for b in result["test"]["blocks"]] for result in row] for row in results],
        np.float64,
    )
