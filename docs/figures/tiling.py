"""The figure of docs/how-tiling-works.md: `python docs/figures/tiling.py [FOLDER]`.

The numbers are those of `lcmap.inference.tiling.spans` for the example in its docstring: 200 pixels
in blocks of 64, by a network of depth 3 without padding.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from lcmap.graph.padding import Halo, HaloSide
from lcmap.inference.tiling import Span, spans

LENGTH, BLOCK, STRIDE = 200, 64, 8
HALO = Halo(HaloSide(2, 44), HaloSide(6, 44))

INPUT, VALID, OUTPUT = "#c9dbee", "#7fb2d9", "#1f5f99"
BORDER, GRID = "#c0392b", "#d9d9d9"


def draw(path: Path) -> None:
    """Draw the figure into a file, the same bytes each time."""
    plt.rcParams.update({"svg.hashsalt": "lcmap", "font.size": 9, "axes.spines.top": False})
    parts = spans(LENGTH, BLOCK, STRIDE, HALO)
    figure = plt.figure(figsize=(9.2, 8.0), layout="constrained")
    panels = figure.subplot_mosaic([["axis", "axis"], ["inside", "corner"]], height_ratios=(1, 1.5))
    along_an_axis(panels["axis"], parts)
    on_the_ground(panels["inside"], parts, parts[1], parts[1], "A tile inside the image")
    on_the_ground(panels["corner"], parts, parts[0], parts[2], "A tile in a corner of the image")
    figure.legend(
        handles=[
            Patch(color=INPUT, label="input window: read and computed"),
            Patch(color=VALID, label="valid window: equals the whole-image result"),
            Patch(color=OUTPUT, label="output window: written into the map"),
            Patch(
                facecolor="none",
                edgecolor=BORDER,
                linewidth=2,
                label="image border: the only place with mirror padding",
            ),
        ],
        loc="outside lower center",
        ncols=2,
        frameon=False,
    )
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def along_an_axis(axes: Axes, parts: list[Span]) -> None:
    """Draw the windows of each tile along one axis, a row a tile."""
    for pixel in range(0, LENGTH + 1, STRIDE):
        axes.axvline(pixel, color=GRID, linewidth=0.6, zorder=0)
    for pixel in (0, LENGTH):
        axes.axvline(pixel, color=BORDER, linewidth=2)
    for row, part in enumerate(parts):
        windows = (
            (part.input_start, part.input_stop, INPUT, 0.72),
            (part.valid_start, part.valid_stop, VALID, 0.46),
            (part.output_start, part.output_stop, OUTPUT, 0.20),
        )
        for start, stop, color, height in windows:
            axes.barh(row, stop - start, height, left=start, color=color)
        for x, side, text in (
            (part.input_start, "left", part.input_start),
            (part.input_stop, "right", part.input_stop),
        ):
            offset = 1.5 if side == "left" else -1.5
            axes.text(x + offset, row - 0.27, str(text), ha=side, va="center", fontsize=8)
    middle = parts[1]
    for start, stop in (
        (middle.input_start, middle.valid_start),
        (middle.valid_stop, middle.input_stop),
    ):
        axes.annotate(
            "", (start, 1.41), (stop, 1.41), arrowprops={"arrowstyle": "<->", "linewidth": 0.9}
        )
        axes.text((start + stop) / 2, 1.44, "halo: 44 px", ha="center", va="top", fontsize=8)
    axes.set(
        xlim=(-3, LENGTH + 3),
        ylim=(len(parts) - 0.5, -0.5),
        yticks=range(len(parts)),
        yticklabels=[f"tile {row + 1}" for row in range(len(parts))],
        xticks=sorted({0, LENGTH, *(p.output_start for p in parts)}),
        xlabel="pixels along an axis; grey lines are the pooling grid, every 8 pixels",
        title="Three tiles along an axis of 200 pixels",
    )
    axes.spines[["left", "right"]].set_visible(False)
    axes.tick_params(left=False)


def on_the_ground(axes: Axes, parts: list[Span], row: Span, column: Span, title: str) -> None:
    """Draw the output windows that make up an image, and all windows of one tile."""
    for kind, color in (("input", INPUT), ("valid", VALID), ("output", OUTPUT)):
        axes.add_patch(rectangle(row, column, kind, facecolor=color))
    for pixel in [part.output_start for part in parts[1:]]:
        for draw_line in (axes.axvline, axes.axhline):
            draw_line(pixel, color="#444444", linestyle=":", linewidth=1)
    border = Rectangle((0, 0), LENGTH, LENGTH, fill=False, edgecolor=BORDER, linewidth=2)
    axes.add_patch(border)
    axes.set(xlim=(-4, LENGTH + 4), ylim=(LENGTH + 4, -4), aspect="equal", title=title)
    axes.set_axis_off()


def rectangle(row: Span, column: Span, kind: str, **style: object) -> Rectangle:
    """Return a window of a tile ("input", "valid" or "output") as a rectangle."""
    top, bottom = (getattr(row, f"{kind}_{end}") for end in ("start", "stop"))
    left, right = (getattr(column, f"{kind}_{end}") for end in ("start", "stop"))
    return Rectangle((left, top), right - left, bottom - top, **style)


if __name__ == "__main__":
    draw(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent) / "tiling.svg")
