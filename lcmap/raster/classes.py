"""The classes of a label raster: colours and names inside the file and beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np

from lcmap.errors import DataError, InputMissingError
from lcmap.json_text import parse_json
from lcmap.user_file import read_small

CLASSES_TAG = "LCMAP_CLASSES"
NOMENCLATURE_TAG = "LCMAP_NOMENCLATURE"
ACRONYMS_TAG = "LCMAP_ACRONYMS"

Color = tuple[int, int, int]

InputKind = Literal["image", "labels", "probabilities", "series"]
"""What the bands of a raster are to a network; a series is an image of several dates."""

_LARGEST_SIDECAR = 1 << 20
_INTEGER, _REAL, _TEXT = 0, 1, 2
_PIXELS, _NAME, _VALUE, _RGB = 1, 2, 5, (6, 7, 8)
_ATTRIBUTES = (
    ("Value", _INTEGER, _VALUE),
    ("Count", _REAL, _PIXELS),  # GDAL's integers have 32 bits
    ("Class", _TEXT, _NAME),
    *zip(("Red", "Green", "Blue"), (_INTEGER,) * 3, _RGB, strict=True),
)
"""The columns of a raster attribute table: name, GDALRATFieldType, GDALRATFieldUsage."""


@dataclass(frozen=True)
class ClassTable:
    """A nomenclature's name, and for each code (1–254) the class's name and its colour.

    colors: of some codes only where the raster that said them has lost its colours.
    acronyms: those of the classes; none in rasters of other programs and of earlier versions.
    """

    nomenclature: str
    names: Mapping[int, str]
    colors: Mapping[int, Color]
    acronyms: Mapping[int, str] = field(default_factory=dict)

    @property
    def codes(self) -> tuple[int, ...]:
        """The codes in ascending order."""
        return tuple(sorted(self.names))


def write_class_table(dataset: Any, table: ClassTable) -> None:
    """Write the colour table and the class names into band 1 and the tags of an open raster."""
    colormap = dict.fromkeys(range(_entries(dataset)), (0, 0, 0, 0))
    colormap.update({code: (*color, 255) for code, color in table.colors.items()})
    dataset.write_colormap(1, colormap)
    tags = {NOMENCLATURE_TAG: table.nomenclature, CLASSES_TAG: _by_code(table.names)}
    if table.acronyms:
        tags[ACRONYMS_TAG] = _by_code(table.acronyms)
    dataset.update_tags(**tags)


def read_class_table(dataset: Any) -> ClassTable | None:
    """Return the class table that an open raster carries, None where it carries none."""
    tags = dataset.tags()
    try:
        names, acronyms = (_codes_of(tags.get(tag)) for tag in (CLASSES_TAG, ACRONYMS_TAG))
    except (ValueError, AttributeError):
        return None
    if not names or not {*names} <= {*range(_entries(dataset))}:
        return None
    return ClassTable(tags.get(NOMENCLATURE_TAG, ""), names, _colors(dataset, names), acronyms)


def _entries(dataset: Any) -> int:
    """Return how many codes band 1 of an open raster can hold."""
    bits: int = 8 * np.dtype(dataset.dtypes[0]).itemsize
    return 1 << min(bits, 16)


def _colors(dataset: Any, codes: Iterable[int]) -> dict[int, Color]:
    """Return the colour of each code in the colour table of band 1, nothing where it has none."""
    try:
        colormap = dataset.colormap(1)
    except ValueError:
        return {}
    return {code: colormap[code][:3] for code in codes if code in colormap}


def find_class_table(dataset: Any) -> ClassTable | None:
    """Return the class table that an open raster carries, or else that its sidecar tells.

    A program that rewrites a raster may lose its tags or its colour table.
    """
    table = read_class_table(dataset)
    if table is not None and len(table.colors) == len(table.names):
        return table
    beside = _beside(dataset.name)
    if table is None or beside is None:
        return table or beside
    return replace(table, colors=beside.colors) if beside.names == table.names else table


def _beside(raster: str) -> ClassTable | None:
    """Return the classes of the attribute table in a raster's .aux.xml, None where there is none.

    Of a table without names, without colours or with a name twice there is none either.
    """
    try:
        text = read_small(raster + ".aux.xml", _LARGEST_SIDECAR)
        # what entities stand for may be out of all proportion
        root = ElementTree.fromstring(text.replace(b"<!ENTITY", b""))
        (attributes,) = root.iterfind("PAMRasterBand[@band='1']/GDALRasterAttributeTable")
        usages = [int(field.findtext("Usage", "")) for field in attributes.iterfind("FieldDefn")]
        value, name, *rgb = (usages.index(usage) for usage in (_VALUE, _NAME, *_RGB))
        rows = [[cell.text or "" for cell in row] for row in attributes.iterfind("Row")]
        told = {int(float(row[value])): row for row in rows}
        named = {code: row for code, row in told.items() if 0 < code < 255 and row[name]}
        colors = {code: _bytes(*(row[column] for column in rgb)) for code, row in named.items()}
    except (DataError, InputMissingError, ElementTree.ParseError, ValueError, IndexError):
        return None
    names = {code: row[name] for code, row in named.items()}
    return ClassTable("", names, colors) if names and len({*names.values()}) == len(names) else None


def _bytes(red: str, green: str, blue: str) -> Color:
    color = (int(red), int(green), int(blue))
    if not all(0 <= value <= 255 for value in color):
        raise ValueError(color)
    return color


def _by_code(texts: Mapping[int, str]) -> str:
    return json.dumps({str(code): texts[code] for code in sorted(texts)}, ensure_ascii=False)


def _codes_of(text: str | None) -> dict[int, str]:
    """Return the text of each code that a tag holds, nothing where there is no tag.

    Raises:
        ValueError: it holds something else.
    """
    values = parse_json(text) if text else {}
    if not isinstance(values, dict):
        raise ValueError(text)
    return {int(code): str(value) for code, value in values.items()}


def qml_style(table: ClassTable) -> str:
    """Return a QGIS layer style (.qml) with an entry for each class."""
    root = ElementTree.Element("qgis", version="3.0", styleCategories="Symbology")
    pipe = ElementTree.SubElement(root, "pipe")
    renderer = ElementTree.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1"
    )
    palette = ElementTree.SubElement(renderer, "colorPalette")
    for code in table.codes:
        ElementTree.SubElement(
            palette,
            "paletteEntry",
            value=str(code),
            color="#{:02x}{:02x}{:02x}".format(*table.colors[code]),
            alpha="255",
            label=table.names[code],
        )
    ElementTree.indent(root)
    document = ElementTree.tostring(root, encoding="unicode")
    return f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{document}\n"


def is_class_style(text: str) -> bool:
    """Return whether a .qml is, to the letter, what `qml_style` makes of some classes."""
    try:
        entries = list(ElementTree.fromstring(text).iter("paletteEntry"))
        names = {int(entry.attrib["value"]): entry.attrib["label"] for entry in entries}
        colors = {
            int(entry.attrib["value"]): _rgb(entry.attrib["color"].removeprefix("#"))
            for entry in entries
        }
    except (ElementTree.ParseError, KeyError, ValueError):
        return False
    return text == qml_style(ClassTable("", names, colors))


def _rgb(digits: str) -> Color:
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def aux_xml(table: ClassTable, counts: Sequence[int]) -> str:
    """Return GDAL's sidecar (.aux.xml): a name for every code from 0 up, a row for every class.

    The rows are a raster attribute table, from which QGIS makes its legend where there is no .qml;
    counts: how many pixels have each code, by code.
    """
    root = ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    categories = ElementTree.SubElement(band, "CategoryNames")
    for code in range(max(table.codes, default=0) + 1):
        ElementTree.SubElement(categories, "Category").text = table.names.get(code, "")
    attributes = ElementTree.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, usage) in enumerate(_ATTRIBUTES):
        field = ElementTree.SubElement(attributes, "FieldDefn", index=str(index))
        for key, value in (("Name", name), ("Type", str(kind)), ("Usage", str(usage))):
            ElementTree.SubElement(field, key).text = value
    for index, code in enumerate(table.codes):
        row = ElementTree.SubElement(attributes, "Row", index=str(index))
        for cell in (code, int(counts[code]), table.names[code], *table.colors[code]):
            ElementTree.SubElement(row, "F").text = str(cell)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
