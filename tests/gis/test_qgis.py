"""What lcmap writes opens in QGIS with the names and colours of its classes."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import every_command
import pytest
import rasterio
from qgis_here import PYTHON, has_qgis
from support import run_lcmap

from lcmap.nomenclature import load_nomenclature

SCRIPT = Path(__file__).with_name("qgis_legend.py")
CLASSES = load_nomenclature("flair7").classes


def opened(*layers: str) -> Any:
    """Return what QGIS says of layers, by name."""
    said = subprocess.run(
        [PYTHON, str(SCRIPT), *layers], capture_output=True, check=True, text=True
    )
    return json.loads(said.stdout)


@pytest.mark.slow
def test_maps_tiles_and_polygons_have_their_legend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_qgis():
        pytest.skip("QGIS is not installed: apt-get install python3-qgis, see CONTRIBUTING.md")
    monkeypatch.chdir(tmp_path)
    every_command.tiles(tmp_path)
    every_command.land_cover(tmp_path)
    made = run_lcmap(
        "generalise", "labels.tif", "-o", "map.tif", "--mmu", "0.01", "--vector", "objects.gpkg"
    )
    assert made.exit_code == 0, made.stderr
    shutil.copy("map.tif", "bare.tif")
    found = opened("map.tif", "bare.tif", "t.geojson", "objects.gpkg")
    names = [land_cover.name for land_cover in CLASSES]
    assert found["map.tif"]["renderer"] == "paletted"
    assert found["map.tif"]["legend"][1:] == names
    assert found["objects.gpkg"]["legend"] == names
    assert found["t.geojson"]["legend"] == ["train", "validation", "test"]
    # the same ground is in the same colours, with the style and without
    with rasterio.open("map.tif") as dataset:
        here = set(dataset.read(1).ravel().tolist())
    assert here == {1, 2}
    for layer in ("map.tif", "bare.tif", "objects.gpkg"):
        colors = found[layer]["colors"]
        frequent = sorted(colors, key=lambda color: -colors[color])[:2]
        assert set(frequent) == {CLASSES[0].color, CLASSES[1].color}, layer
    # three tints and the lines between them
    assert len([n for n in found["t.geojson"]["colors"].values() if n > 500]) >= 3


@pytest.mark.slow
def test_points_are_interpreted_in_a_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_qgis():
        pytest.skip("QGIS is not installed: apt-get install python3-qgis, see CONTRIBUTING.md")
    monkeypatch.chdir(tmp_path)
    every_command.land_cover(tmp_path)
    made = run_lcmap("sample", "labels.tif", "-o", "points.gpkg", "--size", 60)
    assert made.exit_code == 0, made.stderr
    shutil.copy("points.gpkg", "begun.gpkg")
    with sqlite3.connect("begun.gpkg") as database:
        for (trigger,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'sample'"
        ).fetchall():
            database.execute(f'DROP TRIGGER "{trigger}"')  # they call functions of GDAL's
        database.execute("UPDATE sample SET reference = '1' WHERE id < 20")
        database.execute("UPDATE sample SET reference = ? WHERE id > 40", [CLASSES[1].name])
    found = opened("points.gpkg", "begun.gpkg")
    names = [land_cover.name for land_cover in CLASSES]
    for layer in found.values():
        assert layer["renderer"] == "categorizedSymbol"
        assert layer["legend"] == [*names, "cannot be told", "to be interpreted"]
        form = layer["form"]
        picked = [{land_cover.name: str(land_cover.code)} for land_cover in CLASSES]
        assert form["reference"] == ["ValueMap", [*picked, {"cannot be told": "0"}]]
        shown = {name for name, (kind, _) in form.items() if kind != "Hidden"}
        assert shown == {"id", "reference", "note"}
    assert {"#ff00ff"} <= set(found["points.gpkg"]["colors"])
    own = {land_cover.color for land_cover in CLASSES}
    assert not own & set(found["points.gpkg"]["colors"])
    colors = found["begun.gpkg"]["colors"]
    assert own & set(colors) == {CLASSES[0].color, CLASSES[1].color} and "#ff00ff" in colors
