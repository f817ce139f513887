"""What was estimated from a probability sample, and its JSON and CSV forms.

The JSON, version 1. A figure is {"value", "se", "low", "high"}; null where undefined. Shares and
accuracies are fractions, areas hectares. Figures of the bootstrap have no "se".

    format, version, lcmap_version     "lcmap-estimate", 1 and the version that wrote it
    lcmap_digest                       in files: of options and inputs
    nomenclature                       in full, as its TOML file; K classes in order
    sample                             name, design (or null), points, without_class (points whose
                                       reference is no class), level (%), replicates, seed
    strata                             name, pixels, points of each
    reference_crosswalk                "source:target" or null
    areas                              of the reference's classes: code, name, short, points, and
                                       figures share and hectares (null without pixel areas)
    maps                               one for each map, in order:
        name, files, crosswalk         what was compared
        overall                        figures oa, miou, mf1
        classes                        code, name, short, and figures users, producers, iou, f1
        points, shares                 K rows (reference) of K + 1 numbers of points, and of
                                       estimated shares of the area; unclassified last
        difference                     null for the first map; else minus (the first map's name),
                                       overall and classes (by code) with figures
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap import __version__
from lcmap.nomenclature import Nomenclature

FORMAT = "lcmap-estimate"
VERSION = 1
OVERALL = ("oa", "miou", "mf1")
PER_CLASS = ("users", "producers", "iou", "f1")
CSV_HEADER = ("map", "minus", "code", "class", "measure", "value", "se", "low", "high")


@dataclass(frozen=True)
class Figures:
    """Estimates of one measure [K], or [1] over all classes; NaN where undefined.

    errors: standard errors; None where the interval is of the bootstrap.
    """

    value: NDArray[np.float64]
    errors: NDArray[np.float64] | None
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def figure(self, index: int = 0) -> dict[str, float | None]:
        """Return one of them, as the JSON has it."""
        numbers = {"value": self.value, "se": self.errors, "low": self.low, "high": self.high}
        return {
            key: None if math.isnan(array[index]) else float(array[index])
            for key, array in numbers.items()
            if array is not None
        }


@dataclass(frozen=True)
class MapEstimate:
    """The accuracy of one map, by measure.

    overall: of OVERALL, [1] each. classes: of PER_CLASS, [K] each. points: int64 [K, K + 1], rows
    the reference's classes, the last column unclassified. shares: the same as estimated shares of
    the area. The differences are to the first map, None for the first.
    """

    name: str
    files: tuple[str, ...]
    crosswalk: str | None
    overall: dict[str, Figures]
    classes: dict[str, Figures]
    points: NDArray[np.int64]
    shares: NDArray[np.float64]
    overall_difference: dict[str, Figures] | None
    class_difference: dict[str, Figures] | None


@dataclass(frozen=True)
class Stratum:
    """A stratum of the sample: its name, its pixels and its points."""

    name: str
    pixels: float
    points: int


@dataclass(frozen=True)
class EstimateReport:
    """Areas and accuracies estimated from a probability sample.

    shares, hectares: of the reference's classes, [K] each; hectares None where the points do not
    say the area of their pixels. level: of intervals, in percent.
    """

    nomenclature: Nomenclature
    sample: str
    design: str | None
    strata: tuple[Stratum, ...]
    without_class: int
    reference_points: NDArray[np.int64]
    reference_crosswalk: str | None
    shares: Figures
    hectares: Figures | None
    maps: tuple[MapEstimate, ...]
    level: float
    replicates: int
    seed: int

    @property
    def points(self) -> int:
        """The number of points."""
        return sum(item.points for item in self.strata)

    def to_json(self, **about: str) -> str:
        """Return the report as JSON, version 1; what else is said of it follows the version."""
        head = {"format": FORMAT, "version": VERSION, "lcmap_version": __version__}
        values = head | about | _to_dict(self)
        return json.dumps(values, ensure_ascii=False, indent=2, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """Return the report as CSV in long form: a row for each map, class and measure.

        Rows without a map are areas; rows with a map in the column `minus` are differences to that
        map; rows without a code are over all classes. Undefined figures are empty.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(CSV_HEADER)
        writer.writerows(_csv_rows(self))
        return text.getvalue()


def _to_dict(report: EstimateReport) -> dict[str, Any]:
    return {
        "nomenclature": report.nomenclature.to_dict(),
        "sample": {
            "name": report.sample,
            "design": report.design,
            "points": report.points,
            "without_class": report.without_class,
            "level": report.level,
            "replicates": report.replicates,
            "seed": report.seed,
        },
        "strata": [vars(item) for item in report.strata],
        "reference_crosswalk": report.reference_crosswalk,
        "areas": [
            {
                **_named(report, k),
                "points": int(report.reference_points[k]),
                "share": report.shares.figure(k),
                "hectares": report.hectares.figure(k) if report.hectares else None,
            }
            for k in range(len(report.nomenclature))
        ],
        "maps": [_map_to_dict(report, item) for item in report.maps],
    }


def _named(report: EstimateReport, index: int) -> dict[str, Any]:
    land = report.nomenclature.classes[index]
    return {"code": land.code, "name": land.name, "short": land.short}


def _map_to_dict(report: EstimateReport, item: MapEstimate) -> dict[str, Any]:
    difference = None
    if item.overall_difference is not None and item.class_difference is not None:
        difference = {
            "minus": report.maps[0].name,
            "overall": _overall(item.overall_difference),
            "classes": _classes(report, item.class_difference),
        }
    return {
        "name": item.name,
        "files": list(item.files),
        "crosswalk": item.crosswalk,
        "overall": _overall(item.overall),
        "classes": _classes(report, item.classes),
        "points": item.points.tolist(),
        "shares": item.shares.tolist(),
        "difference": difference,
    }


def _overall(figures: dict[str, Figures]) -> dict[str, Any]:
    return {measure: found.figure() for measure, found in figures.items()}


def _classes(report: EstimateReport, figures: dict[str, Figures]) -> list[dict[str, Any]]:
    return [
        _named(report, k) | {measure: found.figure(k) for measure, found in figures.items()}
        for k in range(len(report.nomenclature))
    ]


def _csv_rows(report: EstimateReport) -> Iterator[list[object]]:
    areas = {"share": report.shares}
    if report.hectares:
        areas["hectares"] = report.hectares
    yield from _class_rows(report, "", "", areas)
    first = report.maps[0].name
    for item in report.maps:
        kinds = [
            ("", item.overall, item.classes),
            (first, item.overall_difference, item.class_difference),
        ]
        for minus, overall, classes in kinds:
            for measure, found in (overall or {}).items():
                yield [item.name, minus, "", "", measure, *_cells(found, 0)]
            yield from _class_rows(report, item.name, minus, classes or {})


def _class_rows(
    report: EstimateReport, name: str, minus: str, figures: dict[str, Figures]
) -> Iterator[list[object]]:
    for k, land in enumerate(report.nomenclature.classes):
        for measure, found in figures.items():
            yield [name, minus, land.code, land.name, measure, *_cells(found, k)]


def _cells(figures: Figures, index: int) -> list[str]:
    found = figures.figure(index)
    return [
        "" if found.get(key) is None else f"{found[key]:.6f}"
        for key in ("value", "se", "low", "high")
    ]
