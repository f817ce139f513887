"""A layer of a vector database, and features that were read of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS

from lcmap.errors import DataError, NoCrsError

_POLYGONS = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


@dataclass(frozen=True)
class VectorLayer:
    """A layer of a vector database: its file, its name there, its CRS and its fields."""

    path: Path
    name: str
    crs: CRS | None
    fields: Mapping[str, str]
    encoding: str
    driver: str
    indexed: bool
    empty: bool

    def __str__(self) -> str:
        """Return the layer as a user would name it."""
        return str(self.path) if self.path.stem == self.name else f"{self.path}:{self.name}"

    def require_crs(self) -> CRS:
        """Return its CRS.

        Raises:
            NoCrsError: it does not say it.
        """
        if self.crs is None:
            raise NoCrsError(
                str(self),
                "does not say its coordinate reference system",
                "write it in with ogr2ogr -a_srs, or put the .prj beside the .shp",
            )
        return self.crs


@dataclass(frozen=True)
class Features:
    """Features that were read: geometries [N], and a column [N] of any dtype per field.

    `broken` says that others beside them have no geometry that can be meant.
    """

    geometries: NDArray[Any]
    columns: Mapping[str, NDArray[Any]]
    broken: bool = False

    def __len__(self) -> int:
        """Return the number of features, N."""
        return len(self.geometries)

    def only(self, chosen: NDArray[np.bool_]) -> Features:
        """Return the features where `chosen`, bool [N], is true."""
        return Features(
            self.geometries[chosen],
            {name: column[chosen] for name, column in self.columns.items()},
            self.broken,
        )

    def require_polygons(self, layer: VectorLayer) -> None:
        """Check that these features of a layer are polygons.

        Raises:
            DataError: some are not.
        """
        if not np.isin(shapely.get_type_id(self.geometries), _POLYGONS).all():
            raise DataError(str(layer), "has other geometries than polygons", "give polygons")
