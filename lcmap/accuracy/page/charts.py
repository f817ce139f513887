"""Charts of a report as SVG, drawn so that they are read in grey and by a screen reader too.

Maps differ in colour and in marker. Each chart has its finding in words; its figures are in a
table of the page. The same figures make the same bytes.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from hashlib import blake2b
from html import escape
from textwrap import fill
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lcmap.accuracy.page.findings import (
    OVERALL_TITLES,
    columns,
    of_classes,
    of_confusion,
    of_overall,
    of_reliability,
    present,
)
from lcmap.accuracy.report import MapScore, Report, of_class, overall

# Okabe and Ito (2008), without yellow, which is faint on white
COLORS = ("#0072b2", "#d55e00", "#009e73", "#8a4f7d", "#000000", "#a06000", "#5a5a5a")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lcmap",
    "font.family": "sans-serif",
    "font.size": 10,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_PIXELS_PER_INCH = 90
_LINE, _LETTER = 0.17, 0.085
"""Height of a line of text and width of a letter, in inches."""
_CELL = 0.42
"""Side of a cell of a heat map, in inches."""
_LONGEST_SHORT = 8
"""Letters of acronyms that still stand below one another's columns."""
_LEAST = 0.75
"""Of its size: where a heat map would have to be smaller, it is scrolled."""


class Width(NamedTuple):
    """A width that a chart is drawn for: inches, letters in a line of labels and in the legend."""

    name: str
    inches: float
    label: int
    legend: int


WIDTHS = (Width("broad", 10.4, 40, 110), Width("narrow", 4.1, 16, 40))


class Drawing(NamedTuple):
    """A chart as SVG elements, and whether it is so large that narrow screens scroll it."""

    svg: str
    large: bool


class Dots(NamedTuple):
    """Names of maps, labels of rows, and of each map values with low and high, float64 [rows, 3].

    The axis from 0 to `end`, or to what they need, has a `label`: what they are, and their unit.
    """

    names: Sequence[str]
    labels: Sequence[str]
    values: Sequence[NDArray[np.float64]]
    label: str
    end: float | None

    @classmethod
    def of_shares(
        cls, names: Sequence[str], labels: Sequence[str], shares: Sequence[Any], measure: str = ""
    ) -> Dots:
        """Return shares as percentages; the axis names the `measure`, if the rows do not."""
        values = [100 * np.array(found, np.float64).reshape(-1, 3) for found in shares]
        return cls(names, labels, values, f"{measure}, %" if measure else "%", 100)


def overall_chart(report: Report) -> str:
    """Return the measures over all classes, with their intervals."""
    values = [
        [overall(item.scores, item.interval, measure) for measure in OVERALL_TITLES]
        for item in report.maps
    ]
    title = "Measures over all classes, in percent"
    dots = Dots.of_shares(_names(report), list(OVERALL_TITLES.values()), values)
    return dots_chart(dots, title, of_overall(report))


def iou_chart(report: Report) -> str:
    """Return the IoU of each class of the reference, with its interval."""
    shown = present(report)
    labels = [report.nomenclature.classes[k].name for k in shown]
    values = [
        [of_class(item.scores, item.interval, "iou", k) for k in shown] for item in report.maps
    ]
    dots = Dots.of_shares(_names(report), labels, values, "IoU")
    return dots_chart(dots, "IoU of each class, in percent", of_classes(report))


def _names(report: Report) -> list[str]:
    return [item.name for item in report.maps]


def dots_chart(dots: Dots, title: str, description: str) -> str:
    """Return a row for each label, and in it a mark with its interval for each map, at widths."""
    drawn = []
    for width in WIDTHS:
        with mpl.rc_context(_STYLE):
            figure = _dot_figure(dots, width)
            drawn.append(
                f'<div class="{width.name}">{svg(figure, title, description, width.name)}</div>'
            )
    return "\n".join(drawn)


def _dot_figure(dots: Dots, width: Width) -> Figure:
    maps, labels = len(dots.values), dots.labels
    names = [fill(name, width.legend) for name in dots.names] if maps > 1 else []
    beside = max(1, width.legend // (5 + _longest(names)))
    legend = -(-len(names) // beside) * max(map(_lines, names), default=0)
    wrapped = [fill(label, width.label) for label in labels]
    lines = max(map(_lines, wrapped), default=1)
    row = max(0.22 + 0.16 * maps, _LINE * lines + 0.1)
    height = 0.6 + row * max(len(labels), 1) + 1.5 * _LINE * legend
    figure = Figure(figsize=(width.inches, height), layout="constrained")
    axes = figure.add_subplot()
    for m, numbers in enumerate(dots.values):
        places = np.arange(len(labels)) + (m - (maps - 1) / 2) * 0.8 / max(maps, 2)
        color, marker = COLORS[m % len(COLORS)], MARKERS[m % len(MARKERS)]
        axes.hlines(places, numbers[:, 1], numbers[:, 2], color=color, linewidth=2)
        axes.plot(numbers[:, 0], places, marker, color=color, markersize=6, clip_on=False)
    axes.set_yticks(range(len(labels)), wrapped)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(0, dots.end)
    axes.grid(axis="x", color="#d0d0d0", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(dots.label)
    if names:
        figure.legend(axes.lines, names, loc="outside upper left", ncols=beside, frameon=False)
    return figure


def confusion_chart(report: Report, item: MapScore) -> Drawing:
    """Return where the pixels of each reference class go, in percent of the class, as shades."""
    rows, cols = present(report), columns(report, item)
    classes = report.nomenclature.classes
    shorts = [land.short for land in classes]
    left = [shorts[k] for k in rows]
    below = [shorts[k] for k in cols]
    by_code = _longest(left + below) > _LONGEST_SHORT
    if by_code:
        left = [f"{fill(shorts[k], 24)}  {classes[k].code}" for k in rows]
        below = [str(classes[k].code) for k in cols]
    matrix = item.matrix[np.ix_(rows, cols)]
    if item.unclassified:
        matrix = np.column_stack([matrix, item.matrix[rows, -1]])
        below.append("none")
    shares = 100 * matrix / item.matrix[rows].sum(axis=1, keepdims=True)
    with mpl.rc_context(_STYLE):
        side = 0.8 + _LETTER * _longest(left)
        turned = _LETTER * _longest(below) > _CELL
        foot = 0.6 + (_LETTER * _longest(below) if turned else _LINE)
        figure = Figure(
            figsize=(side + _CELL * len(below), foot + _CELL * len(rows)), layout="constrained"
        )
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Greys", vmin=0, vmax=130, aspect="auto")
        for r, c in np.ndindex(shares.shape):
            if round(shares[r, c]):
                axes.text(
                    c, r, f"{shares[r, c]:.0f}", ha="center", va="center",
                    color="white" if shares[r, c] > 80 else "black",
                    fontweight="bold" if rows[r : r + 1] == cols[c : c + 1] else "normal",
                )  # fmt: skip
        axes.set_xticks(range(len(below)), below, rotation=90 if turned else 0)
        axes.set_yticks(range(len(rows)), left)
        axes.set_xlabel("map, classes by code" if by_code else "map")
        axes.set_ylabel("reference")
        axes.tick_params(length=0)
        title = f"{item.name}: where each class of the reference goes, in percent of the class"
        return Drawing(
            svg(figure, title, of_confusion(report, item), least=_LEAST),
            large=_LEAST * figure.get_figwidth() > WIDTHS[-1].inches,
        )


def reliability_chart(report: Report, counts: Sequence[NDArray[np.float64] | None]) -> str:
    """Return the share that is right by confidence, of the maps with counts [3, bins]."""
    with mpl.rc_context(_STYLE):
        given = [m for m, found in enumerate(counts) if found is not None]
        names = [fill(report.maps[m].name, WIDTHS[-1].legend) for m in given]
        legend = 1 + sum(map(_lines, names))
        figure = Figure(figsize=(4.6, 4.2 + 1.5 * _LINE * legend), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 100], [0, 100], color="#808080", linestyle="--")
        for m in given:
            found = counts[m]
            assert found is not None, "only maps with counts are given"
            pixels, confidence, agreed = found
            shown = pixels > 1e-3 * pixels.sum()
            axes.plot(
                100 * confidence[shown] / pixels[shown], 100 * agreed[shown] / pixels[shown],
                color=COLORS[m % len(COLORS)], marker=MARKERS[m % len(MARKERS)],
            )  # fmt: skip
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        axes.set_xlabel("mean confidence, %")
        axes.set_ylabel("right, %")
        names = ["right as often as it says", *names]
        figure.legend(axes.lines, names, loc="outside upper left", frameon=False)
        title = "Share of pixels that are right, by the confidence of the map"
        return svg(figure, title, of_reliability(report))


def _longest(texts: Sequence[str]) -> int:
    return max((len(line) for text in texts for line in text.split("\n")), default=0)


def _lines(text: str) -> int:
    return 1 + text.count("\n")


def svg(figure: Figure, title: str, description: str, kind: str = "", least: float = 0) -> str:
    """Return a figure as an SVG element with a name and what is found in it, in words.

    It is as wide as its place allows, but no less than a share `least` of its size. Charts of one
    title differ in `kind`.
    """
    out = io.BytesIO()
    FigureCanvasSVG(figure)
    with warnings.catch_warnings():
        # letters that matplotlib's font lacks are the browser's to draw
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # ids are those of the page, in which charts must not share theirs
    prefix = f"c{blake2b(f'{title} {kind}'.encode(), digest_size=6).hexdigest()}"
    text = re.sub(r'id="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', text)
    width = round(figure.get_figwidth() * _PIXELS_PER_INCH)
    style = f"width:{width}px" + (f";min-width:{round(least * width)}px" if least else "")
    view = re.search(r'viewBox="[^"]*"', text)
    assert view is not None, "matplotlib writes what is shown"
    head = (
        f'<svg role="img" aria-label="{escape(title)}" aria-describedby="{prefix}-desc" '
        f'style="{style}" {view.group()}><desc id="{prefix}-desc">{escape(description)}</desc>'
    )
    return (head + text[text.index(">") + 1 :]).replace("xlink:href", "href")
