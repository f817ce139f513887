"""What is printed on terminals that are narrower than its lines."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lcmap.accuracy.tables import Table
from lcmap.cli.console import Reporter
from lcmap.cli.tables import for_terminal
from lcmap.cli.wrapping import wrapped

WORDS = st.lists(st.sampled_from(["a", "path/to/a-map.tif", "and", "100", "%", "px", "words"]))


def test_an_example() -> None:
    line = "  train: 20 tiles; labels on 100 % of the pixels of /data/flair/a-long-name.tif"
    assert wrapped(line, 29).split("\n") == [
        "  train: 20 tiles; labels on",
        "    100 % of the pixels of",
        "    /data/flair/a-long-name.tif",
    ]


@given(WORDS, st.integers(0, 8), st.integers(20, 80))
def test_words_stay_whole_and_in_order(words: list[str], indent: int, width: int) -> None:
    line = " " * indent + " ".join(words)
    broken = wrapped(line, width)
    assert broken.split() == line.split()
    if len(line) <= width:
        assert broken == line
    pieces = [piece.split() for piece in broken.split("\n")]
    for piece, parts in zip(broken.split("\n"), pieces, strict=True):
        assert len(piece) <= width or len(parts) == 1
    for before, after in pairwise(pieces):
        assert (before[-1], after[0]) not in {("100", "%"), ("100", "px")}


def test_lines_of_tables_stay_as_they_are() -> None:
    table = "class             pixels      %\nBuilding           3 968  43.06"
    assert wrapped(table, 20) == table


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_no_figure_of_a_table_is_cut(width: int) -> None:
    header = ("in %", *(f"map {number}" for number in range(6)))
    rows = tuple(
        (name, *(f"{number}{place}.5 [40.0, 99.9]" for number in range(1, 7)))
        for place, name in enumerate(["Herbaceous and crops", "Water"])
    )
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(for_terminal([Table("IoU", header, (rows,))], ["a note"]))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in shown and all(len(line) <= width for line in shown.splitlines())
    assert all(cell in shown for row in rows for cell in row[1:])
    assert shown.count("Water") == 1 + shown.count("IoU (continued)")
    assert ("continued" in shown) == (width < 200)


def test_a_result_is_not_printed_into_the_line_of_a_bar() -> None:
    reporter = Reporter(Console(file=io.StringIO()), quiet=False)
    with pytest.raises(AssertionError), reporter.progress("work"):
        reporter.summary("done")
