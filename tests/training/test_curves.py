"""The picture of a run: readable from the first epoch on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
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


def test_table_and_picture_are_written(tmp_path: Path) -> None:
    write_curves(tmp_path / "m.onnx", rows(1))
    with open(tmp_path / "m.curves.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1"]
    # the two points of validation are seen
    picture = imread(tmp_path / "m.curves.png")[..., :3]
    for colour in (0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E):
        near = abs(picture * 255 - colour).max(axis=2) < 4
        assert near[:, picture.shape[1] // 2 :].sum() > 20
