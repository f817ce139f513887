"""What is to be taken from one raster file, and how GDAL is to read it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from rasterio.enums import MaskFlags

from lcmap.dataset.inputs import RasterInput
from lcmap.errors import DataError
from lcmap.raster.grid import Grid
from lcmap.raster.opening import alpha_band
from lcmap.raster.radiometry import Radiometry, radiometry_of, real_dtype

GDAL_TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "uint64": "UInt64",
    "int64": "Int64",
    "float32": "Float32",
    "float64": "Float64",
}


@dataclass(frozen=True)
class RasterBands:
    """Bands of a raster file: their numbers from 1, names, dtype, nodata value and radiometry.

    `path` is where GDAL finds the file, `name` is what messages call it. `masked` tells that a mask
    or an alpha band, rather than a value, says where the bands are valid; `alpha` is the number of
    the band that was taken for transparency, if one was.
    """

    path: Path
    name: str
    grid: Grid
    indexes: tuple[int, ...]
    names: tuple[str, ...]
    dtype: str
    nodata: float | None
    masked: bool
    radiometry: tuple[Radiometry, ...]
    alpha: int | None = None

    def chosen(self, places: Sequence[int]) -> RasterBands:
        """Return the same raster with only the bands at these places (from 0), in this order."""
        return replace(
            self,
            indexes=tuple(self.indexes[i] for i in places),
            names=tuple(self.names[i] for i in places),
            radiometry=tuple(self.radiometry[i] for i in places),
        )


def bands_of(image: RasterInput, *, alpha_is_data: bool = False) -> RasterBands:
    """Return what an open raster offers.

    A band of transparency is not a band of the image but its mask, unless `alpha_is_data`.

    Raises:
        NoCrsError: it does not say where on earth it is.
        DataError: its values are complex numbers, or its bands have different nodata values.
    """
    image.require_crs()
    dataset = image.dataset
    dtype = real_dtype(dataset, image.name)
    if dtype.name not in GDAL_TYPES:
        raise DataError(image.name, f"has {dtype.name} values", "give real numbers")
    hidden = None if alpha_is_data else alpha_band(dataset)
    indexes = tuple(band for band in dataset.indexes if band != hidden)
    values = [dataset.nodatavals[band - 1] for band in indexes]
    nodatas = sorted({repr(value) for value in values if value is not None})
    if len(nodatas) > 1:
        raise DataError(
            image.name,
            f"its bands have different nodata values: {', '.join(nodatas)}",
            "give each band as a file of its own, or `nodata` if one value holds for all",
        )
    flags = dataset.mask_flag_enums[0]
    masked = MaskFlags.per_dataset in flags and MaskFlags.nodata not in flags
    if MaskFlags.alpha in flags:
        masked = hidden is not None
    return RasterBands(
        path=image.path,
        name=image.name,
        grid=image.grid,
        indexes=indexes,
        names=_names(dataset, indexes, image.name),
        dtype=dtype.name,
        nodata=_usable_nodata(dataset.nodata, dtype),
        masked=masked,
        radiometry=radiometry_of(dataset, image.name, indexes),
        alpha=hidden,
    )


def _names(dataset: Any, indexes: tuple[int, ...], name: str) -> tuple[str, ...]:
    """Return the bands' descriptions; a file of one band without one names it by its stem."""
    if len(indexes) == 1:
        return (dataset.descriptions[indexes[0] - 1] or Path(name).stem,)
    return tuple(dataset.descriptions[band - 1] or f"band {band}" for band in indexes)


def _usable_nodata(nodata: float | None, dtype: np.dtype[Any]) -> float | None:
    """Return a nodata value that pixels of this dtype can have, else None; floats have NaN."""
    if dtype.kind == "f":
        return float("nan") if nodata is None else nodata
    if nodata is None:
        return None
    info = np.iinfo(dtype)
    whole = float(nodata).is_integer()  # neither is NaN
    return nodata if whole and info.min <= nodata <= info.max else None


def data_vrt(bands: RasterBands) -> str:
    """Return a VRT document of bands, without any notion of transparency but their own.

    Its mask hides a pixel in all bands where one is missing. GDAL's resampling, told the nodata
    value instead, takes for missing what is missing in all, and mixes nodata into its neighbours.
    """
    document = vrt_document(bands.grid)
    _add_bands(document, bands, None)
    hidden = [(os.path.abspath(bands.path), bands.indexes[0])] if bands.masked else []
    if bands.nodata is not None:
        inner = vrt_document(bands.grid)
        _add_bands(inner, bands, bands.nodata)
        text = ElementTree.tostring(inner, encoding="unicode")
        hidden += [(text, band) for band in range(1, len(bands.indexes) + 1)]
    if hidden:
        mask = ElementTree.SubElement(document, "MaskBand")
        shown = ElementTree.SubElement(mask, "VRTRasterBand", dataType="Byte")
        if len(hidden) > 1:
            shown.set("subClass", "VRTDerivedRasterBand")
            ElementTree.SubElement(shown, "PixelFunctionType").text = "min"
        for file, band in hidden:
            _add_reading(shown, "SimpleSource", file, f"mask,{band}")
    return ElementTree.tostring(document, encoding="unicode")


def _add_bands(document: ElementTree.Element, bands: RasterBands, nodata: float | None) -> None:
    for band, index in enumerate(bands.indexes, start=1):
        element = ElementTree.SubElement(
            document, "VRTRasterBand", dataType=GDAL_TYPES[bands.dtype], band=str(band)
        )
        if nodata is not None:
            ElementTree.SubElement(element, "NoDataValue").text = repr(nodata)
        _add_reading(element, "SimpleSource", os.path.abspath(bands.path), str(index))


def coverage_vrt(bands: RasterBands) -> str:
    """Return a VRT document of one band: not 0 where a mask or alpha band shows the raster.

    Without either it is 255 everywhere; 0 is its nodata value.
    """
    document = vrt_document(bands.grid)
    band = ElementTree.SubElement(document, "VRTRasterBand", dataType="Byte", band="1")
    ElementTree.SubElement(band, "NoDataValue").text = "0"
    if bands.masked:
        _add_reading(band, "SimpleSource", os.path.abspath(bands.path), f"mask,{bands.indexes[0]}")
    else:
        path = os.path.abspath(bands.path)
        reading = _add_reading(band, "ComplexSource", path, str(bands.indexes[0]))
        ElementTree.SubElement(reading, "LUT").text = "0:255,1:255"
    return ElementTree.tostring(document, encoding="unicode")


def vrt_document(grid: Grid) -> ElementTree.Element:
    """Return a VRT document on a grid, without a band yet."""
    document = ElementTree.Element(
        "VRTDataset", rasterXSize=str(grid.width), rasterYSize=str(grid.height)
    )
    assert grid.crs is not None
    ElementTree.SubElement(document, "SRS").text = grid.crs.to_wkt()
    ElementTree.SubElement(document, "GeoTransform").text = ", ".join(
        repr(float(value)) for value in grid.transform.to_gdal()
    )
    return document


def _add_reading(
    band: ElementTree.Element, kind: str, raster: str, source_band: str
) -> ElementTree.Element:
    """Add that a band is read from a raster: an absolute path, or a VRT document."""
    reading = ElementTree.SubElement(band, kind)
    # not resolved: /dev/stdin leads to the file behind it only while it is this process's
    file = ElementTree.SubElement(reading, "SourceFilename", relativeToVRT="0")
    file.text = raster
    ElementTree.SubElement(reading, "SourceBand").text = source_band
    return reading
