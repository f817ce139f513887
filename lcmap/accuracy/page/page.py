"""The HTML page of a report: what its template is filled with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from lcmap.accuracy.calibration import BINS, expected_calibration_error
from lcmap.accuracy.page.charts import (
    confusion_chart,
    iou_chart,
    overall_chart,
    reliability_chart,
)
from lcmap.accuracy.page.findings import OVERALL_TITLES, columns, present
from lcmap.accuracy.page.pictures import data_address, errors, in_colors
from lcmap.accuracy.page.rendering import rendered, write_html
from lcmap.accuracy.places import PlaceView
from lcmap.accuracy.report import MapScore, Report, listed, overall
from lcmap.accuracy.tables import Table, difference_table, map_table, notes, percent, with_interval
from lcmap.paths import PathLike
from lcmap.raster.output_set import OutputSet


def write_page(
    report: Report,
    places: Sequence[PlaceView],
    path: PathLike,
    files: OutputSet,
    command: str | None = None,
) -> None:
    """Write a report as one HTML file that needs no other, with the set `files`.

    The same figures and places make the same bytes. `command` is what made it.

    Raises:
        OutputExistsError, CannotWriteError: as atomic_path.
    """
    write_html(page(report, places, command), path, files)


def page(report: Report, places: Sequence[PlaceView], command: str | None = None) -> str:
    """Return a report as HTML."""
    return rendered("page.html", _context(report, places, command))


def _context(report: Report, places: Sequence[PlaceView], command: str | None) -> dict[str, Any]:
    names = [item.name for item in report.maps]
    counts = [item.reliability for item in report.maps]
    with_confidence = any(found is not None for found in counts)
    contents = [("overall", "Over all classes"), ("classes", "By class")]
    contents += [("legend", "Classes"), ("confusion", "What is taken for what")]
    contents += [("places", "What the maps look like")] if places else []
    contents.append(("areas", "Areas"))
    contents += [("confidence", "Confidence")] if with_confidence else []
    contents.append(("about", "What was compared"))
    intervals = f", with {report.bootstrap.level:g} % intervals" if report.bootstrap else ""
    area, unit = _areas(report)
    return {
        "title": "How well " + (" and ".join(names) if len(names) < 3 else f"{len(names)} maps")
        + (" agrees" if len(names) == 1 else " agree") + " with the reference",
        "summary": _summary(report),
        "contents": contents,
        "overall": _overall_table(report),
        "with_intervals": intervals,
        "overall_chart": Markup(overall_chart(report)),
        "differences": difference_table(report, "name") if len(names) > 1 else None,
        "first": names[0],
        "iou_chart": Markup(iou_chart(report)),
        "classes": [(item.name, map_table(report, item, "name")) for item in report.maps],
        "confusions": [
            (item.name, confusion_chart(report, item), _confusion_table(report, item))
            for item in report.maps
        ],
        "places": [_place(report, view) for view in places],
        "legend": _legend(report),
        "areas": area,
        "area_caption": f"Scored ground by class, in {unit}",
        "reliability_chart": (
            Markup(reliability_chart(report, counts)) if with_confidence else ""
        ),
        "reliability": [
            (item.name, _reliability_table(item.reliability))
            for item in report.maps
            if item.reliability is not None
        ],
        "about": _about(report),
        "notes": notes(report),
        "command": command,
    }  # fmt: skip


def _summary(report: Report) -> str:
    parts = []
    for item in report.maps:
        agreed = percent(overall(item.scores, None, "oa")[0])
        miou = percent(overall(item.scores, None, "miou")[0])
        parts.append(f"{item.name} has {agreed} % of the pixels right (mIoU {miou} %)")
    split = f", {report.split} split" if report.split else ""
    return (
        "; ".join(parts) + f". Agreement with {listed(report.references)}{split}, on this ground: "
        f"{_number(report.pixels)} pixels in {report.nomenclature.title}."
    )


def _overall_table(report: Report) -> Table:
    rows = tuple(
        (
            item.name,
            *(with_interval(overall(item.scores, item.interval, m)) for m in OVERALL_TITLES),
        )
        for item in report.maps
    )
    return Table("", ("map", *OVERALL_TITLES.values()), (rows,))


def _confusion_table(report: Report, item: MapScore) -> Table:
    classes = report.nomenclature.classes
    cols = columns(report, item)
    lines = []
    for r in present(report):
        total = item.matrix[r].sum()
        cells = [
            f"{_number(pixels)} ({100 * pixels / total:.0f} %)" if pixels else "0"
            for pixels in item.matrix[r, [*cols, -1]].tolist()
        ]
        lines.append((classes[r].name, *cells))
    return Table("", ("reference", *(classes[c].short for c in cols), "none"), (tuple(lines),))


def _areas(report: Report) -> tuple[Table, str]:
    """Return the scored ground by class, and its unit: hectares where pixels have one area."""
    area = report.pixel_area

    def cell(pixels: int) -> str:
        share = 100 * pixels / report.pixels
        amount = _number(pixels) if area is None else f"{pixels * area / 10_000:.2f}"
        return f"{amount} ({share:.1f} %)"

    rows = []
    for k, land in enumerate(report.nomenclature.classes):
        mapped = [int(item.matrix[:, k].sum()) for item in report.maps]
        reference = int(report.reference_pixels[k])
        if reference or any(mapped):
            rows.append((land.name, *map(cell, (reference, *mapped))))
    header = ("class", "reference", *(item.name for item in report.maps))
    return Table("", header, (tuple(rows),)), "pixels" if area is None else "hectares"


def _reliability_table(found: NDArray[np.float64]) -> Table:
    pixels, confidence, agreed = found
    rows = []
    for b in np.flatnonzero(pixels).tolist():
        shares = pixels[b] / pixels.sum(), confidence[b] / pixels[b], agreed[b] / pixels[b]
        name = f"{100 * b / BINS:.0f} to {100 * (b + 1) / BINS:.0f} %"
        rows.append((name, *map(percent, shares)))
    error = percent(float(expected_calibration_error(found)))
    header = ("confidence", "pixels", "mean confidence", "right")
    return Table("", header, (tuple(rows), (("expected calibration error", error, "", ""),)))


def _place(report: Report, view: PlaceView) -> dict[str, Any]:
    """Return the pictures of a place in columns: image and reference, then a map and its errors."""
    place, classes = view.place, len(report.nomenclature)
    first = [("reference", _colored(view.reference, report), _said(view.reference, report))]
    if view.image is not None:
        first.insert(0, ("image", data_address(view.image), "as the sensor sees it"))
    stacks = [first]
    for name, mapped in zip(view.names, view.maps, strict=True):
        known = view.reference < classes
        share = float((mapped == view.reference)[known].mean()) if known.any() else float("nan")
        shown = np.where(mapped < classes, mapped, classes).astype(np.uint8)
        wrong = data_address(errors(view.reference, mapped, classes))
        said = f"{percent(1 - share)} % wrong"
        stacks.append(
            [
                (name, _colored(shown, report), _said(shown, report)),
                (f"errors of {name}", wrong, said),
            ]
        )
    return {
        "title": place.title.capitalize(),
        "agreement": percent(place.agreement),
        "where": view.where,
        "stacks": stacks,
    }


def _colored(states: NDArray[np.uint8], report: Report) -> str:
    return data_address(in_colors(states, report.nomenclature))


def _said(states: NDArray[np.uint8], report: Report) -> str:
    """Return the shares of the three most frequent classes, in words."""
    counts = np.bincount(states.ravel(), minlength=256)[: len(report.nomenclature)]
    order = np.argsort(-counts, kind="stable")[:3]
    parts = [
        f"{report.nomenclature.classes[k].name} {100 * counts[k] / states.size:.0f}\u00a0%"
        for k in order.tolist()
        if counts[k]
    ]
    return ", ".join(parts) or "no class"


def _legend(report: Report) -> list[tuple[str, str]]:
    """Return the classes that occur, each with its acronym, and their colours."""
    return [
        (land.name if land.short == land.name else f"{land.short}: {land.name}", land.color)
        for k, land in enumerate(report.nomenclature.classes)
        if report.reference_pixels[k] or any(item.matrix[:, k].any() for item in report.maps)
    ]


def _about(report: Report) -> list[tuple[str, str]]:
    found = [(item.name, _files(item.files, item.crosswalk)) for item in report.maps]
    found.append(("reference", _files(report.references, report.reference_crosswalk)))
    if report.tiles:
        found.append(("tiles", f"{report.split} split of {', '.join(report.tiles)}"))
    land = report.nomenclature
    found.append(("nomenclature", f"{land.title} ({land.name}, {len(land)} classes)"))
    return found


def _files(names: Sequence[str], crosswalk: str | None) -> str:
    return ", ".join(names) + (f", by the crosswalk {crosswalk}" if crosswalk else "")


def _number(count: int) -> str:
    return f"{count:,}".replace(",", "\u202f")
