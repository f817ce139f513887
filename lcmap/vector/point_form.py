"""The QGIS style of points that a person fills in: what is done and what is not, and a form."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree import ElementTree

from lcmap.raster.classes import Color
from lcmap.vector.styles import qml_document, qml_options, qml_root

_STRIKING, _LIGHT, _DARK = "255,0,255,255", "255,255,255,255", "35,35,35,255"
_CLEAR = "255,255,255,0"


class _Look(NamedTuple):
    """How a point is drawn: the shape, its colours, and lengths in millimetres on the screen."""

    shape: str
    color: str
    outline: str
    size: float
    width: float


_EMPTY = _Look("diamond", _CLEAR, _STRIKING, 5.0, 0.9)
"""Hollow: the ground at the point is to be seen."""
_UNKNOWN = _Look("cross2", _LIGHT, _LIGHT, 2.4, 0.7)


@dataclass(frozen=True)
class Answer:
    """What can be filled in: what is written, what the list and the legend call it, its colour.

    others: what else means it. color: None draws a cross.
    """

    value: str
    label: str
    color: Color | None
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class PointForm:
    """The field that is filled in, and how the others appear in the form.

    field: the field, text. empty: what the legend calls points that are not filled in.
    answers: what can be picked from a list; none: anything is written. name: the field that names
    a point, which is shown. hidden: fields that are not. free: those of text of any length.
    """

    field: str
    empty: str
    answers: Sequence[Answer]
    name: str
    hidden: Collection[str] = ()
    free: Collection[str] = ()


def point_form_style(form: PointForm) -> str:
    """Return a QGIS layer style of points, with its form.

    Points that are not filled in stand out.
    """
    root = qml_root("Symbology|Fields|Forms")
    ElementTree.SubElement(root, "previewExpression").text = f'"{form.name}"'
    _add_renderer(root, form)
    _add_widgets(root, form)
    editable = ElementTree.SubElement(root, "editable")
    for field in (form.name, *form.hidden):
        ElementTree.SubElement(editable, "field", name=field, editable="0")
    return qml_document(root)


def _add_renderer(root: ElementTree.Element, form: PointForm) -> None:
    renderer = ElementTree.SubElement(
        root, "renderer-v2", type="categorizedSymbol", attr=form.field
    )
    entries = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, answer in enumerate(form.answers):
        entry = ElementTree.SubElement(
            entries, "category", type="list", symbol=str(number), label=answer.label, render="true"
        )
        for value in (answer.value, *answer.others):
            ElementTree.SubElement(entry, "val", type="QString", value=value)
        look = _UNKNOWN
        if answer.color is not None:
            look = _Look("circle", "{},{},{},255".format(*answer.color), _DARK, 2.4, 0.4)
        _add_marker(symbols, number, look)
    # the category of all other values, so the last that is looked at
    last = len(form.answers)
    ElementTree.SubElement(
        entries, "category", type="string", symbol=str(last), value="", label=form.empty,
        render="true",
    )  # fmt: skip
    _add_marker(symbols, last, _EMPTY)


def _add_marker(symbols: ElementTree.Element, number: int, look: _Look) -> None:
    symbol = ElementTree.SubElement(symbols, "symbol", type="marker", name=str(number), alpha="1")
    layer = ElementTree.SubElement(symbol, "layer", {"class": "SimpleMarker", "enabled": "1"})
    options = {
        "name": look.shape,
        "color": look.color,
        "outline_color": look.outline,
        "outline_style": "solid",
        "outline_width": str(look.width),
        "outline_width_unit": "MM",
        "size": str(look.size),
        "size_unit": "MM",
    }
    qml_options(layer, options)


def _add_widgets(root: ElementTree.Element, form: PointForm) -> None:
    """Say how each field appears in the form."""
    configuration = ElementTree.SubElement(root, "fieldConfiguration")
    for field in form.hidden:
        _add_widget(configuration, field, "Hidden")
    for field in form.free:
        config = _add_widget(configuration, field, "TextEdit")
        ElementTree.SubElement(config, "Option", type="bool", name="IsMultiline", value="true")
    if not form.answers:
        return
    config = _add_widget(configuration, form.field, "ValueMap")
    pairs = ElementTree.SubElement(config, "Option", type="List", name="map")
    for answer in form.answers:
        pair = ElementTree.SubElement(pairs, "Option", type="Map")
        ElementTree.SubElement(
            pair, "Option", type="QString", name=answer.label, value=answer.value
        )


def _add_widget(configuration: ElementTree.Element, field: str, kind: str) -> ElementTree.Element:
    """Return the options of the widget of a field."""
    entry = ElementTree.SubElement(configuration, "field", name=field)
    widget = ElementTree.SubElement(entry, "editWidget", type=kind)
    config = ElementTree.SubElement(widget, "config")
    return ElementTree.SubElement(config, "Option", type="Map")
