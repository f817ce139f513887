"""Style files beside a map, read back with an XML parser and with GDAL."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio

from lcmap.raster.class_sidecars import sidecar_texts
from lcmap.raster.classes import (
    ClassTable,
    read_class_table,
    write_class_table,
)

TABLE = ClassTable("example", {1: "bâti & cour", 3: "eau"}, {1: (255, 0, 10), 3: (0, 0, 255)})


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
    texts = sidecar_texts("maps.2018/map.tif", TABLE, asked=True)
    assert list(texts) == ["maps.2018/map.qml", "maps.2018/map.tif.aux.xml"]
    qml, aux = texts.values()
    entries = ElementTree.fromstring(qml).iter("paletteEntry")
    assert [(e.get("value"), e.get("color"), e.get("label")) for e in entries] == [
        ("1", "#ff000a", "bâti & cour"),
        ("3", "#0000ff", "eau"),
    ]
    categories = ElementTree.fromstring(aux).iter("Category")
    assert [c.text or "" for c in categories] == ["", "bâti & cour", "", "eau"]
