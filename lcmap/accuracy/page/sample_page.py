"""The HTML page of estimates from a probability sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from lcmap.accuracy.estimate_report import EstimateReport, Figures
from lcmap.accuracy.estimate_tables import estimate_notes, estimate_tables
from lcmap.accuracy.page.charts import Dots, dots_chart
from lcmap.accuracy.page.rendering import rendered, write_html
from lcmap.accuracy.tables import percent
from lcmap.paths import PathLike
from lcmap.raster.output_set import OutputSet

_MEASURES = {"users": "User's accuracy", "producers": "Producer's accuracy"}


def write_sample_page(
    report: EstimateReport, path: PathLike, files: OutputSet, command: str | None = None
) -> None:
    """Write estimates as one HTML file that needs no other, with the set `files`.

    The same figures make the same bytes. `command` is what made it.

    Raises:
        OutputExistsError, CannotWriteError: as atomic_path.
    """
    write_html(rendered("sample.html", _context(report, command)), path, files)


def _context(report: EstimateReport, command: str | None) -> dict[str, Any]:
    names = [item.name for item in report.maps]
    # areas, a table for each map, one for each difference to the first, and the matrices
    areas, *others = estimate_tables(report, matrix=True)
    measured = 2 * len(names) - 1
    contents = {"areas": "Areas", "accuracy": "Accuracy", "confusion": "What is taken for what"}
    return {
        "title": "Areas and accuracy by a sample: "
        + (" and ".join(names) if len(names) < 3 else f"{len(names)} maps"),
        "summary": _summary(report),
        "contents": [*contents.items(), ("about", "What was estimated")],
        "area_chart": Markup(_area_chart(report)),
        "areas": areas,
        "accuracy_charts": [
            (title, Markup(_accuracy_chart(report, name))) for name, title in _MEASURES.items()
        ],
        "accuracies": others[:measured],
        "matrices": others[measured:],
        "acronyms": [
            f"{land.short}: {land.name}"
            for land in report.nomenclature.classes
            if land.short != land.name
        ],
        "notes": estimate_notes(report),
        "command": command,
    }


def _summary(report: EstimateReport) -> str:
    parts = []
    for item in report.maps:
        found = _rows(item.overall["oa"], [0])[0]
        parts.append(f"{item.name} has an overall accuracy of {_in_words(found)} %")
    return (
        "; ".join(parts) + f". Estimated from {report.points} points of {report.sample}, with "
        f"{report.level:g} % intervals."
    )


def _in_words(found: NDArray[np.float64]) -> str:
    value, low, high = map(percent, found)
    return f"{value} [{low}, {high}]"


def _rows(figures: Figures, shown: list[int]) -> NDArray[np.float64]:
    """Return values, lows and highs of some classes, float64 [classes, 3]."""
    return np.column_stack([figures.value, figures.low, figures.high])[shown]


def _area_chart(report: EstimateReport) -> str:
    """Return the area of each class that has points, with its interval."""
    shown = np.flatnonzero(report.reference_points).tolist()
    labels = [report.nomenclature.classes[k].name for k in shown]
    hectares = report.hectares is not None
    figures = report.shares if report.hectares is None else report.hectares
    values = _rows(figures, shown) * (1 if hectares else 100)
    unit = "ha" if hectares else "%"
    shares = report.shares.value[shown]
    parts = [
        f"{word} {labels[place]}, {percent(shares[place])} % of the ground"
        for word, place in (("largest", int(shares.argmax())), ("smallest", int(shares.argmin())))
    ]
    description = f"The {' and the '.join(parts)}. The table below has all figures."
    dots = Dots([""], labels, [values], f"area, {unit}", None)
    return dots_chart(dots, f"Area of each class, in {unit}", description)


def _accuracy_chart(report: EstimateReport, measure: str) -> str:
    """Return the accuracy of each class that has any, with its interval, for each map."""
    classes = report.nomenclature.classes
    known = [~np.isnan(item.classes[measure].value) for item in report.maps]
    shown = np.flatnonzero(np.any(known, axis=0)).tolist()
    parts = []
    for item in report.maps:
        values = item.classes[measure].value
        found = [k for k in shown if not np.isnan(values[k])]
        ends = [
            f"{percent(values[k])} % ({classes[k].name})"
            for k in (min(found, key=values.__getitem__), max(found, key=values.__getitem__))
        ]
        parts.append(f"{item.name}: from {ends[0]} to {ends[1]}.")
    dots = Dots.of_shares(
        [item.name for item in report.maps],
        [classes[k].name for k in shown],
        [_rows(item.classes[measure], shown) for item in report.maps],
        _MEASURES[measure],
    )
    description = " ".join([*parts, "The tables below have all figures."])
    return dots_chart(dots, f"{_MEASURES[measure]} of each class, in percent", description)
