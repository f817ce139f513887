"""The tables that people read: the forms of the paper's tables 2, 3 and 5."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lcmap.accuracy.confusion import margins
from lcmap.accuracy.intervals import Interval
from lcmap.accuracy.measures import Scores, scores
from lcmap.accuracy.report import Bootstrap, MapScore, Report
from lcmap.accuracy.tables import WIDTH, notes, plain_text, tables
from lcmap.nomenclature import Nomenclature, load_nomenclature

TOPO6, OSO23 = load_nomenclature("topo6"), load_nomenclature("oso23")


def report(
    nomenclature: Nomenclature, *matrices: NDArray[np.int64], level: float | None = None
) -> Report:
    found = [scores(margins(matrix)) for matrix in matrices]

    def ends(values: Scores) -> Interval | None:
        if level is None:
            return None
        return Interval(*(Scores(values.per_class + s, values.overall + s) for s in (-0.02, 0.02)))

    differences = [
        Scores(*(own - first for own, first in zip(item, found[0], strict=True))) for item in found
    ]
    return Report(
        nomenclature=nomenclature,
        only=None,
        maps=tuple(
            MapScore(
                f"map{m}", (f"map{m}.tif",), None, (), matrix, values, ends(values),
                differences[m] if m else None, ends(differences[m]) if m else None,
            )
            for m, (matrix, values) in enumerate(zip(matrices, found, strict=True))
        ),
        references=("ref.tif",),
        reference_crosswalk=None,
        tiles=(),
        split=None,
        pixels=int(matrices[0].sum()),
        not_covered=0,
        left_out_unclassified=0,
        bootstrap=Bootstrap(1000, level, 256, 1234, 0) if level else None,
    )  # fmt: skip


def full_matrix(classes: int, seed: int = 0) -> NDArray[np.int64]:
    random = np.random.default_rng(seed)
    matrix = random.integers(0, 40, (classes, classes + 1))
    matrix[range(classes), range(classes)] += 400
    return matrix


def test_one_map_has_iou_precision_recall_and_f1_of_each_class() -> None:
    matrix = np.zeros((6, 7), np.int64)
    matrix[0, :2] = (60, 20)
    matrix[1, :2] = (10, 110)
    (table,) = tables(report(TOPO6, matrix))
    classes, totals = table.groups
    assert table.header == ("in %", "reference", "IoU", "precision", "recall", "F1")
    assert classes[0] == ("Around buildings", "40.0", "66.7", "85.7", "75.0", "80.0")
    assert classes[2] == ("Crops and low vegetation", "0.0", "–", "–", "–", "–")
    assert {row[0]: row[2] for row in totals} == {
        "mIoU": "72.6",
        "OA": "85.0",
        "κ": "68.1",
        "mean F1": "84.0",
    }


def test_several_maps_stand_side_by_side_and_differ_from_the_first() -> None:
    worse = full_matrix(6)
    worse[0, 0] -= 100
    worse[0, 1] += 100
    values, differences = tables(report(TOPO6, full_matrix(6), worse, full_matrix(6)))
    assert values.header == ("in %", "map0", "map1", "map2")
    assert [row[0] for row in values.groups[1]] == ["mIoU", "OA", "κ", "mean F1"]
    assert differences.title == "Difference to map0"
    assert differences.header == ("in %", "map1", "map2")
    buffer = differences.groups[0][0]
    assert buffer[1].startswith("-")
    assert buffer[2] == "+0.0"


def test_intervals_stand_in_brackets() -> None:
    matrix = np.diag([50, 50, 0, 0, 0, 0])
    matrix = np.hstack([matrix, np.zeros((6, 1), np.int64)])
    (table,) = tables(report(TOPO6, matrix, level=95))
    assert table.groups[0][0][2] == "100.0 [98.0, 102.0]"
    assert table.groups[0][2][2] == "–"


@pytest.mark.parametrize("nomenclature", [TOPO6, OSO23])
@pytest.mark.parametrize("maps", [1, 2, 3])
def test_plain_text_is_aligned_and_fits_80_columns(nomenclature: Nomenclature, maps: int) -> None:
    made = report(nomenclature, *[full_matrix(len(nomenclature))] * maps, level=95)
    lines = plain_text(made).splitlines()
    assert max(map(len, lines)) <= WIDTH
    rule = next(line for line in lines if line.startswith("---"))
    for title in ("mIoU", "OA", "mean F1"):
        row = next(line for line in lines if line.startswith(title))
        assert maps == 1 or len(row) == len(rule)
    assert not any(line.endswith(" ") for line in lines)


def test_acronyms_stand_in_where_names_are_too_wide() -> None:
    wide = tables(report(OSO23, *[full_matrix(23)] * 3, level=95))
    narrow = tables(report(OSO23, *[full_matrix(23)] * 3))
    assert [table.groups[0][0][0] for table in wide] == ["Den", "Den"], "the same in both"
    assert [table.groups[0][0][0] for table in narrow] == ["Bâtis denses"] * 2


def test_confusion_in_percent_of_the_reference() -> None:
    matrix = np.zeros((6, 7), np.int64)
    matrix[0] = (50, 25, 0, 0, 0, 0, 25)
    matrix[3, 3] = 7
    table = tables(report(TOPO6, matrix), matrix=True)[-1]
    assert table.header == ("", "Buf", "Wat", "Cro", "Roa", "Veg", "Bui", "none")
    assert table.groups[0][0] == ("Buf", "50", "25", ".", ".", ".", ".", "25")
    assert table.groups[0][1] == ("Wat", *["–"] * 7)


def test_chosen_classes_alone_get_a_row_but_others_a_column_where_they_are_mapped() -> None:
    """Table 5: kept classes only."""
    matrix = np.zeros((6, 7), np.int64)
    matrix[1, [1, 5]] = (90, 10)
    made = replace(report(TOPO6, matrix), only=(2, 4))
    table, confusion = tables(made, matrix=True)
    assert [row[0] for row in table.groups[0]] == ["Water", "Roads"]
    assert confusion.header == ("", "Wat", "Roa", "Bui", "none")
    assert notes(made)[-2:] == (
        "not in the reference, so without scores: Roads",
        "pixels of other classes in the reference are left out",
    )


def test_notes_say_what_the_figures_are_over() -> None:
    matrix = np.zeros((6, 7), np.int64)
    matrix[0] = (1000, 0, 0, 0, 0, 0, 250)
    made = replace(
        report(TOPO6, matrix, level=90),
        tiles=("a.geojson", "b.geojson"),
        split="test",
        not_covered=12_345,
        left_out_unclassified=7,
    )
    first = replace(made.maps[0], without_source=(1, 2))
    assert notes(replace(made, maps=(first,))) == (
        "1 250 pixels of ref.tif, test split of a.geojson and 1 more",
        "[90 % interval]: 1000 bootstrap draws of 1 234 blocks of 256 px, seed 0",
        "12 345 labelled pixels are outside a map: left out",
        "7 labelled pixels have no class in a map: left out",
        "map0 leaves 20.0 % without a class: counted as missed",
        "map0 has no class that leads to Around buildings: scored 0",
        "not in the reference, so without scores: Water, Crops and low vegetation, Roads, "
        "High vegetation, Buildings",
    )
