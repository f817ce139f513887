"""Views of a GeoPackage that have no end are refused, others are read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import shapely
from support import Run

LINE = shapely.LineString([(664_010, 6_359_990), (664_050, 6_359_950)])
RULES = '[[rules]]\nlayer = "seen"\nclass = "Road"\nwidth = 3'


def with_view(path: Path, select: str, *, registered: bool = True) -> Path:
    database = sqlite3.connect(path)
    database.execute(f"create view seen as {select}")
    if registered:
        database.execute(
            "insert into gpkg_contents (table_name, data_type, identifier, srs_id) "
            "values ('seen', 'features', 'seen', 2154)"
        )
        database.execute(
            "insert into gpkg_geometry_columns values ('seen', 'geom', 'GEOMETRY', 2154, 0, 0)"
        )
    database.commit()
    database.close()
    return path


@pytest.fixture
def burn(
    lcmap: Callable[..., Run], rules: Callable[[str], Path], like: Callable[..., Path],
    tmp_path: Path,
) -> Callable[[Path], Run]:  # fmt: skip
    def run(source: Path) -> Run:
        return lcmap("rasterize-ref", source, "--rules", rules(RULES), "--like", like(),
                     "-o", tmp_path / "labels.tif")  # fmt: skip

    return run


@pytest.mark.parametrize(
    "select",
    [
        "with recursive n(i) as (select 1 union all select i + 1 from n) "
        "select i as fid, (select geom from roads) as geom from n",
        "with recursive n(i) as (select 1 union all select i + 1 from n) "
        "select 1 as fid, (select geom from roads) as geom from n where i < 0",
        "select hex(zeroblob(1000000000)) as fid, geom from roads",
    ],
    ids=["rows", "search", "value"],
)
@pytest.mark.parametrize("registered", [True, False])
def test_a_view_without_end(
    write_layer: Callable[..., Path], burn: Callable[[Path], Run], tmp_path: Path, select: str,
    registered: bool,
) -> None:  # fmt: skip
    path = write_layer(tmp_path / "db.gpkg", [LINE], layer="roads")
    run = burn(with_view(path, select, registered=registered))
    assert run.exit_code == 65
    assert "db.gpkg: its view seen " in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


def test_a_view_that_ends(
    write_layer: Callable[..., Path], burn: Callable[[Path], Run], tmp_path: Path
) -> None:
    path = write_layer(tmp_path / "db.gpkg", [LINE], layer="roads")
    run = burn(with_view(path, "select fid, geom from roads"))
    assert run.exit_code == 0, run.stderr
    assert "seen → Road: 1 feature," in run.stdout
