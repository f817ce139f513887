"""The objects of a map as polygons that fit together, in a GeoPackage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.inputs import InputOptions, open_input
from lcmap.errors import GridMismatchError, InputMismatchError
from lcmap.nomenclature.classes import NO_LABEL
from lcmap.paths import PathLike
from lcmap.products.class_map import ClassMap
from lcmap.products.map_objects import NO_OBJECTS, MapObjects, Read, iter_objects
from lcmap.products.outlines import joined
from lcmap.progress import Progress
from lcmap.raster.opening import reading
from lcmap.raster.output_set import OutputSet
from lcmap.raster.pixel_areas import SQUARE_METRES, PixelAreas
from lcmap.raster.windows import Window
from lcmap.raster.writing import atomic_path
from lcmap.vector.geopackage import check_features, placed, write_features_to
from lcmap.vector.styles import Category, category_style, write_style_beside

_LAYER = "land_cover"


@contextmanager
def open_confidence(given: PathLike, class_map: ClassMap, inputs: InputOptions) -> Iterator[Read]:
    """Open the confidence of a map; yield what reads a window of it, uint8 percentages.

    Raises:
        InputMismatchError, GridMismatchError: it is no band of percentages, or on another grid.
        UsageError, InputMissingError, NotARasterError: as `open_input`.
    """
    with open_input(given, inputs) as raster:
        if raster.dataset.count != 1 or raster.dataset.dtypes[0] != "uint8":
            raise InputMismatchError(
                raster.name,
                "is not one band of percentages (uint8)",
                "give the confidence that lcmap predict wrote",
            )
        if not raster.grid.matches(class_map.grid):
            raise GridMismatchError(
                raster.name, f"is not on the grid of {class_map.name}", "give that of this map"
            )

        def read(window: Window) -> NDArray[np.uint8]:
            with reading(raster.name):
                percent: NDArray[np.uint8] = raster.dataset.read(1, window=window.ranges)
            return percent

        yield read


def write_polygons(
    class_map: ClassMap,
    areas: PixelAreas,
    confidence: Read | None,
    path: PathLike,
    *,
    files: OutputSet,
    progress: Progress,
) -> int:
    """Write the objects of a map that have a class as polygons; return how many there are.

    The GeoPackage gets its name with the rest of the set `files`. Each polygon has its `code`, its
    `class`, its area in m² (`area_m2`) and hectares (`area_ha`), which is that of its pixels, and
    where it is given the mean `confidence` of those that have one.

    Raises:
        NotARasterError, CannotWriteError: of a file.
    """
    with atomic_path(path, overwrite=files.overwrite, within=files) as temporary:
        layer = _Layer(path, temporary, class_map, with_confidence=confidence is not None)
        for objects in iter_objects(class_map.read, areas, confidence, progress):
            layer.add(objects.only(objects.codes != NO_LABEL))
        if not layer.count:
            layer.write(NO_OBJECTS)
        check_features(path, temporary, _LAYER, layer.count)
        if class_map.nomenclature is not None:
            table = class_map.nomenclature.class_table()
            categories = [
                Category(code, table.names[code], table.colors[code]) for code in table.codes
            ]
            style = category_style("code", categories, outlined=False)
            write_style_beside(path, temporary, style, files.files, overwrite=files.overwrite)
    return layer.count


class _Layer:
    """The layer of a new GeoPackage that polygons are added to."""

    def __init__(
        self, path: PathLike, temporary: Path, class_map: ClassMap, *, with_confidence: bool
    ) -> None:
        """Write polygons of this map into a file that is not there yet, and is to become `path`."""
        self.count = 0
        self._paths = path, temporary
        self._map = class_map
        self._with_confidence = with_confidence

    def add(self, objects: MapObjects) -> None:
        """Write objects, if there are any."""
        if len(objects):
            self.write(objects)
            self.count += len(objects)

    def write(self, objects: MapObjects) -> None:
        """Write objects; the first make the layer."""
        columns = self._columns(objects)
        polygons = np.array([joined(parts) for parts in objects.outlines], object)
        grid = self._map.grid
        write_features_to(
            *self._paths, _LAYER, placed(polygons, grid.transform), columns, grid.crs,
            append=self.count > 0,
        )  # fmt: skip

    def _columns(self, objects: MapObjects) -> dict[str, NDArray[Any]]:
        area, pixels, confidence = objects.sums
        names = [self._map.class_name(code) for code in objects.codes.tolist()]
        columns: dict[str, NDArray[Any]] = {
            "code": objects.codes.astype(np.int32),
            "class": np.array(names, object),
            "area_m2": area,
            "area_ha": area / SQUARE_METRES,
        }
        if self._with_confidence:
            mean = np.full(len(objects), np.nan)
            columns["confidence"] = np.divide(confidence, pixels, out=mean, where=pixels > 0)
        return columns
