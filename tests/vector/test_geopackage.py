from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from rasterio.crs import CRS
from support import limited_files

from lcmap.errors import CannotWriteError
from lcmap.vector.geopackage import add_style, check_features, write_features_to

STYLE = "<qgis>é</qgis>" * 2000
BOXES = shapely.box(np.arange(20), 0, np.arange(20) + 1, 1)


def write(path: Path) -> None:
    """Write the boxes in two parts, and check that they are all there."""
    for part, append in ((slice(12), False), (slice(12, None), True)):
        codes = np.arange(len(BOXES))[part]
        write_features_to(
            "map.gpkg", path, "boxes", BOXES[part], {"code": codes}, CRS.from_epsg(2154),
            append=append,
        )  # fmt: skip
    add_style("map.gpkg", path, "boxes", STYLE)
    check_features("map.gpkg", path, "boxes", len(BOXES))


def test_polygons_are_found_by_place(tmp_path: Path) -> None:
    write(tmp_path / "a.gpkg")
    _, _, geometries, (codes,) = pyogrio.raw.read(
        tmp_path / "a.gpkg", layer="boxes", bbox=(12.2, 0, 14.8, 1)
    )
    assert codes.tolist() == [12, 13, 14]
    assert shapely.equals(shapely.from_wkb(geometries), BOXES[12:15]).all()


def test_the_style_is_where_qgis_looks_for_it(tmp_path: Path) -> None:
    write(tmp_path / "a.gpkg")
    with sqlite3.connect(tmp_path / "a.gpkg") as database:
        found = database.execute(
            "SELECT styleQML FROM layer_styles JOIN gpkg_geometry_columns ON f_table_name = "
            "table_name AND f_geometry_column = column_name WHERE f_table_schema = '' AND "
            "useAsDefault"
        )
        assert found.fetchall() == [(STYLE,)]


def test_a_file_is_whole_or_refused_wherever_the_space_ends(tmp_path: Path) -> None:
    write(tmp_path / "a.gpkg")
    whole = (tmp_path / "a.gpkg").read_bytes()
    made = []
    for kib in range(0, len(whole) // 1024 + 4, 4):
        path = tmp_path / f"{kib}.gpkg"
        with limited_files(kib):
            try:
                write(path)
            except CannotWriteError as error:
                assert str(error).startswith("map.gpkg: ") and "; " in str(error)
            else:
                made.append(path.read_bytes())
    assert made == [whole]


def test_polygons_that_are_missing_are_noticed(tmp_path: Path) -> None:
    write(tmp_path / "a.gpkg")
    with pytest.raises(
        CannotWriteError, match=r"map\.gpkg: was not written whole; is the disk full"
    ):
        check_features("map.gpkg", tmp_path / "a.gpkg", "boxes", len(BOXES) + 1)
