"""Styles beside polygons: whose they are, and when there is none. QGIS reads them in tests/gis."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from lcmap.vector.styles import Category, category_style, write_style_beside

CATEGORIES = [Category("a & b", 'with "quotes"', (1, 2, 3), 90), Category(7, "seven", (4, 5, 6))]


def test_each_value_has_a_symbol_of_its_colour() -> None:
    root = ElementTree.fromstring(category_style("kind", CATEGORIES, outlined=True))
    (renderer,) = root.iter("renderer-v2")
    assert renderer.get("attr") == "kind"
    told = [
        (item.get("value"), item.get("label"), item.get("symbol")) for item in root.iter("category")
    ]
    assert told == [("a & b", 'with "quotes"', "0"), ("7", "seven", "1")]
    for way, key in (("Option", "name"), ("prop", "k")):
        value = "value" if way == "Option" else "v"
        colors = [item.get(value) for item in root.iter(way) if item.get(key) == "color"]
        assert colors == ["1,2,3,90", "4,5,6,255"]


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    (tmp_path / "making").mkdir()
    return tmp_path / "making" / "t.geojson"


@pytest.mark.parametrize(
    "before, written",
    [
        ({}, True),
        ({"t.qml": category_style("old", [], outlined=False)}, True),
        ({"t.qml": "<qgis/>"}, False),
        ({"t.qml": "mine"}, False),
        ({"t.tif": "another layer of the name"}, False),
    ],
)
def test_a_style_is_written_where_it_is_no_other_layers_and_nobodys(
    before: dict[str, str], written: bool, tmp_path: Path, temporary: Path
) -> None:
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    style = category_style("kind", CATEGORIES, outlined=True)
    write_style_beside(tmp_path / "t.geojson", temporary, style)
    assert (tmp_path / "making" / "t.qml").exists() == written
    write_style_beside(tmp_path / "t.geojson", temporary, style, overwrite=True)
    assert (tmp_path / "making" / "t.qml").exists() == ("t.tif" not in before)


def test_none_beside_what_is_made_with_it_or_in_a_stream(tmp_path: Path, temporary: Path) -> None:
    write_style_beside(tmp_path / "t.geojson", temporary, "style", [tmp_path / "t.tif"])
    write_style_beside("/dev/null", temporary, "style")
    assert not list((tmp_path / "making").iterdir())
