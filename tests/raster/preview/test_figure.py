"""Where things stand in a picture: legends of any length, beside maps and below strips."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.text import Text

from lcmap.raster.preview.figure import DrawnPanel, Entry, Ground, figure_of

NAMES = ["Water", "Main roads and other paved ground", "常緑針葉樹林およびその他の森林植生地域"]


def panels(shape: tuple[int, int], classes: int, count: int) -> list[DrawnPanel]:
    legend = [
        Entry(f"{NAMES[number % 3]} {number}", "#0072b2", f"{number}.5 %")
        for number in range(classes)
    ]
    pixels, valid = np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), np.bool_)
    return [
        DrawnPanel(f"p{n}.tif", pixels, valid, shape, f"p{n}.tif", legend if n == count - 1 else ())
        for n in range(count)
    ]


@pytest.mark.filterwarnings("ignore:Glyph .* missing from")
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("classes", [1, 7, 20])
@pytest.mark.parametrize("shape", [(60, 4000), (400, 500), (3000, 50), (2, 3)])
def test_a_legend_is_whole_and_nothing_stands_over_it(
    shape: tuple[int, int], classes: int, count: int
) -> None:
    figure = figure_of(panels(shape, classes, count), Ground((1.0, 1.0), "of 1 m"))
    shown = [found for found in figure.findobj(Text) if found.get_text()]
    boxes = {found: found.get_window_extent() for found in shown}
    width, height = figure.bbox.width, figure.bbox.height
    for found, box in boxes.items():
        assert box.x0 >= 0 and box.x1 <= width + 1, found.get_text()
        assert box.y0 >= 0 and box.y1 <= height + 1, found.get_text()
    for one, other in combinations(shown, 2):
        a, b = boxes[one], boxes[other]
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        along = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across < 2 or along < 3, (one.get_text(), other.get_text())
    said = [found.get_text() for found in shown]
    assert sum(text.endswith(".5 %") for text in said) == classes
    assert said.count(f"p{count - 1}.tif") == 2  # of the panel and of the legend, once each


def test_the_legend_of_a_strip_is_below_it() -> None:
    few, many = (
        figure_of(panels((60, 4000), classes, 1), Ground((1.0, 1.0), "")) for classes in (2, 20)
    )
    assert many.bbox.width < few.bbox.width  # beside it where that is no higher than the strip
    assert many.bbox.height < 500  # in one column they take 660
