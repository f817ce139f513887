"""The file of a sample: the points with what is known of them, and a form for the interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from lcmap.accuracy.sample_points import (
    DESIGN,
    INCLUSION,
    NUMBER,
    PIXEL_AREA,
    REFERENCE,
    STRATUM,
    STRATUM_NAME,
    STRATUM_PIXELS,
    STRATUM_POINTS,
)
from lcmap.nomenclature import Nomenclature
from lcmap.nomenclature.classes import NO_LABEL
from lcmap.paths import PathLike
from lcmap.products.drawn_sample import Drawn
from lcmap.products.sample_draw import Pixels
from lcmap.raster.code_counts import CODES
from lcmap.raster.pixel_areas import PixelAreas
from lcmap.vector.geopackage import add_style, check_features, write_features_to
from lcmap.vector.point_form import Answer, PointForm, point_form_style

_LAYER = "sample"
_NOTE, _GDALS_NUMBER = "note", "fid"


def write_sample(
    paths: tuple[PathLike, Path],
    pixels: Pixels,
    drawn: Drawn,
    areas: PixelAreas,
    nomenclature: Nomenclature | None,
) -> None:
    """Write the points of pixels into a file that is to become the first of the paths.

    They are interpreted in the classes of the map, where it says them.

    Raises:
        CannotWriteError: no space left.
    """
    grid = areas.grid
    transform = grid.transform
    cols, rows = pixels.cols + 0.5, pixels.rows + 0.5
    x = transform.a * cols + transform.b * rows + transform.c
    y = transform.d * cols + transform.e * rows + transform.f
    count = len(pixels.rows)
    place = np.zeros(CODES, np.int64)
    if drawn.design == "stratified":
        place[[item.code for item in drawn.strata]] = np.arange(len(drawn.strata))
    stratum = place[pixels.codes]

    def of_stratum(field: str, dtype: Any) -> NDArray[Any]:
        return np.array([getattr(item, field) for item in drawn.strata], dtype)[stratum]

    columns: dict[str, NDArray[Any]] = {
        NUMBER: np.arange(1, count + 1),
        STRATUM: of_stratum("code", np.int32),
        STRATUM_NAME: of_stratum("name", object),
        INCLUSION: of_stratum("inclusion", np.float64),
        STRATUM_PIXELS: of_stratum("pixels", np.int64),
        STRATUM_POINTS: of_stratum("points", np.int64),
        PIXEL_AREA: _areas(areas, pixels.rows),
        DESIGN: np.full(count, drawn.design, object),
        REFERENCE: np.full(count, None, object),
        _NOTE: np.full(count, None, object),
    }
    points = shapely.points(x, y)
    write_features_to(*paths, _LAYER, points, columns, grid.crs, geometry_type="Point")
    add_style(*paths, _LAYER, _style(nomenclature))
    check_features(*paths, _LAYER, count)


def _areas(areas: PixelAreas, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the area of a pixel in each of these rows, in m²."""
    if areas.uniform is not None:
        return np.full(len(rows), areas.uniform)
    found, place = np.unique(rows, return_inverse=True)
    of_rows = np.array([areas.of_rows(int(row), 1)[0] for row in found])
    return np.asarray(of_rows[place], np.float64)


def _style(nomenclature: Nomenclature | None) -> str:
    """Return the QGIS style in which points are interpreted, in the classes of a map if it has any.

    What the map says of a point is not in the form: an interpreter is not to know it.
    """
    answers = []
    if nomenclature is not None:
        colors = nomenclature.class_table().colors
        for item in nomenclature.classes:
            others = tuple(dict.fromkeys((item.name, item.short)))
            answers.append(Answer(str(item.code), item.name, colors[item.code], others))
        answers.append(Answer(str(NO_LABEL), "cannot be told", None))
    return point_form_style(
        PointForm(
            REFERENCE,
            "to be interpreted",
            answers,
            name=NUMBER,
            hidden=(
                _GDALS_NUMBER,
                STRATUM,
                STRATUM_NAME,
                INCLUSION,
                STRATUM_PIXELS,
                STRATUM_POINTS,
                PIXEL_AREA,
                DESIGN,
            ),
            free=(_NOTE,),
        )
    )
