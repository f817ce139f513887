"""Charts of a report as SVG, drawn so that they are read in grey and by a screen reader too.

Maps differ in colour and in marker. The same figures make the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from textwrap import shorten
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lcmap.accuracy.report import MapScore, Report, of_class, overall

# Okabe and Ito (2008), without yellow, which is faint on white
COLORS = ("#0072b2", "#d55e00", "#009e73", "#8a4f7d", "#000000", "#a06000", "#5a5a5a")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_TITLES = {"miou": "mIoU", "oa": "overall accuracy", "kappa": "κ", "mf1": "mean F1"}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lcmap",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_INCH = 72.0
_LONGEST_NAME = 60
"""Letters of names in a legend."""


def overall_chart(report: Report) -> str:
    """Return the measures over all classes, with their intervals."""
    labels = list(_TITLES.values())
    values = [
        [overall(item.scores, item.interval, measure) for measure in _TITLES]
        for item in report.maps
    ]
    return _dots(report, labels, values, "Measures over all classes, in percent")


def iou_chart(report: Report) -> str:
    """Return the IoU of each class of the reference, with its interval."""
    shown = [k for k in range(len(report.nomenclature)) if report.reference_pixels[k]]
    labels = [report.nomenclature.classes[k].name for k in shown]
    values = [
        [of_class(item.scores, item.interval, "iou", k) for k in shown] for item in report.maps
    ]
    return _dots(report, labels, values, "IoU of each class, in percent")


def _dots(
    report: Report, labels: Sequence[str], values: Sequence[Sequence[Any]], title: str
) -> str:
    """Return a row for each label, and in it a mark with its interval for each map."""
    maps = len(values)
    row = 0.22 + 0.16 * maps
    with mpl.rc_context(_STYLE):
        height = 0.7 + row * len(labels) + (0.2 * maps if maps > 1 else 0)
        figure = Figure(figsize=(5.6, height), layout="constrained")
        axes = figure.add_subplot()
        for m, of_map in enumerate(values):
            numbers = 100 * np.array(of_map, float)  # [labels, 3]
            places = np.arange(len(labels)) + (m - (maps - 1) / 2) * 0.8 / max(maps, 2)
            color, marker = COLORS[m % len(COLORS)], MARKERS[m % len(MARKERS)]
            axes.hlines(places, numbers[:, 1], numbers[:, 2], color=color, linewidth=2)
            axes.plot(
                numbers[:, 0], places, marker, color=color, markersize=6,
                label=report.maps[m].name,
            )  # fmt: skip
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.grid(axis="x", color="#d0d0d0", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel("%")
        if maps > 1:
            handles, _ = axes.get_legend_handles_labels()
            names = [shorten(item.name, _LONGEST_NAME, placeholder=" …") for item in report.maps]
            columns = 1 if sum(map(len, names)) > _LONGEST_NAME else maps
            figure.legend(handles, names, loc="outside upper left", ncols=columns, frameon=False)
        return svg(figure, title)


def confusion_chart(report: Report, item: MapScore) -> str:
    """Return where the pixels of each reference class go, in percent of the class, as shades."""
    rows = [k for k in range(len(report.nomenclature)) if report.reference_pixels[k]]
    cols = [k for k in range(len(report.nomenclature)) if item.matrix[:, k].any() or k in rows]
    shorts = [land.short for land in report.nomenclature.classes]
    names = [shorts[k] for k in cols]
    matrix = item.matrix[np.ix_(rows, cols)]
    if item.unclassified:
        matrix = np.column_stack([matrix, item.matrix[rows, -1]])
        names.append("none")
    shares = 100 * matrix / item.matrix[rows].sum(axis=1, keepdims=True)
    with mpl.rc_context(_STYLE):
        side = 0.42
        figure = Figure(
            figsize=(1.4 + side * len(names), 1.0 + side * len(rows)), layout="constrained"
        )
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Greys", vmin=0, vmax=130, aspect="auto")
        for r, c in np.ndindex(shares.shape):
            if shares[r, c] >= 0.5:
                axes.text(
                    c, r, f"{shares[r, c]:.0f}", ha="center", va="center",
                    color="white" if shares[r, c] > 75 else "black",
                    fontweight="bold" if rows[r : r + 1] == cols[c : c + 1] else "normal",
                )  # fmt: skip
        axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 12 else 0)
        axes.set_yticks(range(len(rows)), [shorts[k] for k in rows])
        axes.set_xlabel("map")
        axes.set_ylabel("reference")
        axes.tick_params(length=0)
        title = f"{item.name}: where each class of the reference goes, in percent of the class"
        return svg(figure, title)


def reliability_chart(report: Report, counts: Sequence[NDArray[np.float64] | None]) -> str:
    """Return the share that is right by confidence, of the maps with counts [3, bins]."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.6, 4.2), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 100], [0, 100], color="#808080", linestyle="--", label="as it says")
        for m, found in enumerate(counts):
            if found is None:
                continue
            pixels, confidence, agreed = found
            shown = pixels > 1e-3 * pixels.sum()
            axes.plot(
                100 * confidence[shown] / pixels[shown], 100 * agreed[shown] / pixels[shown],
                color=COLORS[m % len(COLORS)], marker=MARKERS[m % len(MARKERS)],
                label=report.maps[m].name,
            )  # fmt: skip
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        axes.set_xlabel("mean confidence, %")
        axes.set_ylabel("right, %")
        axes.legend(loc="upper left")
        return svg(figure, "Share of pixels that are right, by the confidence of the map")


def svg(figure: Figure, title: str) -> str:
    """Return a figure as an SVG element with a name, as wide as its place allows."""
    out = io.BytesIO()
    FigureCanvasSVG(figure)
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # ids are those of the page, in which charts must not share theirs
    prefix = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    text = re.sub(r'id="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', text)
    width = round(figure.get_figwidth() * _INCH * 1.25)
    head = f'<svg role="img" aria-label="{escape(title)}" style="max-width:{width}px"'
    text = re.sub(r'^<svg[^>]*?(viewBox="[^"]*")[^>]*>', rf"{head} \1>", text)
    return text.replace("xlink:href", "href")
