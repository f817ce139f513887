"""Small label rasters for tests to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.crs import CRS

from lcmap.nomenclature import Nomenclature
from lcmap.raster.classes import write_class_table

WriteLabels = Callable[..., Path]


def label_writer(folder: Path) -> WriteLabels:
    """Return a function that writes codes [rows, columns] as a GeoTIFF in a folder."""

    def write(
        name: str,
        codes: Any,
        *,
        gsd: float = 1.0,
        west: float = 700_000.0,
        north: float = 6_250_000.0,
        crs: str | None = "EPSG:2154",
        nodata: float | None = 0,
        classes: Nomenclature | None = None,
        transform: rasterio.Affine | None = None,
        compress: str | None = None,
    ) -> Path:
        array = np.asarray(codes)
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=array.shape[0],
            width=array.shape[1],
            count=1,
            dtype=array.dtype,
            crs=CRS.from_string(crs) if crs else None,
            transform=transform or rasterio.Affine(gsd, 0, west, 0, -gsd, north),
            nodata=nodata,
            compress=compress,
        ) as dataset:
            dataset.write(array, 1)
            if classes:
                write_class_table(dataset, classes.class_table())
        return path

    return write
