"""The curves of a run, as CSV and as a picture, and how reliable the confidence of its model is."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from lcmap.accuracy.calibration import expected_calibration_error
from lcmap.paths import PathLike
from lcmap.raster.making import MEMBER, current_digest
from lcmap.raster.output_set import OutputSet
from lcmap.raster.writing import atomic_path

Row = dict[str, Any]
"""One epoch: epoch, steps, seconds, learning_rate, loss, miou, oa, and the IoU of each class.

Of a run with a final one, also which `tiles` trained, "training" or "all"; with all, there are no
scores.
"""


_FEW = 20
"""Epochs up to which each is marked."""

_OF_A_CLASS = "iou "
"""How the columns begin that hold the IoU of a class."""

_CALIBRATION = {
    "before": "before calibration",
    "after": "after calibration",
    "left out, before": "all images left out, before calibration",
    "left out, after": "all images left out, after calibration",
    "validation": "validation tiles",
}
_STYLES = ("-", "--")
_MARKERS = "osD^vP*X"
"""So that classes are told apart without colour too."""

_FEWEST_SHOWN = 1e-3
"""Of all pixels: the share that is right of fewer is a matter of chance."""


def curves_paths(of: PathLike) -> tuple[Path, Path]:
    """Return where the curves of a model are: model.onnx -> model.curves.csv, model.curves.png.

    Those of a checkpoint: model.checkpoint.pt -> model.checkpoint.curves.csv, and so on.
    """
    return Path(of).with_suffix(".curves.csv"), Path(of).with_suffix(".curves.png")


def write_curves(
    of: PathLike,
    rows: Sequence[Row],
    reliability: Mapping[str, NDArray[np.float64]] | None = None,
    *,
    overwrite: bool = True,
    within: OutputSet | None = None,
) -> None:
    """Write the curves so far beside a model or checkpoint, alone or `within` a set.

    The picture has a reliability diagram too where there are counts for it by what they are of,
    float64 [3, bins], see `accuracy.calibration`, or [parts, 3, bins].

    Raises:
        OutputExistsError, CannotWriteError: as `atomic_path`.
    """
    table, picture = curves_paths(of)
    with (
        atomic_path(table, overwrite=overwrite, within=within) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(
            {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows
        )
    with atomic_path(picture, overwrite=overwrite, within=within) as temporary:
        said = current_digest(MEMBER)
        _figure(rows, reliability or {}).savefig(temporary, format="png", dpi=100, metadata=said)


def _figure(rows: Sequence[Row], reliability: Mapping[str, NDArray[np.float64]]) -> Figure:
    final = [row for row in rows if "miou" not in row]
    rows = [row for row in rows if "miou" in row]
    draws: list[Callable[[Axes], None]] = [
        partial(_draw_loss, rows=rows, final=final),
        partial(_draw_scores, rows=rows),
    ]
    if any(name.startswith(_OF_A_CLASS) for name in rows[0]):
        draws.append(partial(_draw_classes, rows=rows))
    if reliability:
        draws.append(partial(_draw_reliability, reliability=reliability))
    down = -(-len(draws) // 2)
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=(11, 4.4 * down), layout=layout)
    FigureCanvasAgg(figure)
    places = figure.subplots(down, 2, squeeze=False).ravel()
    for axes, draw in zip(places, draws, strict=False):
        draw(axes)
    for axes in places[len(draws) :]:
        axes.remove()
    return figure


def _marker(rows: Sequence[Row]) -> str:
    # a single point has no line that shows it
    return "o" if len(rows) <= _FEW else ""


def _kept(rows: Sequence[Row]) -> Row:
    """Return the epoch whose model is kept: the first of those with the best mIoU."""
    return max(rows, key=lambda row: float(row["miou"]))


def _in_percent(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylim(0, 1)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)


def _over_epochs(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_xlim(rows[0]["epoch"] - 0.5, rows[-1]["epoch"] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")


def _mark_kept(axes: Axes, rows: Sequence[Row]) -> None:
    kept = _kept(rows)["epoch"]
    axes.axvline(kept, color="0.4", linewidth=1, linestyle=":", label=f"kept: epoch {kept}")


def _below(axes: Axes, *others: Axes, columns: int = 3) -> None:
    """Put the legend of axes that share their place below them, where no data are."""
    handles: list[Any] = []
    labels: list[Any] = []
    for one in (axes, *others):
        drawn, named = one.get_legend_handles_labels()
        handles += drawn
        labels += named
    axes.legend(
        handles, labels, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=columns,
        frameon=False, fontsize="small",
    )  # fmt: skip


def _draw_loss(axes: Axes, rows: Sequence[Row], final: Sequence[Row]) -> None:
    epochs = [row["epoch"] for row in rows]
    loss = [row["loss"] for row in rows]
    axes.plot(epochs, loss, marker=_marker(rows), markersize=4, label="loss on training tiles")
    if final:
        axes.plot(
            [row["epoch"] for row in final], [row["loss"] for row in final],
            marker=_marker(rows), markersize=4, linestyle="--", label="final run, on all tiles",
        )  # fmt: skip
    axes.set(title="Training", ylabel="loss")
    axes.set_ylim(bottom=0)
    rate = axes.twinx()
    rate.plot(
        epochs, [row["learning_rate"] for row in rows], color="0.55", linewidth=1,
        linestyle="-.", marker="s" if len(rows) == 1 else "", markersize=9, fillstyle="none",
        label="learning rate (right)",
    )  # fmt: skip
    axes.set_zorder(rate.get_zorder() + 1)
    axes.patch.set_visible(False)
    rate.set_ylabel("learning rate", color="0.4")
    rate.tick_params(axis="y", colors="0.4")
    rate.set_ylim(bottom=0)
    for one in (axes, rate):
        _over_epochs(one, [*rows, *final])
    _below(axes, rate)


def _draw_scores(axes: Axes, rows: Sequence[Row]) -> None:
    epochs = [row["epoch"] for row in rows]
    kept = _kept(rows)
    for name, label in (("miou", "mIoU"), ("oa", "overall accuracy")):
        axes.plot(
            epochs, [row[name] for row in rows], marker=_marker(rows), markersize=4,
            label=f"{label} ({100 * kept[name]:.1f} % at the epoch kept)",
        )  # fmt: skip
    _mark_kept(axes, rows)
    axes.set(title="Validation tiles", ylabel="mIoU, overall accuracy")
    _in_percent(axes)
    _over_epochs(axes, rows)
    _below(axes, columns=1)


def _draw_classes(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the IoU of each class; of one that the tiles do not have there is none."""
    epochs = [row["epoch"] for row in rows]
    kept = _kept(rows)
    names = [name for name in rows[0] if name.startswith(_OF_A_CLASS)]
    there = [name for name in names if np.isfinite([row[name] for row in rows]).any()]
    for number, name in enumerate(there):
        axes.plot(
            epochs, [row[name] for row in rows], linewidth=1.3,
            color=f"C{number % 10}", linestyle=_STYLES[number // 10 % len(_STYLES)],
            marker=_MARKERS[number % len(_MARKERS)], markersize=4, markevery=max(len(rows) // 8, 1),
            label=f"{name.removeprefix(_OF_A_CLASS)} {100 * kept[name]:.0f} %",
        )  # fmt: skip
    _mark_kept(axes, rows)
    axes.set(title="Classes, on validation tiles", ylabel="IoU")
    _in_percent(axes)
    _over_epochs(axes, rows)
    _below(axes, columns=5)


def _draw_reliability(axes: Axes, reliability: Mapping[str, NDArray[np.float64]]) -> None:
    """Draw the share that agrees against the confidence; bins with few pixels are left out.

    Counts of parts, [parts, 3, bins], are drawn together; the error is the mean of the parts'.
    """
    axes.plot(
        (0, 1), (0, 1), color="0.6", linewidth=1, linestyle=":", label="as high as it is right"
    )
    for name, counts in reliability.items():
        together = counts.reshape(-1, *counts.shape[-2:]).sum(axis=0)  # [3, bins]
        shown = together[0] >= _FEWEST_SHOWN * together[0].sum()
        pixels, confidence, agreed = together[:, shown]
        error = 100 * float(expected_calibration_error(counts).mean())
        of_each = ", mean of the parts" * (counts.ndim == 3)
        label = f"{_CALIBRATION.get(name, name)}: {error:.1f} % off on average{of_each}"
        axes.plot(confidence / pixels, agreed / pixels, marker="o", markersize=4, label=label)
    elsewhere = any(name.startswith("left out") for name in reliability)
    axes.set(
        title="Confidence" if elsewhere else "Confidence, on validation tiles",
        xlabel="confidence", ylabel="share that is right", xlim=(0, 1),
    )  # fmt: skip
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _in_percent(axes)
    axes.set_aspect("equal")
    _below(axes, columns=1)
