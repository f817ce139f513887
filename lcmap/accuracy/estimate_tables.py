"""Estimates from a probability sample as tables of text, and as a file.

Accuracies and shares are percentages, with the half of their interval after ±; the measures of the
bootstrap have the ends of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from lcmap.accuracy.estimate_report import EstimateReport, Figures, MapEstimate
from lcmap.accuracy.tables import UNDEFINED, Table, plain_table, write_in_form
from lcmap.paths import PathLike
from lcmap.raster.making import MEMBER, current_digest
from lcmap.raster.output_set import OutputSet

_OVERALL_TITLES = {"oa": "overall accuracy", "miou": "mIoU", "mf1": "mean F1"}
_CLASS_TITLES = {"users": "user's", "producers": "producer's", "iou": "IoU", "f1": "F1"}
_MOST_LISTED = 12
"""Strata in the notes."""


def estimate_tables(report: EstimateReport, *, matrix: bool = False) -> tuple[Table, ...]:
    """Return a report's tables: areas, each map's accuracy, differences, on request the matrix."""
    found = [_areas(report)]
    for item in report.maps:
        found.append(_accuracy(report, item.name, item.overall, item.classes, ""))
    for item in report.maps[1:]:
        assert item.overall_difference is not None and item.class_difference is not None
        title = f"{item.name} minus {report.maps[0].name}"
        differences = item.overall_difference, item.class_difference
        found.append(_accuracy(report, title, *differences, "+"))
    if matrix:
        found += [_matrix(report, item) for item in report.maps]
    return tuple(found)


def estimate_notes(report: EstimateReport) -> tuple[str, ...]:
    """Return lines on what the figures are of, and how they were found."""
    design = f"{report.design} " if report.design else ""
    lines = [f"{report.points} points of the {design}sample {report.sample}"]
    if 1 < len(report.strata) <= _MOST_LISTED:
        lines.append("strata: " + ", ".join(f"{s.name} {s.points}" for s in report.strata))
    elif len(report.strata) > 1:
        lines.append(f"{len(report.strata)} strata")
    if report.design == "systematic":
        lines.append("standard errors are those of a random sample: for a grid they are too large")
    lines.append(
        f"± is half of the {report.level:g} % interval, by the standard errors of the design "
        "(Stehman 2014); ends in brackets by "
        f"{report.replicates} bootstrap samples of the design, seed {report.seed}"
    )
    if report.without_class:
        lines.append(
            f"{report.without_class} points without a class in the reference: the figures are of "
            "the other ground"
        )
    if report.hectares is None:
        lines.append("the points do not say the area of their pixels: shares alone")
    for item in report.maps:
        lines += _certain(report, item)
    return tuple(lines)


def estimate_text(report: EstimateReport, *, matrix: bool = False) -> str:
    """Return all tables and notes as aligned lines of plain text."""
    parts = [plain_table(table) for table in estimate_tables(report, matrix=matrix)]
    return "\n".join([*parts, *estimate_notes(report)]) + "\n"


_FORMS: dict[str, Callable[[EstimateReport], str]] = {
    ".json": lambda report: report.to_json(**current_digest(MEMBER)),
    ".csv": EstimateReport.to_csv,
    ".txt": estimate_text,
}


def write_estimate(report: EstimateReport, path: PathLike, files: OutputSet) -> None:
    """Write estimates in the form of the file's ending, which gets its name with the set `files`.

    Raises:
        OutputExistsError, CannotWriteError: as atomic_path.
    """
    write_in_form(_FORMS, report, path, overwrite=files.overwrite, within=files)


def _areas(report: EstimateReport) -> Table:
    """Return the areas of the reference's classes, those of ground without a map's errors."""
    rows = []
    for k, land in enumerate(report.nomenclature.classes):
        if not report.reference_points[k]:
            continue
        cells = [str(report.reference_points[k]), *_with_error(report, report.shares, k, (100, 1))]
        if report.hectares is not None:
            cells += _with_error(report, report.hectares, k, (1, 2))
        rows.append((land.name, *cells))
    header: tuple[str, ...] = ("class", "points", "%", "SE", "±")
    if report.hectares is not None:
        header += ("ha", "SE", "±")
    return Table("areas of the reference's classes", header, (tuple(rows),))


def _with_error(
    report: EstimateReport, figures: Figures, k: int, form: tuple[float, int]
) -> list[str]:
    """Return a value, its standard error and half of its interval, in a scale and decimals."""
    assert figures.errors is not None
    scale, decimals = form
    error = float(figures.errors[k])
    numbers = (figures.value[k], error, _half(report, error))
    return [_number(scale * value, decimals) for value in numbers]


def _half(report: EstimateReport, error: float) -> float:
    """Return half of the interval of a standard error; that of a share may be cut at 0 and 1."""
    return NormalDist().inv_cdf(0.5 + report.level / 200) * error


def _accuracy(
    report: EstimateReport,
    title: str,
    overall: dict[str, Figures],
    classes: dict[str, Figures],
    sign: str,
) -> Table:
    rows = tuple(
        (land.name, *(_figure(report, found, k, sign) for found in classes.values()))
        for k, land in enumerate(report.nomenclature.classes)
        if any(not math.isnan(found.value[k]) for found in classes.values())
    )
    empty = ("",) * (len(classes) - 1)
    totals = tuple(
        (_OVERALL_TITLES[measure], _figure(report, found, 0, sign), *empty)
        for measure, found in overall.items()
    )
    header = ("in %", *(_CLASS_TITLES[measure] for measure in classes))
    return Table(title, header, (rows, totals))


def _figure(report: EstimateReport, figures: Figures, k: int, sign: str) -> str:
    value, low, high = (100 * float(v[k]) for v in (figures.value, figures.low, figures.high))
    if math.isnan(value):
        return UNDEFINED
    text = f"{value:{sign}.1f}"
    if figures.errors is not None:
        return f"{text} ± {100 * _half(report, float(figures.errors[k])):.1f}"
    return text if math.isnan(low) else f"{text} [{low:{sign}.1f}, {high:{sign}.1f}]"


def _matrix(report: EstimateReport, item: MapEstimate) -> Table:
    """Return the estimated shares of the area in percent: a row for each class of the map.

    As in Olofsson et al. (2014, table 9), rows are the map's and columns the reference's.
    """
    shorts = [land.short for land in report.nomenclature.classes]
    shown = [k for k in range(len(shorts)) if item.points[k].any()]
    names = [*shorts, "without"]
    rows = tuple(
        (names[m], *(_share(item.shares[k, m]) for k in shown), _share(item.shares[:, m].sum()))
        for m in range(len(names))
        if item.points[:, m].any()
    )
    total = ("all", *(_share(item.shares[k].sum()) for k in shown), _share(1.0))
    title = f"{item.name} (row) and reference (column), in % of the area"
    return Table(title, ("", *(shorts[k] for k in shown), "all"), (rows, (total,)))


def _share(value: float) -> str:
    return f"{100 * value:.2f}" if value else "."


def _number(value: float, decimals: int) -> str:
    return UNDEFINED if math.isnan(value) else f"{value:,.{decimals}f}".replace(",", " ")


def _certain(report: EstimateReport, item: MapEstimate) -> list[str]:
    """Return a line on the classes whose points all agree, or all do not."""
    errors = item.classes["users"].errors
    assert errors is not None
    alike = [
        land.name
        for k, land in enumerate(report.nomenclature.classes)
        if errors[k] == 0 and np.asarray(item.points[:, k]).any()
    ]
    if not alike:
        return []
    return [
        f"{item.name}: all points mapped as {', '.join(alike)} are alike, so ± 0 says that the "
        "sample is small, not that they are certain"
    ]
