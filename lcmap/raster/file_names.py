"""Names of rasters to write: what lcmap writes is a GeoTIFF, whatever the name promises."""

from __future__ import annotations

import os
from pathlib import Path

from rasterio.drivers import raster_driver_extensions

from lcmap.errors import UsageError
from lcmap.paths import PathLike
from lcmap.raster.destination import stream_at

_TIFF = ("GTiff", "COG")
_NOT_RASTERS = {
    **{"csv": "CSV", "fgb": "FlatGeobuf", "geojson": "GeoJSON", "gml": "GML", "gz": "gzip"},
    **{"h5": "HDF5", "hdf": "HDF", "html": "HTML", "json": "JSON", "md": "Markdown"},
    **{"npy": "NumPy", "npz": "NumPy", "onnx": "ONNX", "parquet": "Parquet", "qml": "QGIS style"},
    **{"shp": "Shapefile", "svg": "SVG", "tar": "tar", "toml": "TOML", "txt": "text"},
    **{"zarr": "Zarr", "zip": "ZIP"},
}


def check_raster_name(path: PathLike) -> None:
    """Check that the name of a raster to write does not promise another format.

    Streams have any name, and so do files whose ending names no format.

    Raises:
        UsageError: it ends as files of another format do.
    """
    if stream_at(path) is not None:
        return
    ending = Path(path).suffix[1:].casefold()
    formats = {**raster_driver_extensions(), **_NOT_RASTERS}
    promised = formats.get(ending)
    if promised is not None and promised not in _TIFF:
        plain = Path(path).stem
        raise UsageError(
            os.fspath(path),
            f"ends as a file in the format {promised} does, and lcmap writes GeoTIFF",
            f"name it {plain.removesuffix('.tif')}.tif",
        )
