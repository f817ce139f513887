"""The attribute table beside each map of classes: its pixels are those that GDAL counts."""

from __future__ import annotations

from pathlib import Path

import pytest
import rasterio
from every_command import FORMS
from gdal_tables import attribute_table, histogram
from support import run_lcmap

MAPS = {
    "rasterize-ref": ["ref.tif"],
    "prepare tiles": ["stack.labels.tif"],
    "predict": ["map.tif"],
    "campaign": ["map.tif", "map-1.tif", "map-2.tif"],
    "late": ["map.tif"],
    "crosswalk": ["map.tif"],
    "update": ["map.tif", "c.tif"],
    "generalise": ["map.tif"],
}


def check_table(path: Path) -> int:
    """Check the attribute table of a map; return how many pixels have a class."""
    table, counted = attribute_table(path), histogram(path)
    found = {int(row["Value"]): int(row["Count"]) for row in table}
    with rasterio.open(path) as dataset:
        colors = dataset.colormap(1)
    assert sum(found.values()) == sum(counted)
    for row in table:
        code = int(row["Value"])
        assert found[code] == counted[code]
        assert tuple(int(row[name]) for name in ("Red", "Green", "Blue")) == colors[code][:3]
        assert row["Class"]
    return sum(counted)


@pytest.mark.parametrize("form", MAPS)
def test_its_pixels_are_those_of_the_file(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare, line, _, _ = FORMS[form]
    prepare(tmp_path)
    run = run_lcmap(*line.split())
    assert run.exit_code == 0, run.stderr
    tables = {path.name.removesuffix(".aux.xml") for path in tmp_path.glob("*.aux.xml")}
    assert tables == set(MAPS[form])
    for name in MAPS[form]:
        assert check_table(tmp_path / name) > 0


@pytest.mark.parametrize("option", ["--cog", "--no-qml"])
def test_of_a_map_in_another_form(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare, line, _, _ = FORMS["predict"]
    prepare(tmp_path)
    run = run_lcmap(*line.replace("--qml", option).split())
    assert run.exit_code == 0, run.stderr
    if option == "--cog":
        assert check_table(Path("map.tif")) > 0
    else:
        assert not Path("map.tif.aux.xml").exists()
