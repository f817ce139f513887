"""VRTs that only put together files of this machine, and may be opened without being asked.

A tile index names its rasters, so a mosaic of local files in it reads nothing that the index could
not name itself. What calls addresses, computes, or reads bytes as pixels is another matter.
"""

from __future__ import annotations

import os
import re
from xml.etree import ElementTree

from lcmap.errors import NotARasterError
from lcmap.paths import PathLike
from lcmap.raster.sidecars import check_sidecars

_LARGEST = 16 << 20
_DEEPEST = 4
_SOURCES = frozenset({"SimpleSource", "ComplexSource", "AveragedSource"})
_NAMES_A_FILE = frozenset({"SourceFilename", "SourceDataset"})
_PLAIN = _SOURCES | _NAMES_A_FILE | {
    "VRTDataset", "VRTRasterBand", "SRS", "GeoTransform", "Metadata", "MDI", "ColorInterp",
    "ColorTable", "Entry", "NoDataValue", "HideNoDataValue", "CategoryNames", "Category",
    "Description", "UnitType", "Offset", "Scale", "Histograms", "HistItem", "HistMin", "HistMax",
    "BucketCount", "IncludeOutOfRange", "Approximate", "HistCounts", "MaskBand", "SourceBand",
    "SourceProperties", "SrcRect", "DstRect", "NODATA", "LUT", "ScaleOffset", "ScaleRatio",
    "UseMaskBand", "OverviewList", "BlockXSize", "BlockYSize",
}  # fmt: skip
_ELSEWHERE = re.compile(r"/vsi|[a-z][a-z0-9+.-]+:|<", re.IGNORECASE)


def is_plain_mosaic(path: PathLike, *, depth: int = 0) -> bool:
    """Tell whether a file is a VRT of rasters in files of their own, or of such VRTs."""
    root = _parsed(path)
    if root is None or depth > _DEEPEST:
        return False
    names = []
    for element in root.iter():
        if element.tag not in _PLAIN or "subClass" in element.attrib:
            return False
        if element.tag in _NAMES_A_FILE:
            name = (element.text or "").strip()
            relative = element.get("relativeToVRT") == "1"
            names.append(os.path.join(os.path.dirname(path), name) if relative else name)
    return bool(names) and all(_is_local(name, depth) for name in dict.fromkeys(names))


def _is_local(name: str, depth: int) -> bool:
    if _ELSEWHERE.match(name) or not os.path.isfile(name):
        return False
    try:
        check_sidecars(name, name)
    except NotARasterError:
        return False
    return not looks_like_vrt(name) or is_plain_mosaic(name, depth=depth + 1)


def looks_like_vrt(path: PathLike) -> bool:
    """Tell whether a file begins as a VRT does."""
    with open(path, "rb") as file:
        return b"<VRTDataset" in file.read(4096)


def _parsed(path: PathLike) -> ElementTree.Element | None:
    try:
        if os.path.getsize(path) > _LARGEST or not looks_like_vrt(path):
            return None
        check_sidecars(path, os.fspath(path))
        with open(path, "rb") as file:
            content = file.read(_LARGEST)
        return None if b"<!" in content else ElementTree.fromstring(content)
    except (OSError, ValueError, LookupError, ElementTree.ParseError, NotARasterError):
        return None
