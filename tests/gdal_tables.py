"""What GDAL's own library says of codes; rasterio reads no attribute tables, and counts nothing."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import rasterio


@cache
def _library() -> Any:
    """Return the one that rasterio's wheel carries."""
    folder = Path(rasterio.__file__).parent.parent / "rasterio.libs"
    libraries = list(folder.glob("libgdal*"))
    if not libraries:
        pytest.skip("rasterio uses a GDAL of the system")
    library = ctypes.CDLL(str(libraries[0]))
    for name in ("GDALOpen", "GDALGetRasterBand", "GDALGetRasterCategoryNames", "GDALGetDefaultRAT",
                 "GDALRATGetNameOfCol", "GDALRATGetValueAsString"):  # fmt: skip
        getattr(library, name).restype = ctypes.c_void_p
    library.GDALAllRegister()
    return library


@contextmanager
def _first_band(path: Path) -> Iterator[ctypes.c_void_p]:
    dataset = ctypes.c_void_p(_library().GDALOpen(str(path).encode(), 0))
    yield ctypes.c_void_p(_library().GDALGetRasterBand(dataset, 1))
    _library().GDALClose(dataset)


def attribute_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of the attribute table that GDAL finds with a raster, by name of column."""
    gdal = _library()
    with _first_band(path) as band:
        table = ctypes.c_void_p(gdal.GDALGetDefaultRAT(band))
        columns = range(gdal.GDALRATGetColumnCount(table))
        names = [ctypes.string_at(gdal.GDALRATGetNameOfCol(table, col)).decode() for col in columns]
        return [
            {
                name: ctypes.string_at(gdal.GDALRATGetValueAsString(table, row, col)).decode()
                for col, name in enumerate(names)
            }
            for row in range(gdal.GDALRATGetRowCount(table))
        ]


def category_names(path: Path) -> list[str]:
    """Return the names of codes from 0 up that GDAL finds with a raster."""
    gdal = _library()
    with _first_band(path) as band:
        gdal.GDALGetDefaultRAT(band)  # a GeoTIFF's sidecar is not yet read for names alone
        names = ctypes.cast(gdal.GDALGetRasterCategoryNames(band), ctypes.POINTER(ctypes.c_char_p))
        categories = []
        while (name := names[len(categories)]) is not None:
            categories.append(name.decode())
        return categories


def histogram(path: Path) -> list[int]:
    """Return how many pixels that have data have each code, as GDAL counts them in the file."""
    counts = (ctypes.c_uint64 * 65536)()
    low, high = ctypes.c_double(-0.5), ctypes.c_double(65535.5)
    with _first_band(path) as band:
        failed = _library().GDALGetRasterHistogramEx(
            band, low, high, len(counts), counts, 0, 0, None, None
        )
    assert not failed
    return list(counts)
