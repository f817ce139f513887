"""The scores of a report as tables of text, and a report as a file.

Figures are percentages, as in the paper's tables 2, 3 and 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from lcmap.accuracy.report import Bootstrap, MapScore, Report, listed, of_class, overall
from lcmap.errors import UsageError
from lcmap.paths import PathLike
from lcmap.raster.making import MEMBER, current_digest
from lcmap.raster.output_set import OutputSet
from lcmap.raster.writing import atomic_path, check_output

UNDEFINED = "–"
WIDTH = 80

_OVERALL_TITLES = {"miou": "mIoU", "oa": "OA", "kappa": "κ", "mf1": "mean F1"}
_GAP = "  "

Figure = tuple[float, float, float]
Figures = TypeVar("Figures")


@dataclass(frozen=True)
class Table:
    """A title, a header and rows in groups; the first column is text, the others are figures."""

    title: str
    header: tuple[str, ...]
    groups: tuple[tuple[tuple[str, ...], ...], ...]


def tables(report: Report, *, matrix: bool = False) -> tuple[Table, ...]:
    """Return a report's tables: scores, for several maps differences, on request the confusion.

    Classes go by name, or by acronym where names would make a table of scores too wide.
    """
    result: list[Table] = []
    for label in ("name", "short"):
        if len(report.maps) == 1:
            result = [map_table(report, report.maps[0], label)]
        else:
            result = [_side_by_side(report, label), difference_table(report, label)]
        if all(_width(table) <= WIDTH for table in result):
            break
    if matrix:
        result += [_confusion(report, item) for item in report.maps]
    return tuple(result)


def notes(report: Report) -> tuple[str, ...]:
    """Return lines on what the figures are over."""
    lines = [f"{_number(report.pixels)} pixels of {listed(report.references)}"]
    if report.split:
        lines[0] += f", {report.split} split of {listed(report.tiles)}"
    if report.bootstrap and report.bootstrap.blocks > 1:
        lines.append(_drawn_from(report.bootstrap))
    for item in report.maps:
        if len(item.runs) == 1:
            lines.append(f"{item.name} is a single run: its interval says nothing of other runs")
        elif item.runs:
            found = ", ".join(percent(overall(run, None, "miou")[0]) for run in item.runs)
            lines.append(f"{item.name} is the mean of {len(item.runs)} runs, of mIoU {found}")
    if report.not_covered:
        lines.append(f"{_number(report.not_covered)} labelled pixels are outside a map: left out")
    if report.left_out_unclassified:
        lines.append(
            f"{_number(report.left_out_unclassified)} labelled pixels have no class in a map: "
            "left out"
        )
    for item in report.maps:
        if item.unclassified:
            share = percent(item.unclassified / item.matrix.sum())
            lines.append(f"{item.name} leaves {share} % without a class: counted as missed")
        impossible = [
            k for k in _present(report) if report.nomenclature.codes[k] in item.without_source
        ]
        if impossible:
            lines.append(
                f"{item.name} has no class that leads to "
                f"{', '.join(report.nomenclature.classes[k].name for k in impossible)}: scored 0"
            )
    absent = [k for k in _shown(report) if k not in _present(report)]
    if absent:
        names = ", ".join(report.nomenclature.classes[k].name for k in absent)
        lines.append(f"not in the reference, so without scores: {names}")
    if report.only is not None:
        lines.append("pixels of other classes in the reference are left out")
    return tuple(lines)


def _drawn_from(boot: Bootstrap) -> str:
    """Return what the intervals are made of: agreement on the ground of such blocks."""
    what = {
        "split": f"blocks of the split ({boot.block} px)",
        "image": "images",
    }.get(boot.unit, f"blocks of {boot.block} px")
    if boot.images_differ:
        what += f" in {boot.images} images that differ more"
    return (
        f"[{boot.level:g} % interval]: {boot.replicates} bootstrap draws of "
        f"{_number(boot.blocks)} {what}, seed {boot.seed}"
    )


def plain_text(report: Report, *, matrix: bool = False) -> str:
    """Return all tables and notes as aligned lines of plain text."""
    parts = [plain_table(table) for table in tables(report, matrix=matrix)]
    return "\n".join([*parts, *notes(report)]) + "\n"


_FORMS: dict[str, Callable[[Report], str]] = {
    ".json": lambda report: report.to_json(**current_digest(MEMBER)),
    ".csv": Report.to_csv,
    ".txt": plain_text,
}


def check_report_path(path: PathLike, *, overwrite: bool) -> None:
    """Check, before the work, that a report can be written there.

    Raises:
        UsageError: the file's ending is not that of a form.
        OutputExistsError, CannotWriteError: as check_output.
    """
    if Path(path).suffix.lower() not in _FORMS:
        raise UsageError(path, "no form has this ending", f"end it in {', '.join(_FORMS)}")
    check_output(path, overwrite=overwrite)


def write_report(
    report: Report, path: PathLike, *, overwrite: bool, within: OutputSet | None = None
) -> None:
    """Write a report in the form of the file's ending, all at once or not at all.

    One that is made `within` a set gets its name with the rest of the set.

    Raises:
        OutputExistsError, CannotWriteError: as atomic_path.
    """
    write_in_form(_FORMS, report, path, overwrite=overwrite, within=within)


def write_in_form(
    forms: Mapping[str, Callable[[Figures], str]],
    figures: Figures,
    path: PathLike,
    *,
    overwrite: bool,
    within: OutputSet | None,
) -> None:
    """Write figures in that of some forms which the file's ending names, all at once or not at all.

    Raises:
        OutputExistsError, CannotWriteError: as atomic_path.
    """
    text = forms[Path(path).suffix.lower()](figures)
    with atomic_path(path, overwrite=overwrite, within=within) as temporary:
        temporary.write_text(text, encoding="utf-8")


def map_table(report: Report, item: MapScore, label: str) -> Table:
    """Return the measures of each class of a map, and over all; `label` is name or short."""

    def row(index: int) -> tuple[str, ...]:
        share = float(report.reference_pixels[index]) / report.pixels
        others = [of_class(item.scores, None, m, index)[0] for m in ("precision", "recall", "f1")]
        iou = with_interval(of_class(item.scores, item.interval, "iou", index))
        return (percent(share), iou, *map(percent, others))

    totals = tuple(
        (title, "", with_interval(overall(item.scores, item.interval, measure)), *("", "", ""))
        for measure, title in _OVERALL_TITLES.items()
    )
    header = ("in %", "reference", "IoU", "precision", "recall", "F1")
    return _labelled(report, label, item.name, header, row, totals)


def _side_by_side(report: Report, label: str) -> Table:
    def figure(item: MapScore, pick: Callable[..., Figure], *key: object) -> str:
        return with_interval(pick(item.scores, item.interval, *key))

    return _columns(report, label, "IoU of each class and overall figures", report.maps, figure)


def difference_table(report: Report, label: str) -> Table:
    """Return the difference of each map to the first, in IoU of classes and over all."""

    def figure(item: MapScore, pick: Callable[..., Figure], *key: object) -> str:
        assert item.differences is not None, "every map but the first is compared with it"
        return with_interval(pick(item.differences, item.difference_interval, *key), sign="+")

    title = f"Difference to {report.maps[0].name}"
    return _columns(report, label, title, report.maps[1:], figure)


def _columns(
    report: Report,
    label: str,
    title: str,
    maps: Sequence[MapScore],
    figure: Callable[..., str],
) -> Table:
    """Return a table with a column for each map."""

    def row(index: int) -> tuple[str, ...]:
        return tuple(figure(item, of_class, "iou", index) for item in maps)

    totals = tuple(
        (heading, *(figure(item, overall, measure) for item in maps))
        for measure, heading in _OVERALL_TITLES.items()
    )
    return _labelled(report, label, title, ("in %", *(item.name for item in maps)), row, totals)


def _labelled(
    report: Report,
    label: str,
    title: str,
    header: tuple[str, ...],
    row: Callable[[int], tuple[str, ...]],
    totals: tuple[tuple[str, ...], ...],
) -> Table:
    classes = report.nomenclature.classes
    rows = tuple((getattr(classes[k], label), *row(k)) for k in _shown(report))
    return Table(title, header, (rows, totals))


def _confusion(report: Report, item: MapScore) -> Table:
    """Return the confusion matrix in percent of each reference class's pixels."""
    classes = report.nomenclature.classes
    columns = [k for k in range(len(classes)) if item.matrix[:, k].any() or k in _shown(report)]
    rows = []
    for k in _shown(report):
        total = item.matrix[k].sum()
        shares = [item.matrix[k, c] / total if total else math.nan for c in columns]
        none = item.matrix[k, -1] / total if total else math.nan
        rows.append((classes[k].short, *(_whole(share) for share in (*shares, none))))
    header = ("", *(classes[c].short for c in columns), "none")
    title = f"{item.name}: where each reference class (row) goes, in % of it"
    return Table(title, header, (tuple(rows),))


def _shown(report: Report) -> list[int]:
    """Return the indices of the classes that get a row: all, or those chosen."""
    return [
        k
        for k, land in enumerate(report.nomenclature.classes)
        if report.only is None or land.code in report.only
    ]


def _present(report: Report) -> list[int]:
    """Return the indices of the classes that the reference has."""
    return [int(k) for k in np.flatnonzero(report.reference_pixels)]


def with_interval(figure: Figure, sign: str = "") -> str:
    """Return a fraction in percent, as tables show it, with its interval if it has one."""
    value, low, high = figure
    if math.isnan(low) or math.isnan(high):
        return percent(value, sign)
    return f"{percent(value, sign)} [{percent(low, sign)}, {percent(high, sign)}]"


def percent(fraction: float, sign: str = "") -> str:
    """Return a fraction in percent, as tables show it."""
    return UNDEFINED if np.isnan(fraction) else f"{100 * fraction:{sign}.1f}"


def _whole(fraction: float) -> str:
    if math.isnan(fraction):
        return UNDEFINED
    return f"{100 * fraction:.0f}" if fraction else "."


def _number(count: int) -> str:
    return f"{count:,}".replace(",", " ")


def _widths(table: Table) -> list[int]:
    lines = [table.header, *(row for group in table.groups for row in group)]
    return [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]


def _width(table: Table) -> int:
    return sum(_widths(table)) + len(_GAP) * (len(table.header) - 1)


def plain_table(table: Table) -> str:
    """Return a table as aligned lines of plain text."""
    widths = _widths(table)

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        others = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        return _GAP.join([first, *others]).rstrip()

    rule = "-" * _width(table)
    lines = [table.title, line(table.header)]
    for group in table.groups:
        lines += [rule, *(line(row) for row in group)]
    return "\n".join(lines) + "\n"
