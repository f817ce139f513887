"""The curves of a run, as CSV and as a picture, and how reliable the confidence of its model is."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
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


_FEW = 10
"""Epochs up to which each is marked well."""

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

    The picture has a reliability diagram too where there are counts for it, float64 [3, bins] by
    what they are of, see `accuracy.calibration`.

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
    figure = Figure(figsize=(13.5 if reliability else 9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right, *last = figure.subplots(1, 3 if reliability else 2)
    for axes in last:
        _draw_reliability(axes, reliability)
    final = [row for row in rows if "miou" not in row]
    rows = [row for row in rows if "miou" in row]
    epochs = [row["epoch"] for row in rows]
    # a single point has no line that shows it
    marker = "o" if len(rows) <= _FEW else "."
    left.plot(epochs, [row["loss"] for row in rows], marker=marker)
    if final:
        left.plot(
            [row["epoch"] for row in final], [row["loss"] for row in final],
            marker=marker, linestyle="--", label="on all tiles",
        )  # fmt: skip
        left.legend(loc="best")
    left.set(xlabel="epoch", ylabel="training loss")
    rate = left.twinx()
    rate.plot(
        epochs,
        [row["learning_rate"] for row in rows],
        color="0.7",
        linewidth=1,
        marker="s" if len(rows) <= _FEW else "",
        markersize=9,
        fillstyle="none",
    )
    left.set_zorder(rate.get_zorder() + 1)
    left.patch.set_visible(False)
    rate.set_ylabel("learning rate", color="0.5")
    rate.ticklabel_format(axis="y", scilimits=(-2, 3))
    right.plot(epochs, [row["miou"] for row in rows], marker=marker, label="mIoU")
    right.plot(epochs, [row["oa"] for row in rows], marker=marker, label="OA")
    right.set(xlabel="epoch", ylabel="validation", ylim=(0, 1))
    right.legend(loc="best")
    for axis in (left, rate):
        axis.set_ylim(bottom=0)
    for axis in (left, right):
        axis.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axis.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, min_n_ticks=1))
    return figure


def _draw_reliability(axes: Axes, reliability: Mapping[str, NDArray[np.float64]]) -> None:
    """Draw the share that agrees against the confidence; bins with few pixels are left out."""
    axes.plot((0, 1), (0, 1), color="0.7", linewidth=1)
    for name, counts in reliability.items():
        pixels, confidence, agreed = counts[:, counts[0] >= _FEWEST_SHOWN * counts[0].sum()]
        error = 100 * float(expected_calibration_error(counts))
        label = f"{name}: error {error:.1f} %"
        axes.plot(confidence / pixels, agreed / pixels, marker="o", label=label)
    axes.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    axes.set_aspect("equal")
    axes.legend(loc="upper left")
