"""The classes of a label raster: colours and names inside the file and beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree

from lcmap.json_text import parse_json
from lcmap.paths import PathLike

CLASSES_TAG = "LCMAP_CLASSES"
NOMENCLATURE_TAG = "LCMAP_NOMENCLATURE"

Color = tuple[int, int, int]

InputKind = Literal["image", "labels", "probabilities"]
"""What the bands of a raster are to a network."""


@dataclass(frozen=True)
class ClassTable:
    """A nomenclature's name, and for each code (1–254) the class's name and its colour."""

    nomenclature: str
    names: Mapping[int, str]
    colors: Mapping[int, Color]

    @property
    def codes(self) -> tuple[int, ...]:
        """The codes in ascending order."""
        return tuple(sorted(self.names))


def write_class_table(dataset: Any, table: ClassTable) -> None:
    """Write the colour table and the class names into band 1 and the tags of an open raster."""
    colormap = dict.fromkeys(range(256), (0, 0, 0, 0))
    colormap.update({code: (*color, 255) for code, color in table.colors.items()})
    dataset.write_colormap(1, colormap)
    names = {str(code): table.names[code] for code in table.codes}
    dataset.update_tags(
        **{
            NOMENCLATURE_TAG: table.nomenclature,
            CLASSES_TAG: json.dumps(names, ensure_ascii=False),
        }
    )


def read_class_table(dataset: Any) -> ClassTable | None:
    """Return the class table that an open raster carries, None where it carries none."""
    tags = dataset.tags()
    try:
        names = {int(code): str(name) for code, name in parse_json(tags[CLASSES_TAG]).items()}
        colormap = dataset.colormap(1)
        colors = {code: (colormap[code][0], colormap[code][1], colormap[code][2]) for code in names}
    except (KeyError, ValueError, AttributeError):
        return None
    return ClassTable(tags.get(NOMENCLATURE_TAG, ""), names, colors)


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


def aux_xml(table: ClassTable) -> str:
    """Return GDAL's sidecar (.aux.xml) with the category names, one for every code from 0 up."""
    root = ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    categories = ElementTree.SubElement(band, "CategoryNames")
    for code in range(max(table.codes, default=0) + 1):
        ElementTree.SubElement(categories, "Category").text = table.names.get(code, "")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def sidecar_texts(raster: PathLike, table: ClassTable) -> dict[str, str]:
    """Return what belongs beside a raster, text by path: its .qml style, its .aux.xml names."""
    path = os.fspath(raster)
    return {
        os.path.splitext(path)[0] + ".qml": qml_style(table),
        path + ".aux.xml": aux_xml(table),
    }
