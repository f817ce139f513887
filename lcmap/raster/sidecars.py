"""What GDAL reads beside a raster, checked before GDAL does.

GDAL opens an .ovr or .msk file by whatever driver knows it: one that is a VRT reads other files and
calls addresses, though the raster itself is a plain GeoTIFF. One that is a link may lead anywhere.
"""

from __future__ import annotations

import os

from lcmap.errors import NotARasterError
from lcmap.paths import PathLike

_IMAGES = (".ovr", ".msk", ".msk.ovr")
_SIDECARS = (*_IMAGES, ".aux.xml")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OTHER_OVERVIEWS = b"OVERVIEW_FILE"
_LARGEST_AUX = 4 << 20
_REMEDY = "remove it, or `allow_vrt` if you trust it"


def sidecar_paths(path: str) -> list[str]:
    """Return where overviews, a mask and metadata may be beside a raster."""
    return [f"{path}{ending}" for ending in _SIDECARS]


def check_sidecars(path: PathLike, name: str) -> None:
    """Check that what is beside a raster, called `name` in messages, holds its own pixels.

    Raises:
        NotARasterError: overviews or a mask that is not a TIFF, or that is said to be elsewhere; or
            a link that leads neither to a file beside it nor beside the file of the raster itself;
            metadata out of proportion.
    """
    raster = os.fspath(path)
    folder, file_name = os.path.split(raster)
    lower = file_name.casefold()
    try:
        beside = os.listdir(folder or ".")
    except OSError:
        return
    for candidate in beside:
        ending = candidate.casefold().removeprefix(lower)
        if ending in _SIDECARS and _leads_away(os.path.join(folder, candidate), raster):
            raise NotARasterError(name, f"{candidate} beside it is a link to elsewhere", _REMEDY)
        if ending in _IMAGES and not _starts_with(os.path.join(folder, candidate), _TIFF):
            raise NotARasterError(
                name, f"{candidate} beside it is not a TIFF and may read other files", _REMEDY
            )
        if ending == ".aux.xml" and _size(os.path.join(folder, candidate)) > _LARGEST_AUX:
            raise NotARasterError(name, f"{candidate} beside it is out of proportion", _REMEDY)
        if ending == ".aux.xml" and _names_overviews(os.path.join(folder, candidate)):
            raise NotARasterError(name, f"{candidate} beside it names another file", _REMEDY)


def _leads_away(sidecar: str, raster: str) -> bool:
    """Tell whether a sidecar is a link out of the folders of the raster and of what it links to."""
    if not os.path.islink(sidecar):
        return False
    beside = {os.path.realpath(os.path.dirname(raster)), os.path.dirname(os.path.realpath(raster))}
    return os.path.dirname(os.path.realpath(sidecar)) not in beside


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _starts_with(path: str, beginnings: tuple[bytes, ...]) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) in beginnings
    except OSError:
        return False


def _names_overviews(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return _OTHER_OVERVIEWS in file.read(_LARGEST_AUX)
    except OSError:
        return False
