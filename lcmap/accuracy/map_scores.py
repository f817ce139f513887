"""The scores of each map, or of each method's runs, and their intervals, from counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lcmap.accuracy.confusion import margins
from lcmap.accuracy.inputs import ScoreInput
from lcmap.accuracy.intervals import Interval, block_bootstrap, means_over_runs
from lcmap.accuracy.measures import Scores, scores
from lcmap.accuracy.report import Bootstrap, MapScore
from lcmap.accuracy.tally import Tally


def map_scores(
    maps: Sequence[ScoreInput], tally: Tally, bootstrap: Bootstrap | None, *, replicate: bool
) -> tuple[MapScore, ...]:
    """Return the scores of maps that were counted, in their order.

    With `replicate`, maps of one name are runs of one method: one item has the means over them.
    """
    methods = (
        runs_of([item.name for item in maps]) if replicate else [[m] for m in range(len(maps))]
    )
    of_runs = scores(np.stack([margins(matrix) for matrix in tally.matrices]))
    values = Scores(*(means_over_runs(array, methods) for array in of_runs))
    intervals = None
    if bootstrap:
        intervals = block_bootstrap(
            tally.blocks,
            replicates=bootstrap.replicates,
            seed=bootstrap.seed,
            level=bootstrap.level,
            methods=methods,
        )
    differences = Scores(*(array - array[:1] for array in values))
    result = []
    for m, runs in enumerate(methods):
        first = maps[runs[0]]
        item = MapScore(
            name=first.name,
            files=tuple(file for run in runs for file in maps[run].file_names),
            crosswalk=first.crosswalk.name if first.crosswalk else None,
            without_source=first.crosswalk.unreached if first.crosswalk else (),
            matrix=tally.matrices[runs].sum(axis=0),
            scores=_nth(values, m),
            interval=_nth_interval(intervals.values, m) if intervals else None,
            differences=_nth(differences, m) if m else None,
            difference_interval=(
                _nth_interval(intervals.differences, m) if intervals and m else None
            ),
            runs=tuple(_nth(of_runs, run) for run in runs) if replicate else (),
            reliability=_added([tally.reliability.get(run) for run in runs]),
        )
        result.append(item)
    return tuple(result)


def _added(counts: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    """Return counts that all runs have, added up; None where one has none."""
    known = [found for found in counts if found is not None]
    return np.sum(known, axis=0) if len(known) == len(counts) else None


def runs_of(names: Sequence[str]) -> list[list[int]]:
    """Return the places of each name, in the order in which names come first."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return list(places.values())


def _nth(values: Scores, number: int) -> Scores:
    return Scores(values.per_class[number], values.overall[number])


def _nth_interval(interval: Interval, number: int) -> Interval:
    return Interval(_nth(interval.low, number), _nth(interval.high, number))
