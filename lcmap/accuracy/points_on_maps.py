"""The codes of maps at points, and which points are in tiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rasterio.warp import transform as transform_coordinates

from lcmap.accuracy.inputs import ScoreInput, check_class_names
from lcmap.accuracy.label_raster import LabelRaster
from lcmap.accuracy.sample_points import SamplePoints
from lcmap.accuracy.split_windows import SplitTiles
from lcmap.dataset.inputs import InputOptions
from lcmap.errors import OverlapError
from lcmap.nomenclature import Nomenclature
from lcmap.raster.datum_shift import check_datum_shift
from lcmap.raster.grid import Grid, same_crs
from lcmap.raster.windows import Window

_BLOCK = 512
"""Points are read in the order of blocks of this edge, which GDAL keeps."""


def codes_at(
    points: SamplePoints, source: ScoreInput, target: Nomenclature, inputs: InputOptions
) -> NDArray[np.uint8]:
    """Return the code of a map at each point, uint8 [n], 0 where it has no class there.

    Where several parts of the map see a point, the first class that one of them has there counts.
    The target is the nomenclature that the map is compared in.

    Raises:
        OverlapError: a point is outside all parts.
        UsageError, InputMissingError, NotARasterError, LabelBandError, NoCrsError,
            UnknownLabelError: as `LabelRaster`.
        NomenclatureMismatchError: a part names other classes than it is read in.
        DataError: as `check_datum_shift`.
    """
    codes = np.zeros(len(points.x), np.uint8)
    covered = np.zeros(len(points.x), bool)
    view = source.view(target)
    for file in source.files:
        with file.opened(inputs) as raster:
            check_class_names(raster, source, target)
            part = view(raster)
            rows, cols, inside = pixels_of(points, part.grid)
            covered |= inside
            wanted = np.flatnonzero(inside & (codes == 0))
            codes[wanted] = _read_pixels(part, rows[wanted], cols[wanted])
    beyond = int(np.count_nonzero(~covered))
    if beyond:
        raise OverlapError(
            points.name,
            f"{beyond} of {len(covered)} points are outside {source.name}",
            "score the map that the sample was drawn for, whole",
        )
    return codes


def _read_pixels(
    part: LabelRaster, rows: NDArray[np.int64], cols: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Return the codes of pixels, uint8 [n]."""
    codes = np.zeros(len(rows), np.uint8)
    for point in np.lexsort((cols // _BLOCK, rows // _BLOCK)):
        window = Window(int(rows[point]), int(cols[point]), 1, 1)
        codes[point] = part.read(window)[0, 0]
    return codes


def pixels_of(
    points: SamplePoints, grid: Grid
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return the row and the column of each point in a grid, [n] each, and whether it has them."""
    x, y = points.x, points.y
    if not same_crs(points.crs, grid.crs):
        check_datum_shift(points.crs, grid.crs, grid.bounds)
        x, y = (np.array(v) for v in transform_coordinates(points.crs, grid.crs, x, y))
    back = ~grid.transform
    places = (back.e * y + back.d * x + back.f, back.a * x + back.b * y + back.c)
    known = np.isfinite(places[0]) & np.isfinite(places[1])
    # a point on the edge of a pixel is in the following one, whatever the rounding
    rows, cols = (
        np.floor(np.where(known, place, -1.0) + 1e-6).astype(np.int64) for place in places
    )
    inside = known & (rows >= 0) & (rows < grid.height) & (cols >= 0) & (cols < grid.width)
    return rows, cols, inside


def in_tiles(points: SamplePoints, tiles: SplitTiles) -> NDArray[np.bool_]:
    """Return which points, bool [n], are in tiles, whatever the CRS of either.

    Raises:
        InputMissingError, NotARasterError: an image that an index names cannot be opened.
        DataError: as `check_datum_shift`.
    """
    found = np.zeros(len(points.x), bool)
    for grid, windows in tiles.by_image():
        rows, cols, _ = pixels_of(points, grid)
        for window in windows:
            found |= (
                (rows >= window.row) & (rows < window.stop_row)
                & (cols >= window.col) & (cols < window.stop_col)
            )  # fmt: skip
    return found
