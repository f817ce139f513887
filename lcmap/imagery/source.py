"""What is to be taken from one raster file, and how GDAL is to read it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags

from lcmap.errors import DataError, NoCrsError
from lcmap.raster.grid import Grid
from lcmap.raster.opening import alpha_band, open_raster

_GDAL_TYPES = {
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
    """Bands of a raster file: their numbers from 1, names, dtype and nodata value.

    `masked` tells that a mask or an alpha band, rather than a value, says where it is valid;
    `alpha` is the number of the band that was taken for transparency, if one was.
    """

    path: Path
    shown: str
    grid: Grid
    indexes: tuple[int, ...]
    names: tuple[str, ...]
    dtype: str
    nodata: float | None
    masked: bool
    alpha: int | None = None

    def chosen(self, places: Sequence[int]) -> RasterBands:
        """Return the source with only the bands at these places (from 0), in this order."""
        return replace(
            self,
            indexes=tuple(self.indexes[i] for i in places),
            names=tuple(self.names[i] for i in places),
        )


def describe(
    path: Path, *, shown: str = "", alpha_is_data: bool = False, allow_vrt: bool = False
) -> RasterBands:
    """Return what a raster file offers; messages call it `shown`, else by its path.

    A band of transparency is no band of the image, but its mask, unless `alpha_is_data`.

    Raises:
        InputMissingError, NotARasterError: as `open_raster`.
        NoCrsError: it does not say where on earth it lies.
        DataError: its values are complex numbers.
    """
    name = shown or os.fspath(path)
    with open_raster(path, allow_vrt=allow_vrt) as dataset:
        grid = Grid.of(dataset)
        if grid.crs is None:
            raise NoCrsError(
                name,
                "has no coordinate reference system",
                "assign the right one, e.g. rio edit-info --crs EPSG:2154",
            )
        dtype = np.result_type(*dataset.dtypes)
        if dtype.name not in _GDAL_TYPES:
            raise DataError(name, f"has {dtype.name} values", "give real numbers")
        alpha = alpha_band(dataset)
        hidden = None if alpha_is_data else alpha
        indexes = tuple(band for band in dataset.indexes if band != hidden)
        flags = dataset.mask_flag_enums[0]
        masked = MaskFlags.per_dataset in flags and MaskFlags.nodata not in flags
        if MaskFlags.alpha in flags:
            masked = hidden is not None
        return RasterBands(
            path=path,
            shown=name,
            grid=grid,
            indexes=indexes,
            names=_names(dataset, indexes, Path(name).name),
            dtype=dtype.name,
            nodata=_usable_nodata(dataset.nodata, dtype),
            masked=masked,
            alpha=hidden,
        )


def _names(dataset: Any, indexes: tuple[int, ...], file_name: str) -> tuple[str, ...]:
    """Return the bands' descriptions; a file of one band without one names it by its stem."""
    if len(indexes) == 1 and file_name != "-":
        return (dataset.descriptions[indexes[0] - 1] or Path(file_name).stem,)
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


def data_vrt(source: RasterBands, table: NDArray[np.uint8] | None = None) -> str:
    """Return a VRT document of a source's bands, without any notion of transparency but its own.

    With `table`, uint8 [256], pixels are replaced by table[pixel]; invalid ones become 0.
    """
    document = _document(source.grid)
    for band, index in enumerate(source.indexes, start=1):
        dtype = "uint8" if table is not None else source.dtype
        element = ElementTree.SubElement(
            document, "VRTRasterBand", dataType=_GDAL_TYPES[dtype], band=str(band)
        )
        if table is None:
            if source.nodata is not None:
                ElementTree.SubElement(element, "NoDataValue").text = repr(source.nodata)
            _add_reading(element, "SimpleSource", source.path, str(index))
            continue
        reading = _add_reading(element, "ComplexSource", source.path, str(index))
        if source.masked:
            ElementTree.SubElement(reading, "UseMaskBand").text = "true"
        if source.nodata is not None:
            ElementTree.SubElement(reading, "NODATA").text = repr(source.nodata)
        pairs = (f"{value}:{table[value]}" for value in range(256))
        ElementTree.SubElement(reading, "LUT").text = ",".join(pairs)
    if source.masked and table is None:
        mask = ElementTree.SubElement(document, "MaskBand")
        band_element = ElementTree.SubElement(mask, "VRTRasterBand", dataType="Byte")
        _add_reading(band_element, "SimpleSource", source.path, f"mask,{source.indexes[0]}")
    return ElementTree.tostring(document, encoding="unicode")


def coverage_vrt(source: RasterBands) -> str:
    """Return a VRT document of one band: not 0 where a mask or alpha band shows the source.

    Without either it is 255 everywhere; 0 is its nodata value.
    """
    document = _document(source.grid)
    band = ElementTree.SubElement(document, "VRTRasterBand", dataType="Byte", band="1")
    ElementTree.SubElement(band, "NoDataValue").text = "0"
    if source.masked:
        _add_reading(band, "SimpleSource", source.path, f"mask,{source.indexes[0]}")
    else:
        reading = _add_reading(band, "ComplexSource", source.path, str(source.indexes[0]))
        ElementTree.SubElement(reading, "LUT").text = "0:255,1:255"
    return ElementTree.tostring(document, encoding="unicode")


def _document(grid: Grid) -> ElementTree.Element:
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
    band: ElementTree.Element, kind: str, path: Path, source_band: str
) -> ElementTree.Element:
    reading = ElementTree.SubElement(band, kind)
    # not resolved: /dev/stdin leads to the file behind it only while it is this process's
    file = ElementTree.SubElement(reading, "SourceFilename", relativeToVRT="0")
    file.text = os.path.abspath(path)
    ElementTree.SubElement(reading, "SourceBand").text = source_band
    return reading
