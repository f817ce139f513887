"""lcmap sample: probability samples of a map's pixels."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.warp import Resampling, reproject, transform, transform_bounds
from small_labels import WriteLabels, label_writer
from small_sample import read_points, write_points
from support import Run, undigested

from lcmap.dataset.tile_index import read_tile_index
from lcmap.nomenclature import load_nomenclature
from lcmap.products import sample

FLAIR7 = load_nomenclature("flair7")
Lcmap = Callable[..., Run]
AREA = 0.25
"""Of a pixel, in m²."""


@pytest.fixture
def write(tmp_path: Path) -> WriteLabels:
    return label_writer(tmp_path)


def codes() -> NDArray[np.uint8]:
    """Three classes of 60, 30 and 10 %, and ground without any."""
    rng = np.random.default_rng(0)
    found = rng.choice([1, 3, 5], (120, 200), p=[0.6, 0.3, 0.1]).astype(np.uint8)
    found[:20] = 0
    return found


@pytest.fixture
def land_cover(write: WriteLabels) -> Path:
    return write("map.tif", codes(), gsd=0.5, classes=FLAIR7)


def places(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], dict]:
    """Return the rows and the columns of points on the map's grid, and their fields."""
    points, fields = read_points(path)
    cols = (shapely.get_x(points) - 700_000) / 0.5 - 0.5
    rows = (6_250_000 - shapely.get_y(points)) / 0.5 - 0.5
    assert (cols == cols.round()).all() and (rows == rows.round()).all(), "centres of pixels"
    return rows.astype(int), cols.astype(int), fields


def test_points_in_strata(land_cover: Path, lcmap: Lcmap, tmp_path: Path) -> None:
    out = tmp_path / "p.gpkg"
    run = lcmap("sample", land_cover, "-o", out, "--design", "stratified", "--size", 400)
    assert run.exit_code == 0, run.stderr
    rows, cols, fields = places(out)
    assert len(set(zip(rows.tolist(), cols.tolist(), strict=True))) == 400
    assert (codes()[rows, cols] == fields["stratum"]).all()
    pixels = {code: int((codes() == code).sum()) for code in (1, 3, 5)}
    counts = {code: int((fields["stratum"] == code).sum()) for code in (1, 3, 5)}
    assert sum(counts.values()) == 400 and counts[5] == 50  # of 40 by area
    assert counts[1] == pytest.approx(2 * counts[3], abs=6)
    for code, name in ((1, "Building"), (3, "Bare soil"), (5, "Woody vegetation")):
        here = fields["stratum"] == code
        assert set(fields["stratum_name"][here]) == {name}
        assert set(fields["stratum_pixels"][here]) == {pixels[code]}
        assert set(fields["stratum_points"][here]) == {counts[code]}
        assert fields["inclusion_probability"][here] == pytest.approx(counts[code] / pixels[code])
    assert set(fields["pixel_area"]) == {AREA} and set(fields["design"]) == {"stratified"}
    assert set(fields["reference"]) == {None} and set(fields["note"]) == {None}
    assert fields["id"].tolist() == list(range(1, 401))
    assert (np.diff(fields["stratum"]) != 0).mean() > 0.3, "the order is not that of strata"
    assert "Woody vegetation" in run.stdout and "50" in run.stdout


def test_an_interpreter_picks_a_class_from_a_list(
    land_cover: Path, write: WriteLabels, lcmap: Lcmap, tmp_path: Path
) -> None:
    bare = write("bare.tif", codes(), gsd=0.5)
    for path, values in ((land_cover, [*FLAIR7.codes, 0]), (bare, [])):
        run = lcmap("sample", path, "-o", tmp_path / "p.gpkg", "--size", 60, "--overwrite")
        assert run.exit_code == 0, run.stderr
        with sqlite3.connect(tmp_path / "p.gpkg") as database:
            ((style,),) = database.execute("SELECT styleQML FROM layer_styles").fetchall()
        listed = ElementTree.fromstring(style).iterfind(".//Option[@name='map']/Option/Option")
        assert [int(pair.get("value") or "") for pair in listed] == list(values)
        assert "inclusion_probability" in style and "stratum_name" in style


def test_a_random_sample_and_a_grid(land_cover: Path, lcmap: Lcmap, tmp_path: Path) -> None:
    total = int((codes() > 0).sum())
    out = tmp_path / "r.gpkg"
    assert lcmap("sample", land_cover, "-o", out, "--design", "random", "--size", 90).exit_code == 0
    rows, cols, fields = places(out)
    assert len(rows) == 90 and (codes()[rows, cols] > 0).all()
    assert set(fields["stratum"]) == {0} and set(fields["stratum_pixels"]) == {total}
    assert fields["inclusion_probability"] == pytest.approx(90 / total)
    out = tmp_path / "s.gpkg"
    run = lcmap("sample", land_cover, "-o", out, "--design", "systematic", "--size", 200)
    assert run.exit_code == 0, run.stderr
    rows, cols, fields = places(out)
    step = 10  # 20 000 pixels for 200 points
    assert set(np.unique(np.diff(np.unique(rows)))) == {step}
    assert set(np.unique(np.diff(np.unique(cols)))) == {step}
    assert set(fields["inclusion_probability"]) == {1 / step**2}
    assert len(rows) == 200 == fields["stratum_points"][0]


def test_the_same_seed_makes_the_same_bytes_whatever_the_blocks(
    land_cover: Path, lcmap: Lcmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But the pixels of a rank depend on the order of blocks, so that is part of the draw."""
    given = ["sample", land_cover, "--size", 60, "--seed", 4]
    for name in ("a.gpkg", "b.gpkg"):
        assert lcmap(*given, "-o", tmp_path / name).exit_code == 0
    assert undigested(tmp_path / "a.gpkg") == undigested(tmp_path / "b.gpkg")
    assert lcmap(*given[:-1], 5, "-o", tmp_path / "c.gpkg").exit_code == 0
    assert undigested(tmp_path / "a.gpkg") != undigested(tmp_path / "c.gpkg")
    monkeypatch.setattr(sample, "BLOCK", 32)
    assert lcmap(*given, "-o", tmp_path / "d.gpkg").exit_code == 0
    rows, cols, fields = places(tmp_path / "d.gpkg")
    assert (codes()[rows, cols] == fields["stratum"]).all() and len(rows) == 60


def test_strata_of_another_raster_on_another_grid(
    land_cover: Path, write: WriteLabels, lcmap: Lcmap, tmp_path: Path
) -> None:
    halves = np.repeat([[2, 4]], 40, axis=0).repeat(50, axis=1).astype(np.uint8)
    strata = write("strata.tif", halves, gsd=1.0, classes=FLAIR7)  # half as long: 40 m of 60
    out = tmp_path / "p.gpkg"
    run = lcmap("sample", land_cover, "-o", out, "--strata", strata, "--size", 100)
    assert run.exit_code == 0, run.stderr
    rows, cols, fields = places(out)
    assert rows.max() < 80 and (codes()[rows, cols] > 0).all()
    assert (np.where(cols < 100, 2, 4) == fields["stratum"]).all()
    assert set(fields["stratum_pixels"]) == {60 * 100}
    assert "8 000 pixels of the map are in no stratum: figures will be of the rest" in run.stdout


def test_as_many_points_as_a_standard_error_takes(
    land_cover: Path, lcmap: Lcmap, tmp_path: Path
) -> None:
    out = tmp_path / "p.gpkg"
    run = lcmap(
        "sample", land_cover, "-o", out, "--target-se", 0.02, "--expected", "0.9,Bui=0.7",
        "--minimum", 2,
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    _, _, fields = places(out)
    shares = np.array([(codes() == code).sum() for code in (1, 3, 5)]) / (codes() > 0).sum()
    variance = shares @ (np.array([0.7, 0.9, 0.9]) * np.array([0.3, 0.1, 0.1]))
    assert len(fields["id"]) == pytest.approx(variance / (0.02**2 + variance / 20_000), abs=1)
    assert "2.0" in run.stdout or "1.99" in run.stdout


@pytest.mark.parametrize("options", [[], ["--minimum", 60], ["--allocation", "equal"]])
def test_the_standard_error_counts_the_minima_of_strata(
    options: list[object], write: WriteLabels, lcmap: Lcmap, tmp_path: Path
) -> None:
    """Two large classes and five rare ones: minima take nothing off what the large ones need."""
    mixed = np.random.default_rng(0).choice(7, (150, 200), p=[0.55, 0.35, *[0.02] * 5])
    land = write("seven.tif", (mixed + 1).astype(np.uint8), classes=FLAIR7)
    run = lcmap("sample", land, "-o", tmp_path / "p.gpkg", "--target-se", 0.02, *options)
    assert run.exit_code == 0, run.stderr
    assert "standard error of about 2.00 %" in run.stdout


@pytest.fixture
def tiles(land_cover: Path, lcmap: Lcmap, tmp_path: Path) -> Path:
    """A tile index of an image on the map's grid."""
    image = tmp_path / "image.tif"
    with rasterio.open(land_cover) as dataset:
        profile = dataset.profile
    with rasterio.open(image, "w", **profile) as dataset:
        dataset.write(np.maximum(codes(), 1), 1)
    index = tmp_path / "t.geojson"
    made = lcmap(
        "prepare", image, "--labels", land_cover, "--tiles", index, "--tile-size", 20, "--gap", 0,
        "-o", tmp_path / "stack.tif",
    )  # fmt: skip
    assert made.exit_code == 0, made.stderr
    return index


def seen_pixels(index: Path) -> NDArray[np.bool_]:
    """Return which pixels of the map are in tiles that a model has seen."""
    seen = np.zeros(codes().shape, bool)
    for tile in read_tile_index(index).tiles:
        if tile.split != "test":
            seen[tile.window.slices] = True
    return seen


def interpreted(drawn: Path, target: Path, crs: str = "EPSG:2154") -> Path:
    """Write points with one class as the reference of all."""
    points, columns = read_points(drawn)
    return write_points(
        target, points, columns | {"reference": np.full(len(points), "Bui", object)}, crs
    )


def test_tiles_that_a_model_has_seen_are_left_out(
    land_cover: Path, tiles: Path, lcmap: Lcmap, tmp_path: Path
) -> None:
    out = tmp_path / "p.gpkg"
    run = lcmap("sample", land_cover, "-o", out, "--size", 300, "--tiles", tiles)
    assert run.exit_code == 0, run.stderr
    seen = seen_pixels(tiles)
    rows, cols, fields = places(out)
    assert not seen[rows, cols].any()
    rest = int(((codes() > 0) & ~seen).sum())
    assert sum(set(fields["stratum_pixels"])) == rest
    assert "left out" in run.stdout
    # what was drawn so is accepted, what was not is refused
    filled = interpreted(out, tmp_path / "filled.gpkg")
    done = lcmap("score", land_cover, "--sample", filled, "--tiles", tiles)
    assert done.exit_code == 0, done.stderr
    other = tmp_path / "o.gpkg"
    assert lcmap("sample", land_cover, "-o", other, "--size", 300).exit_code == 0
    bad = interpreted(other, tmp_path / "bad.gpkg")
    refused = lcmap("score", land_cover, "--sample", bad, "--tiles", tiles)
    assert refused.exit_code == 65 and "train tiles" in refused.stderr


def test_tiles_of_an_image_in_another_system_are_left_out(
    land_cover: Path, tiles: Path, write: WriteLabels, lcmap: Lcmap, tmp_path: Path
) -> None:
    utm = "EPSG:32631"
    with rasterio.open(land_cover) as dataset:
        west, _, _, north = transform_bounds(dataset.crs, utm, *dataset.bounds)
        there = rasterio.Affine(0.5, 0, west, 0, -0.5, north)
        turned = np.zeros((140, 220), np.uint8)
        reproject(
            codes(), turned, src_transform=dataset.transform, src_crs=dataset.crs,
            dst_transform=there, dst_crs=utm, resampling=Resampling.nearest,
        )  # fmt: skip
        back = ~dataset.transform
    other = write("utm.tif", turned, crs=utm, transform=there, classes=FLAIR7)
    out = tmp_path / "p.gpkg"
    run = lcmap("sample", other, "-o", out, "--design", "random", "--size", 400, "--tiles", tiles)
    assert run.exit_code == 0, run.stderr
    assert "left out" in run.stdout
    points, _ = read_points(out)
    x, y = transform(utm, "EPSG:2154", shapely.get_x(points), shapely.get_y(points))
    cols, rows = back @ (np.array(x), np.array(y))
    inside = (rows >= 0) & (rows < 120) & (cols >= 0) & (cols < 200)
    seen = seen_pixels(tiles)
    assert not seen[rows[inside].astype(int), cols[inside].astype(int)].any()
    # either map may be scored by either sample
    here = tmp_path / "h.gpkg"
    assert lcmap("sample", land_cover, "-o", here, "--size", 90, "--tiles", tiles).exit_code == 0
    for filled in (
        interpreted(out, tmp_path / "out.filled.gpkg", utm),
        interpreted(here, tmp_path / "here.filled.gpkg"),
    ):
        done = lcmap("score", land_cover, "--sample", filled, "--tiles", tiles)
        assert done.exit_code == 0, done.stderr
    assert lcmap("sample", other, "-o", out, "--size", 300, "--overwrite").exit_code == 0
    bad = interpreted(out, tmp_path / "bad.gpkg", utm)
    refused = lcmap("score", other, "--sample", bad, "--tiles", tiles)
    assert refused.exit_code == 65 and "train tiles" in refused.stderr


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ([], 2, "--size: or --target-se says how many points; give one of them"),
        (["--size", 5, "--target-se", 0.1], 2, "--size"),
        (["--size", 1], 2, "--size 1: tells no variance"),
        (["--size", 20, "--minimum", 10], 2, "too few for 3 strata of 10 points"),
        (["--size", 20, "--minimum", 1], 2, "--minimum 1: tells no variance"),
        (["--size", 99_999], 2, "more than the 20000 pixels"),
        (["--target-se", 2], 2, "--target-se 2: is no standard error"),
        (["--size", 60, "--expected", "Moon=0.9"], 2, "names no class of"),
        (["--size", 60, "--expected", "1.5"], 2, "is no accuracy"),
        (["--size", 60, "--design", "random", "--minimum", 5], 2, "--minimum: is of strata"),
        (["--size", 60, "--strata", "none.tif"], 66, "none.tif"),
        (["--size", 60, "--tiles", "none.geojson"], 66, "none.geojson"),
    ],
)
def test_what_is_refused(
    options: list[object], code: int, says: str, land_cover: Path, lcmap: Lcmap, tmp_path: Path
) -> None:
    run = lcmap("sample", land_cover, "-o", tmp_path / "p.gpkg", *options)
    assert run.exit_code == code and says in run.stderr, run.stderr
    assert not (tmp_path / "p.gpkg").exists()


def test_outputs_that_cannot_be(land_cover: Path, lcmap: Lcmap, tmp_path: Path) -> None:
    run = lcmap("sample", land_cover, "-o", tmp_path / "p.shp", "--size", 60)
    assert run.exit_code == 2 and "end its name in .gpkg" in run.stderr
    (tmp_path / "p.gpkg").write_text("of somebody")
    run = lcmap("sample", land_cover, "-o", tmp_path / "p.gpkg", "--size", 60)
    assert run.exit_code == 73 and (tmp_path / "p.gpkg").read_text() == "of somebody"


def test_a_map_without_classes_has_nothing_to_draw(
    write: WriteLabels, lcmap: Lcmap, tmp_path: Path
) -> None:
    empty = write("empty.tif", np.zeros((30, 30), np.uint8), classes=FLAIR7)
    run = lcmap("sample", empty, "-o", tmp_path / "p.gpkg", "--size", 60)
    assert run.exit_code == 65 and "has no pixel to draw" in run.stderr
