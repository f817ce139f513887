"""What belongs beside a label raster, so that programs show its classes: a style and their names.

A TIFF's colour table has 256 entries and no names. QGIS takes a .qml of the raster's name before
it, and GDAL the names in an .aux.xml.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from lcmap.errors import OutputExistsError
from lcmap.paths import PathLike
from lcmap.raster.classes import ClassTable, aux_xml, is_class_style, qml_style
from lcmap.raster.destination import check_place, file_at, stream_at
from lcmap.raster.old_sidecars import style_of


def class_sidecars(raster: PathLike, *, asked: bool, others: Collection[Path] = ()) -> list[str]:
    """Return the paths of what belongs beside a raster: its .qml style, its .aux.xml names.

    Unless `asked` for, there is no style where it would be that of another layer as well, which is
    there or among the `others` that are made with the raster; and nothing where it is a stream.
    """
    if not asked and stream_at(raster) is not None:
        return []
    path = os.fspath(raster)
    paths = [path + ".aux.xml"]
    if asked or style_of(file_at(raster), others) is not None:
        paths.insert(0, os.path.splitext(path)[0] + ".qml")
    return paths


def sidecar_text(path: PathLike, table: ClassTable, counts: Sequence[int]) -> str:
    """Return what one of the `class_sidecars` holds; `counts` are the pixels of each code."""
    return qml_style(table) if os.fspath(path).endswith(".qml") else aux_xml(table, counts)


def check_sidecar_output(path: PathLike) -> None:
    """Check that a sidecar that nobody asked for may be written in place of what is there.

    What GDAL or lcmap made may go, since the raster that it told of is not there any more.

    Raises:
        OutputExistsError: it is a style that someone made.
    """
    check_place(path)
    if not os.path.lexists(path) or not os.fspath(path).endswith(".qml"):
        return
    try:
        with open(path, encoding="utf-8") as file:
            if is_class_style(file.read()):
                return
    except (OSError, ValueError):
        pass
    raise OutputExistsError(path, "exists already", "`overwrite` to replace it")
