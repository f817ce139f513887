"""The style of points that are filled in. QGIS reads it in tests/gis."""

from __future__ import annotations

from xml.etree import ElementTree

from lcmap.vector.point_form import Answer, PointForm, point_form_style

ANSWERS = [Answer("1", 'wood & "scrub"', (1, 2, 3), ("wood", "Woo")), Answer("0", "unknown", None)]
FORM = PointForm("reference", "to do", ANSWERS, "id", hidden=("stratum",), free=("note",))


def test_what_is_written_and_what_means_the_same_have_one_symbol() -> None:
    root = ElementTree.fromstring(point_form_style(FORM))
    (renderer,) = root.iter("renderer-v2")
    assert renderer.get("attr") == "reference"
    *answers, empty = root.iter("category")
    told = [
        (entry.get("label"), [value.get("value") for value in entry.iter("val")])
        for entry in answers
    ]
    assert told == [('wood & "scrub"', ["1", "wood", "Woo"]), ("unknown", ["0"])]
    # which QGIS gives all other values, nothing among them
    assert (empty.get("label"), empty.get("value")) == ("to do", "")
    symbols = {symbol.get("name"): symbol for symbol in root.iter("symbol")}
    looks = []
    for entry in (*answers, empty):
        options = symbols[entry.get("symbol") or ""].iter("prop")
        look = {option.get("k"): option.get("v") or "" for option in options}
        looks.append((look["name"], look["color"]))
        # the ground shows through a point that is to be interpreted
        assert look["color"].endswith(",0") == (entry is empty)
    assert looks[0] == ("circle", "1,2,3,255") and len(set(looks)) == 3


def test_an_answer_is_picked_from_a_list() -> None:
    root = ElementTree.fromstring(point_form_style(FORM))
    fields = root.iterfind("fieldConfiguration/field")
    widgets = {field.get("name"): next(field.iter("editWidget")) for field in fields}
    kinds = {name: widget.get("type") for name, widget in widgets.items()}
    assert kinds == {"stratum": "Hidden", "note": "TextEdit", "reference": "ValueMap"}
    pairs = widgets["reference"].iterfind(".//Option[@name='map']/Option/Option")
    assert [(pair.get("name"), pair.get("value")) for pair in pairs] == [
        ('wood & "scrub"', "1"), ("unknown", "0"),
    ]  # fmt: skip
    fixed = [f.get("name") for f in root.iterfind("editable/field") if f.get("editable") == "0"]
    assert fixed == ["id", "stratum"]


def test_without_answers_anything_is_written() -> None:
    root = ElementTree.fromstring(point_form_style(PointForm("r", "to do", [], "id")))
    assert not list(root.iter("editWidget"))
    assert [entry.get("label") for entry in root.iter("category")] == ["to do"]
