"""lcmap rasterize-ref as a user runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from affine import Affine
from support import undigested

from lcmap.raster.classes import qml_style, read_class_table

BDTOPO = Path(__file__).parent.parent / "data" / "bdtopo"
RULES = '[[rules]]\nlayer = "roof"\nclass = 6\n'

Lcmap = Callable[..., Any]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image over the commune's crop."""
    return write_image(tmp_path / "spot.tif")


def write_image(path: Path, crs: str | None = "EPSG:2154", west: float = 664_700.0) -> Path:
    profile = {"driver": "GTiff", "width": 240, "height": 200, "count": 1, "dtype": "uint8"}
    transform = Affine(1.5, 0, west, 0, -1.5, 6_360_280)
    with rasterio.open(path, "w", crs=crs, transform=transform, **profile):
        pass
    return path


def write_roof(path: Path, crs: str | None = "EPSG:2154") -> Path:
    geometries = shapely.to_wkb([shapely.box(664_750.8, 6_360_000, 664_800, 6_360_050)])
    pyogrio.raw.write(path, geometries, [], [], layer="roof", crs=crs, geometry_type="Polygon")
    return path


def write_rules(path: Path, text: str = RULES) -> Path:
    path.write_text(f'name = "mine"\nnomenclature = "topo6"\n{text}')
    return path


def test_bd_topo_becomes_labels(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    output, conflicts = tmp_path / "ref.tif", tmp_path / "conflicts.tif"
    run = lcmap(
        *("rasterize-ref", BDTOPO, "--rules", "bdtopo-topo18", "--like", image),
        *("-o", output, "--conflicts", conflicts),
    )
    assert run.exit_code == 0, run.stderr
    assert "troncon_de_route → Main roads" in run.stdout
    assert "no source has the layers parcelles_graphiques" in run.stderr
    assert "TRONCON_DE_ROUTE.shp: has no attributes; all its features are taken as Main roads" in (
        run.stderr
    )
    assert "Residential buildings" in run.stderr
    with rasterio.open(image) as like, rasterio.open(output) as labels:
        assert (labels.shape, labels.transform, labels.crs) == (
            like.shape,
            like.transform,
            like.crs,
        )
        assert (labels.dtypes, labels.nodata) == (("uint8",), 0)
        table = read_class_table(labels)
        assert table is not None and table.nomenclature == "topo18"
        assert labels.colormap(1)[17][:3] == table.colors[17]
        pixels = labels.read(1)
    assert output.with_suffix(".qml").read_text("utf-8") == qml_style(table)
    assert output.with_name("ref.tif.aux.xml").exists()
    assert {1, 5, 10, 12, 17} <= set(np.unique(pixels).tolist())
    with rasterio.open(conflicts) as claims:
        counts = claims.read(1)
    assert np.array_equal(counts > 0, pixels > 0)
    assert counts.max() >= 2


def test_without_output_the_raster_goes_to_standard_output(image: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from lcmap.cli import main; main()", "rasterize-ref"]
    command += [str(BDTOPO), "--rules", "bdtopo-topo6", "--like", str(image), "-q"]
    run = subprocess.run(command, capture_output=True, check=True)
    assert run.stderr == b""
    piped = tmp_path / "piped.tif"
    piped.write_bytes(run.stdout)
    with rasterio.open(piped) as labels:
        assert labels.read(1).any()


def test_a_layer_of_a_file_and_all_touched(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    source, rules = write_roof(tmp_path / "a.gpkg"), write_rules(tmp_path / "mine.toml")
    counts = []
    for name, options in (("plain", []), ("touched", ["--all-touched"])):
        output = tmp_path / f"{name}.tif"
        run = lcmap(
            *("rasterize-ref", f"{source}:roof", "--rules", rules, "--like", image),
            *("-o", output, *options),
        )
        assert run.exit_code == 0, run.stderr
        with rasterio.open(output) as labels:
            counts.append(int((labels.read(1) == 6).sum()))
    assert counts[0] < counts[1]


def no_crs(folder: Path) -> Path:
    path = write_roof(folder / "roof.shp")
    os.remove(folder / "roof.prj")
    return path


def text_file(folder: Path, name: str, text: str = "no such thing") -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"source": lambda f: f / "absent.gpkg"}, 66, "absent.gpkg: no such file"),
        ({"source": lambda f: text_file(f, "x.gpkg")}, 65, "x.gpkg: cannot be read as a vector"),
        ({"source": lambda f: f"{write_roof(f / 'a.gpkg')}:barn"}, 65, 'has no layer "barn"'),
        ({"source": no_crs}, 65, "roof.shp: does not say its coordinate reference system"),
        (
            {"source": lambda f: BDTOPO},
            65,
            "no rule is about any layer of the sources, which are A",
        ),
        ({"like": lambda f: f / "absent.tif"}, 66, "absent.tif: no such file"),
        ({"like": lambda f: text_file(f, "x.tif")}, 65, "x.tif: cannot be opened as a raster"),
        (
            {"like": lambda f: write_image(f / "bare.tif", crs=None)},
            65,
            "bare.tif: has no coordinate reference system",
        ),
        (
            {"like": lambda f: write_image(f / "far.tif", west=900_000)},
            65,
            "far.tif: no feature that the rules take falls on its grid",
        ),
        ({"rules": lambda f: "bdtopo"}, 2, "no built-in rules have this name"),
        ({"rules": lambda f: f / "absent.toml"}, 66, "absent.toml: no such file"),
        (
            {"rules": lambda f: write_rules(f / "r.toml", RULES + "colour = 1\n")},
            65,
            "r.toml: rules[1].colour: unknown key",
        ),
        (
            {"rules": lambda f: write_rules(f / "r.toml", RULES.replace("6", '"Barn"'))},
            65,
            "r.toml: rules[1].class: topo6 has no class 'Barn'",
        ),
        ({"output": lambda f: text_file(f, "old.tif")}, 73, "old.tif: exists already"),
        ({"output": lambda f: f / "nowhere" / "o.tif"}, 73, "no such folder"),
        (
            {"conflicts": lambda f: f / "o.tif"},
            2,
            "is named for two outputs",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    lcmap: Lcmap, image: Path, tmp_path: Path, change: dict[str, Any], code: int, message: str
) -> None:
    values: dict[str, Any] = {
        "source": write_roof(tmp_path / "good.gpkg"),
        "rules": write_rules(tmp_path / "good.toml"),
        "like": image,
        "output": tmp_path / "o.tif",
    }
    values |= {name: make(tmp_path) for name, make in change.items()}
    options = [] if "conflicts" not in values else ["--conflicts", values["conflicts"]]
    before = {path.name for path in tmp_path.iterdir()}
    run = lcmap(
        *("rasterize-ref", values["source"], "--rules", values["rules"]),
        *("--like", values["like"], "-o", values["output"], *options),
    )
    assert run.exit_code == code, run
    assert message in run.stderr
    assert run.stderr.startswith("lcmap: ") and run.stderr.count("\n") == 1
    assert run.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == before


def test_metres_on_a_grid_in_degrees(lcmap: Lcmap, tmp_path: Path) -> None:
    degrees = write_image(tmp_path / "degrees.tif", crs="EPSG:4326", west=0.0)
    run = lcmap(
        *("rasterize-ref", BDTOPO, "--rules", "bdtopo-topo6", "--like", degrees),
        *("-o", tmp_path / "o.tif"),
    )
    assert run.exit_code == 65
    assert "its grid is in degrees" in run.stderr


def test_overwrite_replaces(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    output = text_file(tmp_path, "old.tif")
    run = lcmap(
        *("rasterize-ref", BDTOPO, "--rules", "bdtopo-topo6", "--like", image),
        *("-o", output, "--overwrite"),
    )
    assert run.exit_code == 0, run.stderr
    with rasterio.open(output) as labels:
        assert labels.read(1).any()


def test_several_sources_and_paths_with_spaces_and_accents(
    lcmap: Lcmap, image: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(BDTOPO, tmp_path / "données & été")
    run = lcmap(
        *("rasterize-ref", folder / "BATIMENT.shp", folder / "ZONE_DE_VEGETATION.shp"),
        *("--rules", "bdtopo-topo6", "--like", image, "-o", tmp_path / "o.tif"),
    )
    assert run.exit_code == 0, run.stderr
    with rasterio.open(tmp_path / "o.tif") as labels:
        assert set(np.unique(labels.read(1)).tolist()) == {0, 1, 5, 6}


def test_bounds_and_resolution_in_place_of_an_image(lcmap: Lcmap, tmp_path: Path) -> None:
    roof, rules = write_roof(tmp_path / "roof.gpkg"), write_rules(tmp_path / "mine.toml")
    image, grid = write_image(tmp_path / "spot.tif"), tmp_path / "grid.tif"
    with rasterio.open(image) as dataset:
        bounds = ",".join(map(str, dataset.bounds))
    call = ("rasterize-ref", roof, "--rules", rules)
    assert lcmap(*call, "--like", image, "-o", tmp_path / "like.tif").exit_code == 0
    given = ("--bounds", bounds, "--resolution", 1.5, "--crs", "EPSG:2154")
    run = lcmap(*call, *given, "-o", grid)
    assert run.exit_code == 0, run.stderr
    assert undigested(grid) == undigested(tmp_path / "like.tif")
    for wrong, what in (
        ((), "--bounds"),
        ((*given, "--like", image), "--like"),
        (("--bounds", "1,2,3", *given[2:]), "--bounds"),
        ((*given[:3], -1, *given[4:]), "--resolution"),
        ((*given[:5], "EPSG:1"), "--crs"),
        ((*given[:5], "EPSG:NaN"), "--crs"),
        ((*given[:3], 1e-9, *given[4:]), "--resolution"),
        (("--bounds", "0,0,1e300,1e300", *given[2:]), "--resolution"),
    ):
        run = lcmap(*call, *wrong, "-o", tmp_path / "no.tif")
        assert (run.exit_code, what in run.stderr) == (2, True), run.stderr


GML = """<?xml version="1.0"?><ogr:FeatureCollection xmlns:ogr="http://ogr.maptools.org/"
 xmlns:gml="http://www.opengis.net/gml"><gml:featureMember><ogr:roof><ogr:geometryProperty>
<gml:Point srsName="EPSG:2154"><gml:coordinates>664760,6360000</gml:coordinates></gml:Point>
</ogr:geometryProperty><ogr:kind>a</ogr:kind></ogr:roof></gml:featureMember></ogr:FeatureCollection>
"""


@pytest.mark.parametrize("name", ["roof.gml", "roof.xml", "roof.gpkg", "roof.geojson", "roof.shp"])
def test_nothing_is_written_beside_a_gml(
    lcmap: Lcmap, image: Path, tmp_path: Path, name: str
) -> None:
    """GDAL would write what it found out of its schema into a .gfs file."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / name).write_text(GML)
    rules = write_rules(tmp_path / "rules.toml")
    for source in (sources / name, sources):
        run = lcmap("rasterize-ref", source, "--rules", rules, "--like", image,
                    "-o", tmp_path / "ref.tif")  # fmt: skip
        assert run.exit_code in (65, 66), run.stderr
        assert [path.name for path in sources.iterdir()] == [name]


@pytest.mark.parametrize("suffix", ["gpkg", "shp", "geojson", "fgb"])
def test_nothing_is_written_beside_a_source(
    lcmap: Lcmap, image: Path, tmp_path: Path, suffix: str
) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    write_roof(sources / f"roof.{suffix}")
    before = {path.name: path.read_bytes() for path in sources.iterdir()}
    rules = write_rules(tmp_path / "rules.toml")
    run = lcmap("rasterize-ref", sources, "--rules", rules, "--like", image,
                "-o", tmp_path / "ref.tif")  # fmt: skip
    assert run.exit_code == 0, run.stderr
    assert {path.name: path.read_bytes() for path in sources.iterdir()} == before
