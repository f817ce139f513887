"""A raster as it should have been written: with another nodata value, CRS or meaning of its bands.

The view is a GDAL virtual raster (VRT) that lcmap writes itself, in memory, of one file that has
been opened and checked before. So everything that reads the raster sees the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import rasterio.shutil
from rasterio.crs import CRS
from rasterio.io import DatasetReader


@dataclass(frozen=True)
class ViewOptions:
    """What of a raster is to be seen otherwise than its file says.

    nodata: the value of pixels without data; None leaves the file's own.
    crs: the coordinate reference system; None leaves the file's own.
    alpha_is_data: take a band that is marked as transparency for a band like the others.
    """

    nodata: float | None = None
    crs: CRS | None = None
    alpha_is_data: bool = False

    @property
    def changes_nothing(self) -> bool:
        """Whether the file is seen as it is."""
        return self == ViewOptions()


@contextmanager
def viewed(dataset: Any, options: ViewOptions) -> Iterator[Any]:
    """Yield an open raster as these options have it seen.

    Raises:
        RasterioError: GDAL cannot make the view.
    """
    if options.changes_nothing:
        yield dataset
        return
    # not a context of rasterio's, which the thread that opens it would have to leave
    with closing(DatasetReader(_document(dataset, options), driver=["VRT"])) as view:
        yield view


def _document(dataset: Any, options: ViewOptions) -> str:
    """Return the VRT document of a view."""
    made = f"/vsimem/lcmap-{uuid.uuid4().hex}.vrt"
    rasterio.shutil.copy(dataset.name, made, driver="VRT")
    try:
        with DatasetReader(made, driver=["VRT"]) as copy:
            root = ElementTree.fromstring(copy.tags(ns="xml:VRT")["xml:VRT"])
    finally:
        rasterio.shutil.delete(made, driver="VRT")
    if options.crs is not None:
        _replace(root, "SRS", options.crs.to_wkt())
    for band in root.findall("VRTRasterBand"):
        if options.nodata is not None:
            _replace(band, "NoDataValue", repr(options.nodata))
        meaning = band.find("ColorInterp")
        if options.alpha_is_data and meaning is not None and meaning.text == "Alpha":
            meaning.text = "Undefined"
    return ElementTree.tostring(root, encoding="unicode")


def _replace(parent: ElementTree.Element, name: str, text: str) -> None:
    for old in parent.findall(name):
        parent.remove(old)
    element = ElementTree.Element(name)
    element.text = text
    parent.insert(0, element)
