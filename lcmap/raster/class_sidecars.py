"""What belongs beside a label raster, so that programs show its classes: a style and their names.

A TIFF's colour table has 256 entries and no names. QGIS takes a .qml of the raster's name before
it, and GDAL the names in an .aux.xml.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from lcmap.errors import OutputExistsError
from lcmap.paths import PathLike
from lcmap.raster.classes import ClassTable, aux_xml, is_class_style, qml_style
from lcmap.raster.destination import check_place, file_at, stream_at
from lcmap.raster.old_sidecars import style_of


def sidecar_texts(
    raster: PathLike, table: ClassTable, *, asked: bool, others: Collection[Path] = ()
) -> dict[str, str]:
    """Return what belongs beside a raster, text by path: its .qml style, its .aux.xml names.

    Unless `asked` for, there is no style where it would be that of another layer as well, which is
    there or among the `others` that are made with the raster; and nothing where it is a stream.
    """
    if not asked and stream_at(raster) is not None:
        return {}
    path = os.fspath(raster)
    texts = {}
    if asked or style_of(file_at(raster), others) is not None:
        texts[os.path.splitext(path)[0] + ".qml"] = qml_style(table)
    texts[path + ".aux.xml"] = aux_xml(table)
    return texts


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
