from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import confusion_matrix

from lcmap.accuracy.confusion import cells, count, margins, state_table
from lcmap.nomenclature import Nomenclature, load_crosswalk, load_nomenclature

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)


@given(st.data(), st.integers(1, 6))
def test_counts_what_scikit_learn_counts(data: st.DataObject, classes: int) -> None:
    shape = data.draw(SHAPES)
    states = hnp.arrays(np.uint8, shape, elements=st.integers(0, classes + 1))
    reference, predicted = data.draw(states), data.draw(states)
    found = count(cells(reference, predicted, classes), classes)
    expected = confusion_matrix(reference.ravel(), predicted.ravel(), labels=np.arange(classes + 2))
    assert found.tolist() == expected.tolist()


def test_the_largest_nomenclature_fits() -> None:
    states = np.arange(256, dtype=np.uint8)
    found = count(cells(states, states[::-1], 254), 254)
    assert found.sum() == 256
    assert found[255, 0] == found[0, 255] == 1


def test_margins_are_diagonal_rows_and_columns() -> None:
    matrix = np.array([[5, 1, 2], [3, 7, 0]], np.int64)
    assert margins(matrix).tolist() == [[5, 7], [8, 10], [8, 8]]


def test_states_of_a_nomenclature() -> None:
    oso = load_nomenclature("oso23")
    table = state_table(oso)
    assert table[[1, 23]].tolist() == [0, 22]
    assert table[[0, 255]].tolist() == [23, 23], "255 is OSO's no label"
    assert table[[24, 254]].tolist() == [24, 24], "unknown codes"


def test_states_after_a_crosswalk_are_those_of_its_target() -> None:
    crosswalk = load_crosswalk("flair19:flair7")
    table = state_table(crosswalk.target, crosswalk)
    assert table[[1, 18, 2, 12]].tolist() == [0, 0, 1, 6]
    assert table[[0, 14, 19]].tolist() == [7, 7, 7], "no label and discarded"
    assert table[20] == 8, "unknown"


def test_classes_that_are_not_chosen_are_without_a_class() -> None:
    table = state_table(load_nomenclature("topo6"), only=(2, 4))
    assert table[:8].tolist() == [6, 6, 1, 6, 3, 6, 6, 7]


@pytest.mark.parametrize("codes", [(254, 1), (9, 3)])
def test_states_follow_the_order_of_the_nomenclature(codes: tuple[int, int]) -> None:
    own = Nomenclature.from_dict(
        {
            "name": "own",
            "classes": [
                {"code": code, "name": f"c{code}", "short": f"c{code}", "color": "#000000"}
                for code in codes
            ],
        }
    )
    assert state_table(own)[list(codes)].tolist() == [0, 1]
