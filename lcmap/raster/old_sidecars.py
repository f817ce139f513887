"""The sidecars of a raster that is replaced: they tell of the old pixels.

GDAL reads names, masks and overviews beside a raster, and QGIS a style, whichever raster that is.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

_OF_THE_NAME = (".aux.xml", ".msk", ".msk.ovr", ".ovr", ".ovr.msk")
_STYLE = ".qml"
_PREVIEW = ".png"
_LAYERS = (
    *(".asc", ".csv", ".dxf", ".fgb", ".geojson", ".gml", ".gpkg", ".gpx", ".img", ".jp2", ".jpg"),
    *(
        ".kml",
        ".nc",
        ".parquet",
        ".pdf",
        ".png",
        ".shp",
        ".sqlite",
        ".tab",
        ".tif",
        ".tiff",
        ".vrt",
    ),
)
"""Files of the same stem whose style a .qml may be as well."""
PREVIEW_MARK = "lcmap preview"
"""What a preview says in its first bytes: it is a picture to look at, and no layer."""
_FIRST_BYTES = 512
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def remove_old_sidecars(new: Path, name: Path, keep: Collection[Path] = ()) -> None:
    """Remove what is beside the raster `name` and belongs to it, before `new` gets its name.

    Only where both are there and `new` is a GeoTIFF. Those to `keep` are the new one's own.

    Raises:
        OSError: one may not be removed.
    """
    for sidecar in replaced_sidecars(new, name, keep):
        with suppress(FileNotFoundError):
            sidecar.unlink()


def replaced_sidecars(new: Path, name: Path, keep: Collection[Path] = ()) -> list[Path]:
    """Return those that `remove_old_sidecars` removes.

    Raises:
        OSError: `new` may not be read, or the folder.
    """
    if not name.is_file() or not _is_tiff(new):
        return []
    return [sidecar for sidecar in old_sidecars(name) if sidecar not in keep]


def old_sidecars(raster: Path) -> list[Path]:
    """Return the sidecars that belong to a raster and to no other file."""
    beside = os.listdir(raster.parent)
    own = {f"{raster.name}{ending}".casefold() for ending in _OF_THE_NAME}
    found = {entry for entry in beside if entry.casefold() in own}
    style = style_of(raster)
    if style is not None and style.name in beside:
        found.add(style.name)
    return [raster.with_name(entry) for entry in sorted(found)]


def style_of(raster: Path, others: Collection[Path] = ()) -> Path | None:
    """Return where QGIS finds the style of a raster; None where another file has the same.

    `others` are files that may not be there yet. A preview is no layer that has a style.
    """
    beside = [
        other.name
        for other in others
        if other.parent == raster.parent and other.suffix.casefold() != _PREVIEW
    ]
    with suppress(OSError):
        there = (raster.parent / entry for entry in os.listdir(raster.parent))
        beside += [entry.name for entry in there if not _is_preview(entry, raster)]
    if _is_shared(raster, beside):
        return None
    return raster.with_suffix(_STYLE)


def new_sidecars(new: Path, name: Path) -> list[tuple[Path, Path]]:
    """Return the sidecars of a finished raster in its folder, each with the name that it gets."""
    pairs = [
        (Path(f"{new}.aux.xml"), Path(f"{name}.aux.xml")),
        (new.with_suffix(_STYLE), name.with_suffix(_STYLE)),
    ]
    return [pair for pair in pairs if pair[0].exists() and pair[0] != new]


def _is_shared(raster: Path, beside: Collection[str]) -> bool:
    """Return whether another file has the raster's stem, whose style a .qml may be as well."""
    return any(
        Path(entry).stem == raster.stem
        and entry != raster.name
        and Path(entry).suffix.casefold() in _LAYERS
        for entry in beside
    )


def _is_preview(path: Path, raster: Path) -> bool:
    if path.suffix.casefold() != _PREVIEW or path.stem != raster.stem:
        return False
    try:
        with open(path, "rb") as file:
            return PREVIEW_MARK.encode() in file.read(_FIRST_BYTES)
    except OSError:
        return False


def _is_tiff(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) in _TIFF
