"""Writing a GeoPackage of features, the same bytes from the same features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyogrio.raw
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.crs import CRS

from lcmap.errors import CannotWriteError
from lcmap.paths import PathLike
from lcmap.raster.making import MEMBER, current_digest
from lcmap.raster.writing import write_error

_DATE = "2000-01-01T00:00:00Z"
"""When a GeoPackage says that it was changed: the same map makes the same bytes."""


_STYLES = "layer_styles"


def write_features_to(
    path: PathLike,
    temporary: Path,
    layer: str,
    geometries: NDArray[Any],
    columns: Mapping[str, NDArray[Any]],
    crs: CRS | None,
    *,
    geometry_type: str = "Polygon",
    append: bool = False,
) -> None:
    """Write geometries [N] of shapely, in a CRS, with their columns [N], as a layer or onto one.

    They go into the file `temporary`, which is to become `path`.

    Raises:
        CannotWriteError: no space left.
    """
    _write(
        path, temporary, layer, shapely.to_wkb(geometries), columns, append=append,
        geometry_type=geometry_type, crs=crs.to_wkt() if crs else None,
        layer_metadata=current_digest(MEMBER) or None,
    )  # fmt: skip


def _write(
    path: PathLike,
    temporary: Path,
    layer: str,
    geometries: NDArray[Any] | None,
    columns: Mapping[str, NDArray[Any]],
    **options: Any,
) -> None:
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _DATE})
    try:
        pyogrio.raw.write(
            temporary,
            geometries,
            list(columns.values()),
            list(columns),
            driver="GPKG",
            layer=layer,
            **options,
        )
    except (DataSourceError, DataLayerError) as error:
        raise write_error(path, temporary, error) from error
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})


def add_style(path: PathLike, temporary: Path, layer: str, style: str) -> None:
    """Put a QGIS style (.qml) of a layer into the GeoPackage, where it goes with the file.

    It is the one that QGIS loads the layer with, from its table layer_styles. The file `temporary`
    is to become `path`; check the features of the layer afterwards.

    Raises:
        CannotWriteError: no space left.
    """
    row = {
        "f_table_catalog": "",
        "f_table_schema": "",
        "f_table_name": layer,
        "f_geometry_column": "geom",
        "styleName": "lcmap",
        "styleQML": style,
        "styleSLD": "",
        "useAsDefault": True,
        "description": "",
        "owner": "",
        "ui": None,
        "update_time": _DATE,
    }
    columns = {
        name: np.array([value], bool if value is True else object) for name, value in row.items()
    }
    _write(path, temporary, _STYLES, None, columns, append=True)
    _, _, _, (written,) = pyogrio.raw.read(temporary, layer=_STYLES, columns=["styleQML"])
    if written.tolist() != [style]:
        raise _not_whole(path)


def check_features(path: PathLike, temporary: Path, layer: str, count: int) -> None:
    """Check that a closed GeoPackage is whole: all features, and the index to find them by place.

    Raises:
        CannotWriteError: the file `temporary`, which is to become `path`, is not.
    """
    # GDAL makes the index when it closes the file, and its errors then are not raised
    made = pyogrio.read_info(temporary, layer=layer)
    if made["features"] != count or not made["capabilities"]["fast_spatial_filter"]:
        raise _not_whole(path)


def _not_whole(path: PathLike) -> CannotWriteError:
    return CannotWriteError(path, "was not written whole", "is the disk full?")


def placed(pixels: Any, transform: Affine) -> Any:
    """Return geometries in pixels where a transform puts them."""
    turned = np.array([[transform.a, transform.d], [transform.b, transform.e]])
    return shapely.transform(pixels, lambda points: points @ turned + (transform.c, transform.f))
