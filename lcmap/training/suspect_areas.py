"""The areas of suspect labels as polygons, the largest first."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.crs import CRS
from rasterio.features import shapes
from shapely.affinity import translate
from shapely.geometry import shape

from lcmap.dataset.reading import IGNORE
from lcmap.nomenclature import Nomenclature
from lcmap.raster.grid import Grid
from lcmap.raster.output_set import OutputSet
from lcmap.raster.pixel_areas import SQUARE_METRES, pixel_areas
from lcmap.raster.windows import Window
from lcmap.raster.writing import atomic_path
from lcmap.vector.geopackage import check_features, placed, write_features_to

LAYER = "suspects"

_PAIR = 256


class _Piece(NamedTuple):
    """A polygon in the pixels of a label file, within a tile, and the sum of its confidences."""

    polygon: Any
    confidence: float


class SuspectAreas:
    """Collects the suspects of tiles; what touches across the edge of two tiles is one area."""

    def __init__(self, nomenclature: Nomenclature) -> None:
        """Collect areas of these classes."""
        self.nomenclature = nomenclature
        self.grids: dict[Path, Grid] = {}
        self.pieces: dict[tuple[Path, int, int], list[_Piece]] = {}

    def add(
        self,
        path: Path,
        grid: Grid,
        window: Window,
        labels: NDArray[np.uint8],
        suggested: NDArray[np.uint8],
        percent: NDArray[np.uint8],
    ) -> None:
        """Add a tile of a label file: indices of classes [h, w], `IGNORE` for none, percentages."""
        self.grids[path] = grid
        doubted = suggested != IGNORE
        pairs = labels.astype(np.int32) * _PAIR + suggested
        for outline, pair in shapes(pairs, doubted):
            polygon = shape(outline)
            left, top, right, bottom = map(int, polygon.bounds)
            box = np.s_[top:bottom, left:right]
            inside = shapely.contains_xy(
                polygon, *np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
            )
            moved = translate(polygon, window.col, window.row)
            key = (path, *divmod(int(pair), _PAIR))
            self.pieces.setdefault(key, []).append(_Piece(moved, float(percent[box][inside].sum())))


def write_areas(
    areas: SuspectAreas, path: Path, files: OutputSet, *, overwrite: bool = False
) -> int:
    """Write the areas as a GeoPackage within a set, the largest first; return how many there are.

    Each has the class that the labels have there, `from_class`, the one suggested, `to_class`, the
    codes of both, its area in m² and hectares where that of a pixel is known, its pixels, the mean
    confidence in %, and the label file. All are in the CRS of the first label file that has one.

    Raises:
        OutputExistsError, CannotWriteError: as `atomic_path`.
    """
    crs = next((grid.crs for grid in areas.grids.values() if grid.crs is not None), None)
    polygons: list[Any] = []
    rows: list[tuple[Any, ...]] = []
    for (source, of, to), pieces in areas.pieces.items():
        grid = areas.grids[source]
        whole, confidence = _joined(pieces)
        metres = pixel_areas(grid, str(source)) if grid.crs is not None else None
        for polygon, total in zip(whole, confidence, strict=True):
            pixels = round(polygon.area)
            row = int(polygon.centroid.y)
            size = metres.of_rows(row, 1)[0] if metres is not None else np.nan
            rows.append((of, to, pixels, pixels * size, total / pixels, source.name))
        polygons.extend(_in_crs(placed(whole, grid.transform), grid.crs, crs))
    order = sorted(range(len(rows)), key=lambda n: (-np.nan_to_num(rows[n][3]), -rows[n][2], n))
    columns = _columns([rows[n] for n in order], areas.nomenclature)
    made = np.empty(len(order), object)
    made[:] = [polygons[n] for n in order]
    with atomic_path(path, overwrite=overwrite, within=files) as temporary:
        write_features_to(path, temporary, LAYER, made, columns, crs)
        check_features(path, temporary, LAYER, len(made))
    return len(order)


def _joined(pieces: list[_Piece]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return pieces [N] that share an edge as one, and the sums of their confidences."""
    whole = shapely.get_parts(shapely.union_all([piece.polygon for piece in pieces]))
    points = shapely.point_on_surface([piece.polygon for piece in pieces])
    piece, area = shapely.STRtree(whole).query(points, predicate="within")
    confidences = np.array([one.confidence for one in pieces])
    sums = np.bincount(area, confidences[piece], minlength=len(whole))
    return whole, sums.astype(np.float64)


def _in_crs(polygons: NDArray[Any], crs: CRS | None, wanted: CRS | None) -> NDArray[Any]:
    if crs is None or wanted is None or crs == wanted:
        return polygons
    transformer = Transformer.from_crs(crs.to_wkt(), wanted.to_wkt(), always_xy=True)
    moved: NDArray[Any] = shapely.transform(
        polygons, lambda xy: np.column_stack(transformer.transform(*xy.T))
    )
    return moved


def _columns(rows: list[tuple[Any, ...]], nomenclature: Nomenclature) -> dict[str, NDArray[Any]]:
    of, to, pixels, area, confidence, names = zip(*rows, strict=True) if rows else ((),) * 6
    classes = nomenclature.classes

    def text(values: list[str]) -> NDArray[Any]:
        return np.array(values, object)

    metres = np.array(area, np.float64)
    return {
        "from_code": np.array([classes[i].code for i in of], np.int32),
        "from_class": text([classes[i].name for i in of]),
        "to_code": np.array([classes[i].code for i in to], np.int32),
        "to_class": text([classes[i].name for i in to]),
        "area_m2": metres,
        "area_ha": metres / SQUARE_METRES,
        "pixels": np.array(pixels, np.int64),
        "confidence": np.array(confidence, np.float64),
        "labels": text(list(names)),
    }
