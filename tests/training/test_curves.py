"""The picture of a run: readable from the first epoch on."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from lcmap.training.curves import _figure, write_curves


def rows(epochs: int, first: int = 1) -> list[dict[str, float]]:
    return [
        {"epoch": first + n, "loss": 1.2 / (n + 1), "learning_rate": 1e-3, "miou": 0.3, "oa": 0.6}
        for n in range(epochs)
    ]


@pytest.mark.parametrize("epochs", [1, 2, 3, 12, 100])
def test_epochs_are_whole_numbers_within_the_run(epochs: int) -> None:
    figure = _figure(rows(epochs), {})
    figure.draw_without_rendering()
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks and all(tick == round(tick) and 1 <= tick <= epochs for tick in ticks)
        if axes.lines:
            bottom, top = axes.get_ylim()
            drawn = axes.lines[0].get_ydata()
            assert bottom <= min(drawn) and max(drawn) <= top
            if epochs == 1:
                assert axes.lines[0].get_marker() in ("o", "s")


def legends(figure: Figure) -> list[list[str]]:
    found = [axes.get_legend() for axes in figure.axes]
    return [[text.get_text() for text in legend.get_texts()] for legend in found if legend]


def test_the_epoch_kept_is_marked_with_its_scores() -> None:
    run = rows(4)
    for row, miou, oa in zip(run, (0.2, 0.53, 0.53, 0.4), (0.3, 0.7, 0.8, 0.9), strict=True):
        row |= {"miou": miou, "oa": oa, "iou Bui": miou / 2, "iou Soi": float("nan")}
    final = [{"epoch": 5, "loss": 0.5}]
    figure = _figure([*run, *final], {})
    loss, scores, classes = legends(figure)
    # of two that are as good the first
    assert scores == [
        "mIoU (53.0 % at the epoch kept)", "overall accuracy (70.0 % at the epoch kept)",
        "kept: epoch 2",
    ]  # fmt: skip
    # a class that no validation tile has is not there
    assert classes == ["Bui 26 %", "kept: epoch 2"]
    assert "final run, on all tiles" in loss
    for axes in figure.axes[1], figure.axes[2]:
        (line,) = (line for line in axes.lines if line.get_label() == "kept: epoch 2")
        assert set(line.get_xdata()) == {2}


def test_of_parts_the_error_is_the_mean_of_theirs() -> None:
    counts = np.zeros((2, 3, 20))
    # sure by 0.72 and 0.74, right in 0.52 and 0.94: together hardly off
    counts[:, :, 14] = [[100, 72, 52], [100, 74, 94]]
    figure = _figure(rows(2), {"left out, after": counts, "validation": counts[0]})
    *_, (_, of_parts, of_one) = legends(figure)
    assert of_parts.endswith(", after calibration: 20.0 % off on average, mean of the parts")
    assert of_one.endswith(": 20.0 % off on average")
    lines = [line for axes in figure.axes for line in axes.lines]
    (line,) = (line for line in lines if line.get_label() == of_parts)
    assert (line.get_xdata(), line.get_ydata()) == (pytest.approx([0.73]), pytest.approx([0.73]))


def test_legends_cover_no_data() -> None:
    counts = np.array([[50.0, 50], [20, 45], [10, 40]])
    figure = _figure(rows(30), {"before": counts, "after": counts})
    figure.draw_without_rendering()
    for axes in figure.axes:
        legend = axes.get_legend()
        if legend is not None:
            assert not legend.get_window_extent().overlaps(axes.get_window_extent())
    # |20 - 10| and |45 - 40| of 100 pixels
    assert "before calibration: 15.0 % off on average" in legends(figure)[-1]


def test_table_and_picture_are_written(tmp_path: Path) -> None:
    write_curves(tmp_path / "m.onnx", rows(1))
    with open(tmp_path / "m.curves.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1"]
    # the two points of validation are seen
    picture = imread(tmp_path / "m.curves.png")[..., :3]
    for colour in (0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E):
        near = abs(picture * 255 - colour).max(axis=2) < 4
        assert near[:, picture.shape[1] // 2 :].sum() > 20
