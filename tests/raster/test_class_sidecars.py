"""Names and a style beside a label raster, as GDAL and an XML parser read them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from gdal_tables import attribute_table, category_names

from lcmap.errors import OutputExistsError
from lcmap.raster.class_sidecars import check_sidecar_output, class_sidecars
from lcmap.raster.classes import ClassTable, is_class_style, qml_style
from lcmap.raster.grid import Grid
from lcmap.raster.output_set import OutputSet
from lcmap.raster.writing import RasterFormat, atomic_raster

TABLE = ClassTable("example", {1: "bâti & cour", 3: "eau"}, {1: (255, 0, 10), 3: (0, 0, 255)})
GRID = Grid(rasterio.CRS.from_epsg(2154), rasterio.Affine(2, 0, 0, 0, -2, 8), 4, 4)
LABELS = RasterFormat(1, "uint8", 0, classes=TABLE, overviews=True, sidecars=True)


def write(path: Path, *, overwrite: bool = False) -> None:
    with atomic_raster(path, GRID, LABELS, overwrite=overwrite) as raster:
        raster.write(np.ones((1, 4, 4), "uint8"))


def test_gdal_and_qgis_find_the_classes_alone(tmp_path: Path) -> None:
    write(tmp_path / "ref.v1.tif")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "ref.v1.qml", "ref.v1.tif", "ref.v1.tif.aux.xml",
    ]  # fmt: skip
    assert category_names(tmp_path / "ref.v1.tif") == ["", "bâti & cour", "", "eau"]
    columns = ("Value", "Count", "Class", "Red", "Green", "Blue")
    assert attribute_table(tmp_path / "ref.v1.tif") == [
        dict(zip(columns, row, strict=True))
        for row in [
            ("1", "16", "bâti & cour", "255", "0", "10"),
            ("3", "0", "eau", "0", "0", "255"),
        ]
    ]
    entries = ElementTree.parse(tmp_path / "ref.v1.qml").iter("paletteEntry")
    assert [(e.get("value"), e.get("label")) for e in entries] == [
        ("1", "bâti & cour"), ("3", "eau"),
    ]  # fmt: skip


def test_a_style_of_someone_is_neither_replaced_nor_shared(tmp_path: Path) -> None:
    raster, style = tmp_path / "ref.tif", tmp_path / "ref.qml"
    style.write_text("<qgis>mine</qgis>")
    with pytest.raises(OutputExistsError, match=r"ref\.qml: exists already"):
        write(raster)
    assert [path.name for path in tmp_path.iterdir()] == ["ref.qml"]
    (tmp_path / "ref.gpkg").touch()
    write(raster)
    assert style.read_text() == "<qgis>mine</qgis>"
    assert (tmp_path / "ref.tif.aux.xml").exists()
    (tmp_path / "ref.gpkg").unlink()
    write(raster, overwrite=True)
    assert style.read_text() == qml_style(TABLE)


def test_what_a_removed_raster_left_may_go(tmp_path: Path) -> None:
    other = ClassTable("other", {9: "<bois>"}, {9: (1, 2, 3)})
    (tmp_path / "ref.qml").write_text(qml_style(other), encoding="utf-8")
    (tmp_path / "ref.tif.aux.xml").write_text("<PAMDataset/>")
    write(tmp_path / "ref.tif")
    assert (tmp_path / "ref.qml").read_text("utf-8") == qml_style(TABLE)
    assert "eau" in (tmp_path / "ref.tif.aux.xml").read_text("utf-8")


@pytest.mark.parametrize("text", ["", "<qgis>", "<qgis/>", '<a><paletteEntry value="x"/></a>'])
def test_other_styles_are_someones(tmp_path: Path, text: str) -> None:
    assert is_class_style(qml_style(TABLE)) and not is_class_style(text)
    (tmp_path / "a.qml").write_bytes(text.encode() or b"\xff\xfe")
    with pytest.raises(OutputExistsError):
        check_sidecar_output(tmp_path / "a.qml")


def test_a_stream_has_nothing_beside_it() -> None:
    assert class_sidecars("-", asked=False) == []
    assert class_sidecars("/dev/null", asked=False) == []


def test_a_killed_run_names_the_style_too(tmp_path: Path) -> None:
    write(tmp_path / "whole.tif")
    folder = tmp_path / ".ref.tif.lcmap-abcdefgh"
    folder.mkdir()
    endings = (".tif.aux.xml", ".qml", ".tif")
    for ending in endings:
        (tmp_path / f"whole{ending}").rename(folder / f"ref{ending}")
    moves = [[f"{folder.name}/ref{ending}", f"ref{ending}"] for ending in endings]
    (tmp_path / ".ref.tif.aux.xml.lcmap-set").write_text(json.dumps(moves))
    (folder / "belongs-to").write_text("../.ref.tif.aux.xml.lcmap-set")
    with OutputSet([tmp_path / "ref.tif"], overwrite=False) as files:
        assert files.overwrite
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "ref.qml", "ref.tif", "ref.tif.aux.xml",
    ]  # fmt: skip
