"""Drawing panels, their legend and a scale bar as a PNG, the same bytes for the same panels."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

import numpy as np
from numpy.typing import NDArray

from lcmap.raster.preview.scale_bar import length_text, round_length
from lcmap.raster.windows import Window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 100
_LONGEST = 1000
"""Pixels along the longer side of a panel that is alone."""
_LONGEST_OF_SEVERAL = 610
_LANDSCAPE = 1.3
"""Panels that are so much wider than high are below each other, others beside."""
_MARGIN, _GAP, _TITLE, _FOOT, _LEGEND, _LINE = 20, 24, 28, 44, 300, 20
"""Pixels around all, between panels, of a title, of the scale bar, of the legend and its lines."""
_PER_LETTER = 7.4
"""Pixels of a letter of a title, on average."""
_LETTERS = 28
"""Of a line of the legend."""
_BAR = 0.35
"""Of a panel's width that the scale bar may have."""
_NO_DATA: dict[str, Any] = {"facecolor": "white", "edgecolor": "0.75", "hatch": "////"}

SPLIT_COLORS: dict[str, tuple[int, int, int]] = {
    "train": (0, 114, 178),
    "validation": (230, 159, 0),
    "test": (204, 121, 167),
}
"""The colours of the tiles of a split, told apart by all eyes (Okabe and Ito 2008)."""

_HATCHES = {"train": "", "validation": "//", "test": "xx"}
MARKS: dict[str, tuple[str, str]] = {
    split: ("#{:02x}{:02x}{:02x}".format(*color), _HATCHES[split])
    for split, color in SPLIT_COLORS.items()
}
"""The colour and the hatching of the tiles of a split."""


@dataclass(frozen=True)
class Entry:
    """A line of a legend: its colour, as of matplotlib, its text, what is at its end."""

    text: str
    color: Any
    figure: str = ""
    hatch: str = ""


@dataclass(frozen=True)
class DrawnPanel:
    """A picture to draw: its title, RGB uint8 [h, w, 3], where it has data, and its legend.

    heading: of the legend.
    size: its rows and columns in pixels of the raster, in which the windows of `tiles` are.
    """

    title: str
    pixels: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    size: tuple[int, int]
    heading: str = ""
    legend: Sequence[Entry] = ()
    tiles: Mapping[str, Sequence[Window]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ground:
    """Of the grid of all panels: a pixel in metres along columns and rows, if known, and a text."""

    pixel: tuple[float, float] | None
    text: str

    @property
    def aspect(self) -> float:
        """How high a pixel is drawn for its width."""
        return 1.0 if self.pixel is None else self.pixel[1] / self.pixel[0]


def save_figure(
    panels: Sequence[DrawnPanel], ground: Ground, path: Path, metadata: Mapping[str, str]
) -> None:
    """Write the picture of panels of one grid as a PNG."""
    from matplotlib import rc_context, rcParamsDefault

    # a user's settings of fonts and sizes are not for this picture
    defaults: Mapping[Any, Any] = rcParamsDefault
    own: Any = {name: defaults[name] for name in _STYLED} | {"hatch.linewidth": 0.7}
    with rc_context(own), warnings.catch_warnings():
        # a name in a script that the font does not have is drawn as boxes
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure = figure_of(panels, ground)
        figure.savefig(path, format="png", dpi=_DPI, metadata=dict(metadata))


_STYLED = ("font.family", "font.sans-serif", "font.size", "hatch.linewidth", "savefig.bbox",
           "savefig.facecolor", "savefig.pad_inches", "text.usetex", "text.color",
           "axes.edgecolor", "text.antialiased", "hatch.color")  # fmt: skip


def figure_of(panels: Sequence[DrawnPanel], ground: Ground) -> Figure:
    """Return the picture of panels of one grid, with a title each, a legend and a scale bar."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, cols = panels[0].size
    wide, high = _panel_size(rows * ground.aspect, cols, len(panels))
    across = 1 if wide > _LANDSCAPE * high else len(panels)
    down = len(panels) // across
    body = across * wide + (across - 1) * _GAP, down * (high + _TITLE) + _FOOT
    legends = [[panel for panel in panels if panel.legend]]
    below = _tall(legends) > body[1] and body[0] >= 2 * _LEGEND + _GAP
    if below:  # of a strip
        legends = _in_columns(legends[0], (body[0] + _GAP) // (_LEGEND + _GAP))
    beside = _LEGEND + _GAP if legends[0] and not below else 0
    width = 2 * _MARGIN + body[0] + beside
    height = 2 * _MARGIN + (body[1] + _tall(legends) if below else max(body[1], _tall(legends)))
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)

    def axes_at(left: float, top: float, w: float, h: float) -> Axes:
        return figure.add_axes((left / width, 1 - (top + h) / height, w / width, h / height))

    for number, panel in enumerate(panels):
        left = _MARGIN + (number % across) * (wide + _GAP)
        top = _MARGIN + _TITLE + (number // across) * (high + _TITLE)
        _draw_panel(axes_at(left, top, wide, high), panel, wide)
    top = _MARGIN + body[1] - _FOOT
    _draw_foot(axes_at(_MARGIN, top, wide, _FOOT), ground, wide, cols)
    left, top = (_MARGIN, _MARGIN + body[1]) if below else (width - _MARGIN - _LEGEND, _MARGIN)
    for number, column in enumerate(legends):
        tall = height - _MARGIN - top
        at = left + number * (_LEGEND + _GAP)
        _draw_legends(axes_at(at, top, _LEGEND, tall), column, tall)
    return figure


def _in_columns(legends: Sequence[DrawnPanel], count: int) -> list[list[DrawnPanel]]:
    """Return legends in at most so many columns, as low as can be; headings stand once."""
    whole = _lines(legends)
    tried = (_filled(legends, lines) for lines in range(1, whole + 1))
    return next((columns for columns in tried if len(columns) <= count), [list(legends)])


def _filled(legends: Sequence[DrawnPanel], lines: int) -> list[list[DrawnPanel]]:
    """Return legends in columns of at most so many lines, but with an entry in each."""
    columns: list[list[DrawnPanel]] = [[]]
    for panel in legends:
        columns[-1].append(replace(panel, legend=()))
        for entry in panel.legend:
            if _lines(columns[-1]) + _height(entry) > lines and columns[-1][-1].legend:
                columns.append([replace(panel, legend=(), heading="")])
            last = columns[-1][-1]
            columns[-1][-1] = replace(last, legend=(*last.legend, entry))
    return columns


def _lines(legends: Sequence[DrawnPanel]) -> int:
    """Return the lines of legends below one another, with one for the heading and one between."""
    return sum(2 + sum(map(_height, panel.legend)) for panel in legends)


def _tall(columns: Sequence[Sequence[DrawnPanel]]) -> int:
    """Return the height of columns of legends in pixels."""
    return _LINE * max(map(_lines, columns))


def _panel_size(rows: float, cols: float, panels: int) -> tuple[int, int]:
    """Return the width and height of a panel in pixels of the picture."""
    longest = _LONGEST if panels == 1 else _LONGEST_OF_SEVERAL
    factor = longest / max(rows, cols)
    # a strip must not vanish
    return max(round(cols * factor), 60), max(round(rows * factor), 60)


def _draw_panel(axes: Axes, panel: DrawnPanel, wide: int) -> None:
    rows, cols = panel.size
    axes.patch.set(**_NO_DATA)
    alpha = np.where(panel.valid, 255, 0).astype(np.uint8)
    small = panel.pixels.shape[1] <= wide
    axes.imshow(
        np.dstack([panel.pixels, alpha]),
        extent=(0, cols, rows, 0),
        aspect="auto",
        interpolation="nearest" if small else "antialiased",
        interpolation_stage="rgba",
    )
    for split, windows in panel.tiles.items():
        _draw_tiles(axes, windows, *MARKS[split])
    axes.set(xlim=(0, cols), ylim=(rows, 0), xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color="0.4", linewidth=0.8)
    title = _shortened(panel.title, int(wide / _PER_LETTER))
    axes.text(
        0, 1 + 7 / (axes.bbox.height or 1), title,
        transform=axes.transAxes, fontsize=10.5, va="bottom", parse_math=False,
    )  # fmt: skip


def _draw_tiles(axes: Axes, windows: Sequence[Window], color: str, hatch: str) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Rectangle

    # twice: a hatch is drawn in the colour of the edge, over a fill that lets the image through
    boxes = [Rectangle((it.col, it.row), it.width, it.height) for it in windows]
    axes.add_collection(PatchCollection(boxes, facecolor=to_rgba(color, 0.22), edgecolor="none"))
    lines = PatchCollection(
        boxes, facecolor="none", edgecolor=color, linewidth=1.2, hatch=hatch or None
    )
    axes.add_collection(lines)


def _draw_foot(axes: Axes, ground: Ground, wide: int, cols: int) -> None:
    axes.set(xlim=(0, wide), ylim=(_FOOT, 0))
    axes.axis("off")
    end = 0.0
    if ground.pixel is not None:
        metres = round_length(_BAR * cols * ground.pixel[0])
        length = metres / ground.pixel[0] * wide / cols
        axes.plot([0, 0, length, length], [12, 18, 18, 12], color="0.1", linewidth=1.6,
                  solid_joinstyle="miter", clip_on=False)  # fmt: skip
        axes.text(length / 2, 22, length_text(metres), ha="center", va="top", fontsize=9.5)
        end = length + 16
    axes.text(end, 19, ground.text, fontsize=8.5, va="center", color="0.35", parse_math=False)


def _draw_legends(axes: Axes, panels: Sequence[DrawnPanel], tall: float) -> None:
    from matplotlib.patches import Rectangle

    axes.set(xlim=(0, _LEGEND), ylim=(tall, 0))
    axes.axis("off")
    line = 0
    for panel in panels:
        heading = _shortened(panel.heading, int(_LEGEND / _PER_LETTER))
        axes.text(0, (line + 0.6) * _LINE, heading, fontsize=9.5, va="center", weight="bold",
                  parse_math=False)  # fmt: skip
        line += 1
        for entry in panel.legend:
            middle = (line + 0.6) * _LINE
            look = {"facecolor": entry.color, "edgecolor": "0.4", "hatch": entry.hatch or None}
            if entry.color is None:
                look = _NO_DATA
            if entry.color != "none":
                axes.add_patch(Rectangle((0, middle - 7), 22, 14, linewidth=0.6, **look))
            for part in _wrapped(entry.text):
                at = (line + 0.6) * _LINE
                axes.text(30, at, part, fontsize=9.5, va="center", parse_math=False)
                line += 1
            axes.text(_LEGEND, middle, entry.figure, fontsize=9.5, va="center", ha="right")
        line += 1


def _height(entry: Entry) -> int:
    return len(_wrapped(entry.text))


def _wrapped(text: str) -> list[str]:
    wide = any(east_asian_width(letter) in "WF" for letter in text)
    letters = _LETTERS // 2 if wide else _LETTERS
    return textwrap.wrap(text, letters, max_lines=2, placeholder=" …") or [""]


def _shortened(text: str, letters: int) -> str:
    """Return a text without its middle where it has more letters."""
    if len(text) <= letters:
        return text
    half = max((letters - 1) // 2, 1)
    return f"{text[:half]}…{text[-half:]}"
