"""The QGIS style (.qml) of polygons: a colour and a name for each value of a column."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from lcmap.paths import PathLike
from lcmap.raster.classes import Color
from lcmap.raster.destination import file_at, stream_at
from lcmap.raster.old_sidecars import style_of

_MADE_BY = "lcmap"
_OUTLINE = "60,60,60,255"


@dataclass(frozen=True)
class Category:
    """The polygons whose column has a value: what the legend calls them, and their colour.

    alpha: from 0, which is transparent, to 255.
    """

    value: str | int
    label: str
    color: Color
    alpha: int = 255


def category_style(column: str, categories: Sequence[Category], *, outlined: bool) -> str:
    """Return a QGIS layer style (.qml) of polygons by the values of a column."""
    root = qml_root("Symbology")
    renderer = ElementTree.SubElement(root, "renderer-v2", type="categorizedSymbol", attr=column)
    entries = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, item in enumerate(categories):
        name = str(number)
        ElementTree.SubElement(
            entries, "category", symbol=name, value=str(item.value), label=item.label, render="true"
        )
        symbol = ElementTree.SubElement(symbols, "symbol", type="fill", name=name, alpha="1")
        layer = ElementTree.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1"})
        look = {
            "color": ",".join(str(part) for part in (*item.color, item.alpha)),
            "outline_color": _OUTLINE,
            "outline_style": "solid" if outlined else "no",
            "outline_width": "0.2",
            "style": "solid",
        }
        qml_options(layer, look)
    return qml_document(root)


def qml_root(parts: str) -> ElementTree.Element:
    """Return the root of a style of these parts of QGIS's, as "Symbology|Forms"."""
    return ElementTree.Element("qgis", version="3.0", styleCategories=parts, madeBy=_MADE_BY)


def qml_options(layer: ElementTree.Element, look: Mapping[str, str]) -> None:
    """Add the options of a symbol's layer, both as QGIS reads them since 3.18 and as before."""
    options = ElementTree.SubElement(layer, "Option", type="Map")
    for key, value in look.items():
        ElementTree.SubElement(options, "Option", type="QString", name=key, value=value)
    for key, value in look.items():
        ElementTree.SubElement(layer, "prop", k=key, v=value)


def qml_document(root: ElementTree.Element) -> str:
    """Return the text of a style."""
    ElementTree.indent(root)
    document = ElementTree.tostring(root, encoding="unicode")
    return f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{document}\n"


def write_style_beside(
    path: PathLike,
    temporary: Path,
    style: str,
    others: Collection[Path] = (),
    *,
    overwrite: bool = False,
) -> None:
    """Write the style of polygons that are made in the file `temporary`, to become `path`.

    It gets its name with them. None is written where they go into a stream, where another file has
    the same style, there or among the `others` that are made with it, or where someone made one and
    it is not to `overwrite`.
    """
    if stream_at(path) is not None:
        return
    place = style_of(file_at(path), others)
    if place is not None and (overwrite or _may_be_replaced(place)):
        temporary.with_suffix(place.suffix).write_text(style, encoding="utf-8")


def _may_be_replaced(place: Path) -> bool:
    if not os.path.lexists(place):
        return True
    try:
        return ElementTree.parse(place).getroot().get("madeBy") == _MADE_BY
    except (OSError, ElementTree.ParseError):
        return False
