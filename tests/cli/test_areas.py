"""lcmap areas: hectares of pixels, against counts, exact intersections and geodesics."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from pyproj import Geod, Transformer
from small_labels import WriteLabels, label_writer
from support import Run

from lcmap.nomenclature import load_nomenclature
from lcmap.products import area_counting, areas

FLAIR7 = load_nomenclature("flair7")
WEST, NORTH = 700_000.0, 6_250_000.0
Lcmap = Callable[..., Run]


@pytest.fixture
def write(tmp_path: Path) -> WriteLabels:
    return label_writer(tmp_path)


def codes(seed: int = 0, shape: tuple[int, int] = (60, 80)) -> Any:
    return np.random.default_rng(seed).integers(0, 8, shape, np.uint8)


def write_zones(
    path: Path, polygons: Sequence[Any], names: Sequence[str | None] | None = None,
    crs: str | None = "EPSG:2154", field: str = "nom",
) -> Path:  # fmt: skip
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array(polygons)),
        [] if names is None else [np.array(names, object)],
        [] if names is None else [field],
        geometry_type="Unknown",
        crs=crs,
        driver="GPKG",
    )
    return path


def star(col: float, row: float, radius: float, points: int = 9) -> Any:
    """A star on the grid of the maps, of pixels of 2 m."""
    angle = np.linspace(0, 2 * np.pi, 2 * points, endpoint=False) + 0.1
    length = np.where(np.arange(2 * points) % 2, radius, radius / 3)
    x = WEST + 2 * (col + length * np.cos(angle))
    y = NORTH - 2 * (row + length * np.sin(angle))
    return shapely.Polygon(np.stack([x, y], axis=1))


def covered(zone: Any, shape: tuple[int, int] = (60, 80)) -> Any:
    """Return the area of each pixel of 2 m that a zone covers."""
    cols, rows = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
    pixels = shapely.box(
        WEST + 2 * cols, NORTH - 2 * rows - 2, WEST + 2 * cols + 2, NORTH - 2 * rows
    )
    return shapely.area(shapely.intersection(pixels, zone))


def hectares(rows: list[dict[str, Any]]) -> dict[Any, float]:
    return {row.get("code", (row.get("from_code"), row.get("to_code"))): row["hectares"]
            for row in rows}  # fmt: skip


def printed(run: Run) -> dict[str, Any]:
    assert run.exit_code == 0, run.stderr
    values: dict[str, Any] = json.loads(run.stdout)
    return values


@pytest.mark.parametrize("block", [16, 2048])
def test_hectares_of_each_class(
    lcmap: Lcmap, write: WriteLabels, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(areas, "BLOCK", block)
    values = printed(lcmap("areas", write("map.tif", codes(), gsd=2.0, classes=FLAIR7), "--json"))
    counts = np.bincount(codes().ravel())
    assert hectares(values["areas"]) == pytest.approx({c: counts[c] * 4e-4 for c in range(8)})
    assert values["areas"][0]["class"] == FLAIR7[1].name
    assert values["areas"][0]["share"] == pytest.approx(counts[1] / counts[1:].sum())
    assert values["areas"][-1]["class"] == "no class"
    assert values["areas"][-1]["share"] is None
    assert "counts of pixels, not estimates" in values["note"]
    assert values["pixel"] == "each pixel counts 4 m², its area in EPSG:2154"


def test_the_table_says_what_it_counts(lcmap: Lcmap, write: WriteLabels) -> None:
    run = lcmap("areas", write("map.tif", np.full((100, 300), 4, np.uint8), classes=FLAIR7))
    assert run.exit_code == 0, run.stderr
    assert f"{FLAIR7[4].name}" in run.stdout
    assert "3.00  100.0" in run.stdout
    assert "counts of pixels, not estimates of areas" in run.stdout
    assert "its area in EPSG:2154" in run.stdout


def test_from_class_to_class(lcmap: Lcmap, write: WriteLabels) -> None:
    one = write("one.tif", codes(0), classes=FLAIR7)
    other = write("other.tif", codes(1), classes=FLAIR7)
    values = printed(lcmap("areas", one, other, "--json"))
    expected: dict[Any, int] = {}
    for pair in zip(codes(0).ravel().tolist(), codes(1).ravel().tolist(), strict=True):
        expected[pair] = expected.get(pair, 0) + 1
    assert hectares(values["areas"]) == pytest.approx({k: v / 1e4 for k, v in expected.items()})
    run = lcmap("areas", one, other)
    assert "from" in run.stdout
    changed = sum(v for (a, b), v in expected.items() if a != b and a and b)
    both = sum(v for (a, b), v in expected.items() if a and b)
    assert f"in another class: {changed / 1e4:.2f} ha ({100 * changed / both:.1f} %)" in run.stdout


@pytest.mark.parametrize(("block", "tile"), [(32, 8), (2048, 16), (2048, 256)])
def test_zones_by_exact_coverage(
    lcmap: Lcmap, write: WriteLabels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    block: int, tile: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(areas, "BLOCK", block)
    monkeypatch.setattr(area_counting, "TILE", tile)
    made = write("map.tif", codes(), gsd=2.0, classes=FLAIR7)
    hole = star(40, 30, 28).difference(star(40, 30, 8))
    everything = shapely.box(WEST - 10, NORTH - 1000, WEST + 1000, NORTH + 10)
    polygons = [hole, star(20, 20, 12), star(70, 50, 20), everything, star(1000, 1000, 5)]
    zones = write_zones(tmp_path / "z.gpkg", polygons, ["A", "B", "B", "all", "far"])
    values = printed(lcmap("areas", made, "--zones", zones, "--json"))
    found = {zone["zone"]: hectares(zone["areas"]) for zone in values["zones"]}
    assert list(found) == ["A", "B", "all"]
    for name, parts in (("A", [hole]), ("B", polygons[1:3]), ("all", [everything])):
        area = sum(covered(part) for part in parts)
        expected = {c: area[codes() == c].sum() / 1e4 for c in range(8)}
        assert found[name] == pytest.approx({c: v for c, v in expected.items() if v}, rel=1e-5)
    assert found["all"] == pytest.approx(hectares(values["areas"]))


def test_changes_by_zone(lcmap: Lcmap, write: WriteLabels, tmp_path: Path) -> None:
    one, other = (write(f"{i}.tif", codes(i), gsd=2.0, classes=FLAIR7) for i in (0, 1))
    zone = star(40, 30, 25)
    zones = write_zones(tmp_path / "z.gpkg", [zone], ["A"])
    run = lcmap("areas", one, other, "--zones", zones, "--csv")
    assert run.exit_code == 0, run.stderr
    rows = list(csv.DictReader(io.StringIO(run.stdout)))
    assert {row["method"] for row in rows} == {"pixel count"}
    assert sum(float(row["hectares"]) for row in rows if not row["zone"]) == pytest.approx(1.92)
    area = covered(zone)
    for row in (row for row in rows if row["zone"] == "A"):
        here = (codes(0) == int(row["from_code"])) & (codes(1) == int(row["to_code"]))
        assert float(row["hectares"]) == pytest.approx(area[here].sum() / 1e4, rel=1e-5)
    table = lcmap("areas", one, other, "--zones", zones).stdout
    assert "in another class" in table
    assert "by the part that it covers" in table


def test_zones_of_another_system(lcmap: Lcmap, write: WriteLabels, tmp_path: Path) -> None:
    made = write("map.tif", codes(), gsd=2.0, classes=FLAIR7)
    zone = star(40, 30, 25)
    to_degrees = Transformer.from_crs("EPSG:2154", "EPSG:4326", always_xy=True).transform
    degrees = shapely.transform(zone, lambda xy: np.stack(to_degrees(*xy.T), axis=1))
    for name, polygon, crs in (("a", zone, "EPSG:2154"), ("b", degrees, "EPSG:4326")):
        write_zones(tmp_path / f"{name}.gpkg", [polygon], ["A"], crs)
    found = [
        hectares(printed(lcmap("areas", made, "--zones", tmp_path / f"{name}.gpkg", "--json"))
                 ["zones"][0]["areas"]) for name in ("a", "b")
    ]  # fmt: skip
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_zones_that_reach_round_the_earth(lcmap: Lcmap, write: WriteLabels, tmp_path: Path) -> None:
    made = write("map.tif", codes(), gsd=2.0)
    earth = write_zones(tmp_path / "z.gpkg", [shapely.box(-180, -90, 180, 90)], ["A"], "EPSG:4326")
    values = printed(lcmap("areas", made, "--zones", earth, "--json"))
    assert hectares(values["zones"][0]["areas"]) == pytest.approx(hectares(values["areas"]))


def test_what_polygons_of_one_name_cover_counts_once(
    lcmap: Lcmap, write: WriteLabels, tmp_path: Path
) -> None:
    made = write("map.tif", np.full((60, 80), 1, np.uint8), gsd=2.0)
    one, other = star(40, 30, 25), star(45, 30, 25)
    zones = write_zones(tmp_path / "z.gpkg", [one, star(40, 30, 9), other], ["A", None, "A"])
    found = {
        zone["zone"]: hectares(zone["areas"])[1]
        for zone in printed(lcmap("areas", made, "--zones", zones, "--json"))["zones"]
    }
    assert found == pytest.approx(
        {
            "A": covered(shapely.union(one, other)).sum() / 1e4,
            "without a name 2": covered(star(40, 30, 9)).sum() / 1e4,
        },
        rel=1e-4,
    )


def test_codes_are_compared_where_a_map_does_not_name_its_classes(
    lcmap: Lcmap, write: WriteLabels
) -> None:
    named, bare = write("one.tif", codes(), classes=FLAIR7), write("other.tif", codes())
    assert "in another class: 0.00 ha (0.0 %)" in lcmap("areas", named, bare).stdout


def test_a_map_in_degrees(lcmap: Lcmap, write: WriteLabels, tmp_path: Path) -> None:
    step = 0.01
    made = write("map.tif", np.repeat([[1], [2]], [50, 50], axis=0).repeat(30, 1).astype(np.uint8),
                 crs="EPSG:4326", classes=FLAIR7,
                 transform=rasterio.Affine(step, 0, 3, 0, -step, 45))  # fmt: skip
    zones = write_zones(tmp_path / "z.gpkg", [shapely.box(3.005, 44.3, 3.1, 44.7)], None,
                        "EPSG:4326")  # fmt: skip
    values = printed(lcmap("areas", made, "--zones", zones, "--json"))
    assert values["pixel"] == "areas on the ellipsoid, row by row"

    def geodesic(west: float, south: float, east: float, north: float) -> float:
        xs = np.linspace(west, east, 300)
        lons, lats = np.append(xs, xs[::-1]), np.repeat([north, south], 300)
        return abs(Geod(ellps="WGS84").polygon_area_perimeter(lons, lats)[0]) / 1e4

    assert hectares(values["areas"]) == pytest.approx(
        {1: geodesic(3, 44.5, 3.3, 45), 2: geodesic(3, 44, 3.3, 44.5)}, rel=1e-6
    )
    (zone,) = values["zones"]
    assert zone["zone"] == "1"
    assert hectares(zone["areas"]) == pytest.approx(
        {1: geodesic(3.005, 44.5, 3.1, 44.7), 2: geodesic(3.005, 44.3, 3.1, 44.5)}, rel=1e-5
    )


def test_files_hold_what_is_printed(lcmap: Lcmap, write: WriteLabels, tmp_path: Path) -> None:
    made = write("map.tif", codes())
    for ending, option in (("csv", ["--csv"]), ("txt", [])):
        file = tmp_path / f"areas.{ending}"
        run = lcmap("areas", made, *option, "-o", file)
        assert run.exit_code == 0, run.stderr
        assert file.read_text(encoding="utf-8") == run.stdout
    run = lcmap("areas", made, "-o", tmp_path / "areas.json")
    assert run.exit_code == 0, run.stderr
    values = json.loads((tmp_path / "areas.json").read_text(encoding="utf-8"))
    assert [row["class"] for row in values["areas"]] == [*"1234567", "no class"]


def test_the_field_of_the_names_may_be_given(
    lcmap: Lcmap, write: WriteLabels, tmp_path: Path
) -> None:
    made = write("map.tif", codes(), gsd=2.0)
    zones = write_zones(tmp_path / "z.gpkg", [star(40, 30, 9)], ["34172"], field="code_insee")
    for option, name in (([], "1"), (["--zone-name", "code_insee"], "34172")):
        values = printed(lcmap("areas", made, "--zones", zones, "--json", *option))
        assert values["zones"][0]["zone"] == name


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        ("map.tif map.tif map.tif", 2, "3 maps are given"),
        ("map.tif --json --csv", 2, "standard output takes one form"),
        ("map.tif --zone-name nom", 2, "--zone-name: there are no zones; name them with --zones"),
        ("map.tif --zones z.gpkg --zone-name insee", 2, "insee: is no field of z.gpkg; it has nom"),
        ("map.tif --zones two.gpkg", 2, "name one as FILE:LAYER, of one, two"),
        ("map.tif --zones far.gpkg", 65, "no zone meets map.tif"),
        ("map.tif --zones nowhere.gpkg", 65, "does not say its coordinate reference system"),
        ("map.tif --zones lines.gpkg", 65, "has other geometries than polygons"),
        ("map.tif --zones none.gpkg", 66, "no such file"),
        ("map.tif moved.tif", 65, "moved.tif: is not on the grid of map.tif"),
        ("map.tif -o areas.xlsx", 2, "no form has this ending"),
        ("map.tif -o there.csv", 73, "exists already; --overwrite to replace it"),
        ("four.tif", 65, "not label codes"),
        ("map.tif --zones cut.fgb", 65, "holds no layer with geometry"),
        ("none.tif", 66, "no such file"),
    ],
)
def test_refused(
    lcmap: Lcmap, write: WriteLabels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    words: str, exit_code: int, said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write("map.tif", codes(), gsd=2.0)
    write("moved.tif", codes(), gsd=2.0, west=WEST + 1)
    write("four.tif", np.full((9, 9), -4, np.int16))
    write_zones(tmp_path / "z.gpkg", [star(40, 30, 9)], ["A"])
    write_zones(tmp_path / "far.gpkg", [star(4000, 30, 9)], ["A"])
    write_zones(tmp_path / "nowhere.gpkg", [star(40, 30, 9)], ["A"], None)
    pyogrio.raw.write(tmp_path / "whole.fgb", shapely.to_wkb(np.array([star(40, 30, 9)])), [], [],
                      geometry_type="Polygon", crs="EPSG:2154", driver="FlatGeobuf")  # fmt: skip
    whole = (tmp_path / "whole.fgb").read_bytes()
    (tmp_path / "cut.fgb").write_bytes(whole[: len(whole) // 2])
    write_zones(tmp_path / "lines.gpkg", [star(40, 30, 9).exterior], ["A"])
    for layer, append in (("one", False), ("two", True)):
        pyogrio.raw.write(tmp_path / "two.gpkg", shapely.to_wkb(np.array([star(40, 30, 9)])), [],
                          [], layer=layer, append=append, geometry_type="Polygon",
                          crs="EPSG:2154", driver="GPKG")  # fmt: skip
    (tmp_path / "there.csv").touch()
    run = lcmap("areas", *words.split())
    assert run.exit_code == exit_code, run.stderr
    assert said in run.stderr
    assert not run.stdout


@pytest.mark.parametrize("layer", ["", ":zones"])
@pytest.mark.parametrize("link", [False, True])
def test_what_is_read_is_not_replaced(
    lcmap: Lcmap, write: WriteLabels, tmp_path: Path, *, layer: str, link: bool
) -> None:
    made = write("map.tif", codes(), gsd=2.0)
    zones = write_zones(tmp_path / "zones.gpkg", [star(40, 30, 9)], ["A"])
    zones = zones.rename(tmp_path / "zones.json")
    output = tmp_path / "linked.json" if link else zones
    if link:
        output.hardlink_to(zones)
    before = zones.read_bytes()
    run = lcmap("areas", made, "--zones", f"{zones}{layer}", "-o", output, "--overwrite")
    assert (run.exit_code, run.stdout) == (2, "")
    assert run.stderr == f"lcmap: {output}: is one of the inputs; write to another file\n"
    assert zones.read_bytes() == before
