"""What a scoring run found, and its JSON and CSV forms.

The JSON, version 1. A figure is {"value", "low", "high"}, fractions; null where undefined, and
low and high null without intervals.

    format, version, lcmap_version     "lcmap-score", 1 and the version that wrote it
    lcmap_digest                       in files: of options and inputs
    nomenclature                       in full, as its TOML file; K classes in order
    only_classes                       codes that --classes chose, or null
    references, tiles, split           files; split null without a tile index
    reference_crosswalk                "source:target" or null
    pixels                             scored, not_covered, left_out_unclassified
    bootstrap                          replicates, level (%), block (px, the largest edge; null for
                                       images), blocks, seed, unit (what a block is: "split",
                                       "given", "default" or "image"), images (how many have a
                                       scored pixel), images_differ (more than blocks do, so that
                                       intervals hold on their ground alone); or null
    maps                               one for each map, in order:
        name, files, crosswalk         what was scored
        without_source                 codes that no class of the map's own leads to
        unclassified                   scored pixels without a class
        overall                        figures miou, oa, kappa, mf1
        classes                        code, name, short, pixels in reference and predicted, and
                                       figures iou, precision, recall, f1
        confusion                      K rows (reference) of K + 1 counts, unclassified last
        runs                           with --replicate, figures miou, oa, kappa, mf1 of each run;
                                       else null. What stands above are means over them, counts
                                       of the map are sums
        difference                     null for the first map; else minus (the first map's name),
                                       overall and classes (by code) with figures
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lcmap import __version__
from lcmap.accuracy.intervals import Interval
from lcmap.accuracy.measures import OVERALL, PER_CLASS, Scores
from lcmap.nomenclature import Nomenclature

FORMAT = "lcmap-score"
VERSION = 1

CSV_HEADER = ("map", "minus", "code", "class", "measure", "value", "low", "high")


def listed(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


@dataclass(frozen=True)
class MapScore:
    """One map's confusion with the reference and the measures that follow.

    matrix is int64 [K, K+1]: rows the reference's classes, columns the map's, the last one
    unclassified. `without_source` holds the codes of classes that the map cannot have, for no
    class of its own leads there. `differences` are this map's measures minus the first map's,
    None for the first. `runs` holds the scores of each run where the map is several of them: the
    matrix is their sum, the scores are their means. `reliability` holds the counts of
    `accuracy.calibration`, float64 [3, bins], where the confidence was given.
    """

    name: str
    files: tuple[str, ...]
    crosswalk: str | None
    without_source: tuple[int, ...]
    matrix: NDArray[np.int64]
    scores: Scores
    interval: Interval | None
    differences: Scores | None
    difference_interval: Interval | None
    runs: tuple[Scores, ...] = ()
    reliability: NDArray[np.float64] | None = None

    @property
    def reference_pixels(self) -> NDArray[np.int64]:
        """int64 [K]: scored pixels of each class in the reference."""
        pixels: NDArray[np.int64] = self.matrix.sum(axis=1) // max(1, len(self.runs))
        return pixels

    @property
    def unclassified(self) -> int:
        """The number of scored pixels that the map leaves without a class, over all its runs."""
        return int(self.matrix[:, -1].sum())


@dataclass(frozen=True)
class Bootstrap:
    """How the intervals were made: level in percent, blocks drawn from and their edge in pixels.

    `unit` says what the blocks are. The edge is the largest, and None where they are images.
    `images_differ` where blocks are of several images that differ more than the blocks do.
    """

    replicates: int
    level: float
    block: int | None
    blocks: int
    seed: int
    unit: Literal["split", "given", "default", "image"] = "default"
    images: int = 1
    images_differ: bool = False


@dataclass(frozen=True)
class Report:
    """A scoring run: every map was measured on the same pixels of the same references.

    pixels is the number scored; beside it labelled pixels that some map does not cover, and those
    left out because some map has no class there. `pixel_area` is that of a pixel in m², where all
    references have the same.
    """

    nomenclature: Nomenclature
    only: tuple[int, ...] | None
    maps: tuple[MapScore, ...]
    references: tuple[str, ...]
    reference_crosswalk: str | None
    tiles: tuple[str, ...]
    split: str | None
    pixels: int
    not_covered: int
    left_out_unclassified: int
    bootstrap: Bootstrap | None
    pixel_area: float | None = None

    @property
    def reference_pixels(self) -> NDArray[np.int64]:
        """int64 [K]: scored pixels of each class in the reference."""
        return self.maps[0].reference_pixels

    def to_json(self, **about: str) -> str:
        """Return the report as JSON, version 1; undefined figures are null, measures fractions.

        What else is said of it follows the version.
        """
        values = _to_dict(self)
        head = {name: values.pop(name) for name in ("format", "version", "lcmap_version")}
        return (
            json.dumps(head | about | values, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        )

    def to_csv(self) -> str:
        """Return the report as CSV in long form: a row for each map, class and measure.

        Rows with a map in the column `minus` are differences to that map; rows without a code
        are over all classes. Undefined figures are empty.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(CSV_HEADER)
        writer.writerows(_csv_rows(self))
        return text.getvalue()


def _to_dict(report: Report) -> dict[str, Any]:
    boot = report.bootstrap
    return {
        "format": FORMAT,
        "version": VERSION,
        "lcmap_version": __version__,
        "nomenclature": report.nomenclature.to_dict(),
        "only_classes": list(report.only) if report.only is not None else None,
        "references": list(report.references),
        "reference_crosswalk": report.reference_crosswalk,
        "tiles": list(report.tiles),
        "split": report.split,
        "pixels": {
            "scored": report.pixels,
            "not_covered": report.not_covered,
            "left_out_unclassified": report.left_out_unclassified,
        },
        "bootstrap": vars(boot) if boot else None,
        "maps": [_map_to_dict(report, item) for item in report.maps],
    }


def _map_to_dict(report: Report, item: MapScore) -> dict[str, Any]:
    reference, predicted = item.reference_pixels, item.matrix[:, :-1].sum(axis=0)
    values = _figures(item.scores, item.interval)
    classes = [
        {
            "code": land.code,
            "name": land.name,
            "short": land.short,
            "reference": int(reference[k]),
            "predicted": int(predicted[k]),
            **values["classes"][k],
        }
        for k, land in enumerate(report.nomenclature.classes)
    ]
    difference = None
    if item.differences is not None:
        figures = _figures(item.differences, item.difference_interval)
        difference = {
            "minus": report.maps[0].name,
            "overall": figures["overall"],
            "classes": [
                {"code": land.code, **figures["classes"][k]}
                for k, land in enumerate(report.nomenclature.classes)
            ],
        }
    return {
        "name": item.name,
        "files": list(item.files),
        "crosswalk": item.crosswalk,
        "without_source": list(item.without_source),
        "unclassified": item.unclassified,
        "overall": values["overall"],
        "classes": classes,
        "confusion": item.matrix.tolist(),
        "runs": [_figures(run, None)["overall"] for run in item.runs] or None,
        "difference": difference,
    }


def _figures(scores: Scores, interval: Interval | None) -> dict[str, Any]:
    classes = scores.per_class.shape[-1]
    return {
        "overall": {measure: _figure(*overall(scores, interval, measure)) for measure in OVERALL},
        "classes": [
            {measure: _figure(*of_class(scores, interval, measure, k)) for measure in PER_CLASS}
            for k in range(classes)
        ],
    }


def _figure(value: float, low: float, high: float) -> dict[str, float | None]:
    return {
        key: None if math.isnan(number) else number
        for key, number in (("value", value), ("low", low), ("high", high))
    }


def _csv_rows(report: Report) -> Iterator[list[object]]:
    first = report.maps[0].name
    for item in report.maps:
        kinds: list[tuple[str, Scores | None, Interval | None]] = [
            ("", item.scores, item.interval),
            (first, item.differences, item.difference_interval),
        ]
        for minus, scores, interval in kinds:
            if scores is None:
                continue
            for measure in OVERALL:
                yield [
                    item.name,
                    minus,
                    "",
                    "",
                    measure,
                    *_cells(overall(scores, interval, measure)),
                ]
            for k, land in enumerate(report.nomenclature.classes):
                for measure in PER_CLASS:
                    figure = _cells(of_class(scores, interval, measure, k))
                    yield [item.name, minus, land.code, land.name, measure, *figure]


def _cells(figure: tuple[float, float, float]) -> list[str]:
    return ["" if math.isnan(number) else f"{number:.6f}" for number in figure]


def overall(scores: Scores, interval: Interval | None, measure: str) -> tuple[float, float, float]:
    """Return value, low and high of a measure over all classes; NaN where undefined."""
    place = OVERALL.index(measure)
    ends = [end.overall[place] for end in interval] if interval else [math.nan, math.nan]
    return float(scores.overall[place]), float(ends[0]), float(ends[1])


def of_class(
    scores: Scores, interval: Interval | None, measure: str, index: int
) -> tuple[float, float, float]:
    """Return value, low and high of a measure of the class at an index; NaN where undefined."""
    place = PER_CLASS.index(measure), index
    ends = [end.per_class[place] for end in interval] if interval else [math.nan, math.nan]
    return float(scores.per_class[place]), float(ends[0]), float(ends[1])
