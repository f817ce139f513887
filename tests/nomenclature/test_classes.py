from __future__ import annotations

import numpy as np
import pytest

from lcmap.errors import NomenclatureError, UnknownLabelError
from lcmap.nomenclature import Nomenclature, load_nomenclature, nomenclature_of

ONE = {"code": 1, "name": "Water", "short": "Wat", "color": "#0000ff"}
TWO = {"code": 7, "name": "Wood", "short": "Woo", "color": "#00FF00"}


def nomenclature(*classes: object, **more: object) -> Nomenclature:
    return Nomenclature.from_dict({"name": "own", "classes": list(classes), **more}, "own.toml")


def test_codes_and_indices_follow_the_order_of_the_file() -> None:
    own = nomenclature(TWO, ONE)
    assert own.codes == (7, 1)
    assert own.index_of(1) == 1
    assert own[7].name == "Wood"
    assert own.code_to_index[[7, 1, 0, 5, 255]].tolist() == [0, 1, 255, 255, 255]
    assert own.index_to_code.tolist() == [7, 1]
    with pytest.raises(KeyError):
        own.index_of(3)


def test_a_class_is_found_by_code_name_or_acronym() -> None:
    own = nomenclature(ONE, TWO)
    assert own.find("7") is own.find("wood") is own.find(" WOO ") is own[7]
    assert own.find("2") is None


def test_plain_values_come_back_the_same() -> None:
    for name in ("oso23", "topo18"):
        built_in = load_nomenclature(name)
        assert Nomenclature.from_dict(built_in.to_dict()) == built_in


def test_class_table_carries_names_and_colours_to_a_raster_and_back() -> None:
    own = nomenclature(ONE, TWO)
    table = own.class_table()
    assert table.colors == {1: (0, 0, 255), 7: (0, 255, 0)}
    again = nomenclature_of(table)
    assert again.name == "own"
    assert [(c.code, c.name, c.color) for c in again.classes] == [
        (1, "Water", "#0000ff"),
        (7, "Wood", "#00ff00"),
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "own"}, "has no classes"),
        ({"classes": [ONE]}, 'no text "name"'),
        ({"name": "own", "classes": [ONE], "colour": 1}, 'unknown key "colour"'),
        ({"name": "own", "classes": [1]}, "class number 1 is not a table"),
        ({"name": "own", "classes": [ONE, {**TWO, "code": 1}]}, 'the code "1" is given twice'),
        (
            {"name": "own", "classes": [ONE, {**TWO, "name": "Water"}]},
            '"Water" is given twice',
        ),
        ({"name": "own", "classes": [ONE, {**TWO, "short": "Wat"}]}, 'short "Wat" is given twice'),
        (
            {"name": "own", "classes": [{**ONE, "code": 0}]},
            "the code 0; codes go from 1 to 254",
        ),
        ({"name": "own", "classes": [{**ONE, "code": 255}]}, "has the code 255"),
        ({"name": "own", "classes": [{**ONE, "code": True}]}, "has the code True"),
        ({"name": "own", "classes": [{**ONE, "code": "1"}]}, "has the code '1'"),
        ({"name": "own", "classes": [{**ONE, "color": "blue"}]}, 'the color "blue"; write it'),
        ({"name": "own", "classes": [{**ONE, "color": "#12345"}]}, 'the color "#12345"'),
        ({"name": "own", "classes": [{**ONE, "name": " "}]}, 'no text "name"'),
        ({"name": "own", "classes": [ONE], "no_label": [0]}, "no_label is not a list of codes"),
        ({"name": "own", "classes": [ONE], "no_label": [1]}, 'the code "1" is given twice'),
    ],
)
def test_a_nomenclature_that_contradicts_itself_is_refused_in_one_line(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(NomenclatureError) as caught:
        Nomenclature.from_dict(values, "own.toml")
    line = str(caught.value)
    assert line.startswith("own.toml: ")
    assert message in line
    assert "\n" not in line
    assert caught.value.exit_code == 65


def test_labels_are_checked_and_no_label_codes_become_0() -> None:
    oso = load_nomenclature("oso23")
    labels = np.array([[0, 1], [23, 255]], np.int16)
    checked = oso.check_labels(labels, "oso.tif")
    assert checked.dtype == np.uint8
    assert checked.tolist() == [[0, 1], [23, 0]]
    assert labels[1, 1] == 255, "the input stays as it was"


def test_unknown_labels_are_named_with_their_file() -> None:
    own = nomenclature(ONE, TWO)
    with pytest.raises(UnknownLabelError, match=r"labels\.tif: .* own does not have: 2, 255"):
        own.check_labels(np.array([0, 1, 7, 2, 255], np.uint8), "labels.tif")
