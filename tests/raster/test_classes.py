"""Style files beside a map, read back with an XML parser and with GDAL."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from support import write_raster

from lcmap.raster.classes import (
    ClassTable,
    aux_xml,
    find_class_table,
    qml_style,
    read_class_table,
    write_class_table,
)

TABLE = ClassTable("example", {1: "bâti & cour", 3: "eau"}, {1: (255, 0, 10), 3: (0, 0, 255)})
PIXELS = [0, 16, 0, 0]


def make_map(path: Path) -> None:
    transform = rasterio.Affine(2, 0, 0, 0, -2, 8)
    with rasterio.open(
        path, "w", driver="GTiff", width=4, height=4, count=1, dtype="uint8", transform=transform
    ) as dataset:
        dataset.write(np.ones((1, 4, 4), "uint8"))
        write_class_table(dataset, TABLE)


def test_table_survives_the_file(tmp_path: Path) -> None:
    make_map(tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert read_class_table(dataset) == TABLE


def test_raster_without_classes_has_no_table(tmp_path: Path) -> None:
    make_map(tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif", "r+") as dataset:
        for text in ("not json", "null", "[]", '{"": "eau"}', '{"999": "eau"}'):
            dataset.update_tags(LCMAP_CLASSES=text)
            assert read_class_table(dataset) is None


def test_sidecars_name_every_class() -> None:
    entries = ElementTree.fromstring(qml_style(TABLE)).iter("paletteEntry")
    assert [(e.get("value"), e.get("color"), e.get("label")) for e in entries] == [
        ("1", "#ff000a", "bâti & cour"),
        ("3", "#0000ff", "eau"),
    ]
    categories = ElementTree.fromstring(aux_xml(TABLE, PIXELS)).iter("Category")
    assert [c.text or "" for c in categories] == ["", "bâti & cour", "", "eau"]


def test_classes_that_the_file_lost_are_found_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    make_map(path)
    (tmp_path / "map.tif.aux.xml").write_text(aux_xml(TABLE, PIXELS), "utf-8")
    with rasterio.open(path) as dataset:
        lost = {key: value for key, value in dataset.profile.items() if key != "photometric"}
        codes = dataset.read()
    with rasterio.open(tmp_path / "colourless.tif", "w", **lost) as dataset:
        dataset.write(codes)
        dataset.update_tags(LCMAP_NOMENCLATURE="example", LCMAP_CLASSES='{"1": "é", "3": "eau"}')
    with rasterio.open(tmp_path / "colourless.tif") as dataset:
        assert read_class_table(dataset) == find_class_table(dataset)
        assert read_class_table(dataset) == ClassTable("example", {1: "é", 3: "eau"}, {})
    (tmp_path / "colourless.tif").rename(path)
    with rasterio.open(path, "r+") as dataset:
        assert find_class_table(dataset) == ClassTable("example", {1: "é", 3: "eau"}, {})
        names = '{"1": "bâti & cour", "3": "eau"}'
        dataset.update_tags(LCMAP_CLASSES=names)
        assert find_class_table(dataset) == TABLE
    with rasterio.open(tmp_path / "bare.tif", "w", **lost) as dataset:
        dataset.write(codes)
    (tmp_path / "bare.tif").rename(path)
    with rasterio.open(path) as dataset:
        assert read_class_table(dataset) is None
        assert find_class_table(dataset) == ClassTable("", TABLE.names, TABLE.colors)


@pytest.mark.parametrize(
    ("old", "new"),
    [("<F>eau</F>", "<F>bâti &amp; cour</F>"), ("<F>255</F>", "<F>256</F>"), ("FieldDefn", "Field"),
     ("<Usage>5", "<Usage>0"), ("</PAMDataset>", ""), ("<F>3</F>", "<F>300</F>")],
)  # fmt: skip
def test_a_sidecar_that_tells_no_classes_is_passed_over(tmp_path: Path, old: str, new: str) -> None:
    write_raster(tmp_path / "map.tif", np.ones((1, 4, 4), "uint8"))
    text = aux_xml(TABLE, PIXELS)
    assert old in text
    (tmp_path / "map.tif.aux.xml").write_text(text.replace(old, new), "utf-8")
    with rasterio.open(tmp_path / "map.tif") as dataset:
        table = find_class_table(dataset)
    assert table is None or table.names == {1: "bâti & cour"}
    assert (table is None) == (new != "<F>300</F>")
