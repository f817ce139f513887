"""Areas as tables of text, and as a file."""

from __future__ import annotations

from collections.abc import Callable

from lcmap.accuracy.tables import UNDEFINED, Table, plain_table, write_in_form
from lcmap.paths import PathLike
from lcmap.products.area_counting import Areas
from lcmap.products.area_report import NOTE, AreaReport, AreaRow
from lcmap.products.hectares import plain_hectares
from lcmap.raster.making import MEMBER, current_digest
from lcmap.raster.output_set import OutputSet

Rows = tuple[tuple[str, ...], ...]


def area_tables(report: AreaReport) -> tuple[Table, ...]:
    """Return the tables of a report: the whole, and the zones where there are any."""
    several = len(report.maps) == 2
    tables = [_from_to(report) if several else _by_class(report)]
    if report.zones is not None:
        tables.append(_changes_by_zone(report) if several else _classes_by_zone(report))
    return tuple(tables)


def area_notes(report: AreaReport) -> tuple[str, ...]:
    """Return lines on what the figures are."""
    lines = [report.pixel, NOTE]
    if report.zones is not None:
        lines.insert(1, "pixels on the border of a zone count by the part that it covers")
    return tuple(lines)


def area_text(report: AreaReport) -> str:
    """Return all tables and notes as aligned lines of plain text."""
    parts = [plain_table(table) for table in area_tables(report)]
    return "\n".join([*parts, *area_notes(report)]) + "\n"


_FORMS: dict[str, Callable[[AreaReport], str]] = {
    ".json": lambda report: report.to_json(**current_digest(MEMBER)),
    ".csv": AreaReport.to_csv,
    ".txt": area_text,
}


def write_area_report(report: AreaReport, path: PathLike, files: OutputSet) -> None:
    """Write a report in the form of the file's ending, which gets its name with the set `files`.

    Raises:
        OutputExistsError, CannotWriteError: as atomic_path.
    """
    write_in_form(_FORMS, report, path, overwrite=files.overwrite, within=files)


def _by_class(report: AreaReport) -> Table:
    rows = report.rows(report.whole)
    groups = [
        tuple(_class_row(report, row) for row in rows if row.share is not None),
        (("all classes", plain_hectares(_with_class(rows)), ""),),
        tuple(_class_row(report, row) for row in rows if row.share is None),
    ]
    return Table(report.maps[0], ("", "ha", "%"), tuple(group for group in groups if group))


def _classes_by_zone(report: AreaReport) -> Table:
    groups = []
    for zone, areas in (report.zones or {}).items():
        rows = [(zone, *_class_row(report, row)) for row in report.rows(areas)]
        # the name of the zone once
        groups.append(tuple((zone if not i else "", *row[1:]) for i, row in enumerate(rows)))
    header = ("zone", "class", "ha", "%")
    return Table("by zone", header, tuple(group for group in groups if group))


def _class_row(report: AreaReport, row: AreaRow) -> tuple[str, ...]:
    return report.class_name(0, row.codes[0]), plain_hectares(row.hectares), _percent(row.share)


def _from_to(report: AreaReport) -> Table:
    """Return a matrix in hectares: a row for each class of the first map."""
    hectares = {row.codes: row.hectares for row in report.rows(report.whole)}
    sources = sorted({codes[0] for codes in hectares}, key=lambda code: (code == 0, code))
    targets = sorted({codes[1] for codes in hectares}, key=lambda code: (code == 0, code))
    rows = []
    for source in sources:
        cells = [hectares.get((source, target), 0.0) for target in targets]
        rows.append(
            (
                report.class_name(0, source),
                *(plain_hectares(cell) if cell else "." for cell in cells),
                plain_hectares(sum(cells)),
            )
        )
    sums = [sum(hectares.get((source, target), 0.0) for source in sources) for target in targets]
    total = ("all", *map(plain_hectares, sums), plain_hectares(sum(sums)))
    names = (report.class_name(1, target, short=True) for target in targets)
    changed, share = _changed(report, report.whole)
    title = (
        f"from {report.maps[0]} (row) to {report.maps[1]} (column), in ha; "
        f"in another class: {changed} ha ({share} %)"
    )
    return Table(title, ("", *names, "all"), (tuple(rows), (total,)))


def _changes_by_zone(report: AreaReport) -> Table:
    rows = tuple(
        (zone, plain_hectares(_with_class(report.rows(areas))), *_changed(report, areas))
        for zone, areas in (report.zones or {}).items()
    )
    return Table("by zone", ("zone", "ha", "in another class", "%"), (rows,))


def _changed(report: AreaReport, areas: Areas) -> tuple[str, str]:
    """Return the hectares that are in another class in the second map, and their share."""
    rows = [row for row in report.rows(areas) if row.share is not None]
    changed = [row for row in rows if _differ(report, row.codes)]
    share = sum(row.share or 0.0 for row in changed) if rows else None
    return plain_hectares(sum(row.hectares for row in changed)), _percent(share)


def _differ(report: AreaReport, codes: tuple[int, ...]) -> bool:
    """Tell whether two codes are not one class: by name, where both maps name theirs."""
    if None in report.nomenclatures:
        return codes[0] != codes[1]
    return report.class_name(0, codes[0]) != report.class_name(1, codes[1])


def _with_class(rows: list[AreaRow]) -> float:
    return sum(row.hectares for row in rows if row.share is not None)


def _percent(share: float | None) -> str:
    return UNDEFINED if share is None else f"{100 * share:.1f}"
