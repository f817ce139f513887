"""lcmap score --sample: estimates from a probability sample, as a user gets them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from rasterio import Affine
from small_labels import WriteLabels, label_writer
from small_sample import (
    STEHMAN_MAP,
    STEHMAN_REFERENCE,
    STEHMAN_SIZES,
    STEHMAN_STRATA,
    filled_in,
    indices,
    read_points,
    write_points,
)
from support import Run

from lcmap.nomenclature import load_nomenclature

FLAIR7 = load_nomenclature("flair7")
TRANSFORM = Affine(1, 0, 700_000, 0, -1, 6_250_000)
Lcmap = Callable[..., Run]


@pytest.fixture
def write(tmp_path: Path) -> WriteLabels:
    return label_writer(tmp_path)


def stehman_columns(**other: Any) -> dict[str, Any]:
    strata = indices(STEHMAN_STRATA)
    names = [FLAIR7.classes[k].short for k in indices(STEHMAN_REFERENCE)]
    columns = {
        "stratum": strata, "inclusion_probability": 10 / STEHMAN_SIZES[strata],
        "reference": names, "pixel_area": np.full(40, 100.0),
    }  # fmt: skip
    return {name: value for name, value in (columns | other).items() if value is not None}


def pixel_centres(rows: NDArray[Any], cols: NDArray[Any]) -> Any:
    x, y = TRANSFORM @ (cols + 0.5, rows + 0.5)
    return shapely.points(x, y)


@pytest.fixture
def points(tmp_path: Path) -> Callable[..., Path]:
    """Write the points of Stehman's example with fields changed, None: without them."""

    def make(**other: Any) -> Path:
        places = pixel_centres(np.zeros(40), np.arange(40))
        return write_points(tmp_path / "points.gpkg", places, stehman_columns(**other))

    return make


@pytest.fixture
def land_cover(write: WriteLabels) -> Path:
    return write("map.tif", (1 + indices(STEHMAN_MAP)[None]).astype(np.uint8), classes=FLAIR7)


def test_the_example_of_stehman_2014(
    land_cover: Path, points: Callable[..., Path], lcmap: Lcmap, tmp_path: Path
) -> None:
    out = tmp_path / "s.json"
    run = lcmap("score", land_cover, "--sample", points(), "-o", out, "-o", tmp_path / "s.csv")
    assert run.exit_code == 0, run.stderr
    found = json.loads(out.read_text())
    first, third = found["areas"][0], found["areas"][2]
    assert [first["share"][k] for k in ("value", "se")] == pytest.approx([0.35, 0.0822], abs=5e-5)
    assert [third["share"][k] for k in ("value", "se")] == pytest.approx([0.20, 0.0643], abs=5e-5)
    # 100 000 pixels of 100 m²
    assert first["hectares"]["value"] == pytest.approx(350)
    assert first["hectares"]["se"] == pytest.approx(82.2, abs=0.05)
    assert first["hectares"]["high"] == pytest.approx(350 + 1.959964 * first["hectares"]["se"])
    (own,) = found["maps"]
    assert [own["overall"]["oa"][k] for k in ("value", "se")] == pytest.approx(
        [0.63, 0.0846], abs=5e-5
    )
    second = own["classes"][1]
    assert [second["users"][k] for k in ("value", "se")] == pytest.approx(
        [0.5745, 0.1248], abs=5e-5
    )
    assert [second["producers"][k] for k in ("value", "se")] == pytest.approx(
        [0.7941, 0.1165], abs=5e-5
    )
    assert np.sum(own["points"]) == 40 and np.sum(own["shares"]) == pytest.approx(1)
    # IoU is of the same shares
    shares = np.array(own["shares"])
    union = shares[1].sum() + shares[:, 1].sum() - shares[1, 1]
    assert second["iou"]["value"] == pytest.approx(shares[1, 1] / union)
    assert second["iou"]["low"] < second["iou"]["value"] < second["iou"]["high"]
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    oa = next(row for row in rows if row["measure"] == "oa")
    assert (oa["map"], oa["value"], oa["se"][:6]) == ("map", "0.630000", "0.0846")
    assert "63.0 ± 16.6" in run.stdout and "Stehman 2014" in run.stdout


def test_from_the_draw_to_the_estimate(write: WriteLabels, lcmap: Lcmap, tmp_path: Path) -> None:
    """A census of a small map gives what `score` counts, without errors."""
    rng = np.random.default_rng(0)
    truth = rng.integers(1, 4, (20, 30)).astype(np.uint8)
    codes = np.where(rng.random(truth.shape) < 0.2, rng.integers(1, 4, truth.shape), truth)
    one = write("map.tif", codes.astype(np.uint8), classes=FLAIR7)
    reference = write("ref.tif", truth, classes=FLAIR7)
    drawn = tmp_path / "drawn.gpkg"
    assert lcmap("sample", one, "-o", drawn, "--size", truth.size).exit_code == 0
    filled = filled_in(drawn, tmp_path / "filled.gpkg", truth, TRANSFORM)
    run = lcmap("score", one, reference, "--sample", filled, "--json")
    assert run.exit_code == 0, run.stderr
    estimated = json.loads(run.stdout)
    counted = json.loads(lcmap("score", one, "--reference", reference, "--json").stdout)
    for measure in ("oa", "miou", "mf1"):
        found = estimated["maps"][0]["overall"][measure]["value"]
        assert found == pytest.approx(counted["maps"][0]["overall"][measure]["value"])
    for k in range(3):
        land = estimated["maps"][0]["classes"][k]
        expected = counted["maps"][0]["classes"][k]
        for measure, other in (("users", "precision"), ("producers", "recall"), ("iou", "iou")):
            assert land[measure]["value"] == pytest.approx(expected[other]["value"])
        assert land["users"]["se"] == 0
        assert estimated["areas"][k]["hectares"]["value"] == pytest.approx(
            (truth == k + 1).sum() / 10_000
        )
    difference = estimated["maps"][1]["difference"]
    assert difference["minus"] == "map"
    assert difference["overall"]["oa"]["value"] == pytest.approx((codes != truth).mean())


def test_accuracies_of_a_map_in_degrees_are_shares_of_area(
    write: WriteLabels, lcmap: Lcmap, tmp_path: Path
) -> None:
    """A census from 65° N to the equator, right in the north alone, where pixels are small."""
    codes = np.repeat([[3], [1]], 20, axis=0).repeat(10, axis=1).astype(np.uint8)
    place = Affine(1, 0, 0, 0, -65 / 40, 65)
    land = write("map.tif", codes, crs="EPSG:4326", transform=place, classes=FLAIR7)
    drawn = tmp_path / "drawn.gpkg"
    assert lcmap("sample", land, "-o", drawn, "--size", codes.size).exit_code == 0
    points, columns = read_points(drawn)
    filled = write_points(
        tmp_path / "f.gpkg", points, columns | {"reference": np.full(400, "3", object)}, "EPSG:4326"
    )
    run = lcmap("score", land, "--sample", filled, "--json")
    assert run.exit_code == 0, run.stderr
    found = json.loads(run.stdout)["maps"][0]
    area = columns["pixel_area"]
    north = area[columns["stratum"] == 3].sum() / area.sum()
    assert north == pytest.approx(np.sin(np.radians(65)) ** -1 * (
        np.sin(np.radians(65)) - np.sin(np.radians(32.5))), abs=3e-3)  # fmt: skip
    assert found["overall"]["oa"]["value"] == pytest.approx(north)
    assert found["classes"][2]["producers"]["value"] == pytest.approx(north)
    assert found["classes"][2]["iou"]["value"] == pytest.approx(north)
    assert found["shares"][2][2] == pytest.approx(north)


def test_a_class_of_one_pixel_is_drawn_and_scored(
    write: WriteLabels, lcmap: Lcmap, tmp_path: Path
) -> None:
    codes = np.random.default_rng(0).choice([1, 3], (40, 50)).astype(np.uint8)
    codes[20, 20] = 7
    land = write("map.tif", codes, classes=FLAIR7)
    drawn = tmp_path / "drawn.gpkg"
    run = lcmap("sample", land, "-o", drawn, "--size", 200)
    assert run.exit_code == 0, run.stderr
    assert "standard error of about 2" in run.stdout
    truth = np.where(codes == 7, 7, 1).astype(np.uint8)
    filled = filled_in(drawn, tmp_path / "filled.gpkg", truth, TRANSFORM)
    run = lcmap("score", land, "--sample", filled, "--json")
    assert run.exit_code == 0, run.stderr
    rare = json.loads(run.stdout)["maps"][0]["classes"][6]
    assert (rare["users"]["value"], rare["users"]["se"]) == (1, 0)
    assert (rare["iou"]["low"], rare["iou"]["high"]) == (1, 1)


def test_classes_are_joined_by_crosswalks_and_unreadable_points_left_out(
    land_cover: Path, points: Callable[..., Path], lcmap: Lcmap, tmp_path: Path
) -> None:
    (tmp_path / "two.toml").write_text(
        'name = "two"\ntitle = "two"\n[[classes]]\ncode = 1\nname = "Built"\nshort = "B"\n'
        'color = "#ff0000"\n[[classes]]\ncode = 2\nname = "Open"\nshort = "O"\ncolor = "#00ff00"\n'
    )
    (tmp_path / "join.toml").write_text(
        'source = "flair7"\ntarget = "two.toml"\n[classes]\n'
        + "".join(f'"{land.name}" = {1 if land.code < 3 else 2}\n' for land in FLAIR7.classes)
    )
    given = ["score", land_cover, "--crosswalk", tmp_path / "join.toml",
             "--reference-crosswalk", tmp_path / "join.toml", "--json"]  # fmt: skip
    run = lcmap(*given, "--sample", points())
    assert run.exit_code == 0, run.stderr
    found = json.loads(run.stdout)
    both = np.isin(indices(STEHMAN_REFERENCE), [0, 1])
    weights = STEHMAN_SIZES[indices(STEHMAN_STRATA)] / 10
    assert [land["name"] for land in found["areas"]] == ["Built", "Open"]
    assert found["areas"][0]["share"]["value"] == pytest.approx(weights[both].sum() / 100_000)
    names = [FLAIR7.classes[k].short for k in indices(STEHMAN_REFERENCE)]
    names[0] = "0"
    run = lcmap(*given, "--sample", points(reference=names))
    found = json.loads(run.stdout)
    assert found["sample"]["without_class"] == 1
    assert sum(land["share"]["value"] for land in found["areas"]) == pytest.approx(1)
    assert found["areas"][0]["share"]["value"] == pytest.approx(
        weights[both][1:].sum() / (100_000 - weights[0])
    )


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"inclusion_probability": None}, "lacks the field inclusion_probability"),
        ({"stratum": None, "reference": None}, "lacks the field stratum, reference"),
        ({"inclusion_probability": [0.0] * 40}, "40 points have no inclusion_probability"),
        ({"inclusion_probability": [2.0] * 40}, "above 1"),
        ({"stratum_pixels": [40_000] * 10 + [30_000] * 10 + [20_000] * 10 + [9_000] * 10},
         "9 were drawn"),
        ({"inclusion_probability": [1e-4] * 39 + [1e-3]}, "more than one inclusion_probability"),
        ({"stratum": [0] * 10 + [1] * 10 + [2] * 10 + [3] * 9 + [4]}, "has one point in 4"),
        ({"reference": ["Bui"] * 39 + [" "]}, "1 of 40 points have no reference; fill in"),
        ({"reference": ["Bui"] * 38 + ["Moon", "99"]}, "holds Moon, 99, no class of flair7"),
    ],
)  # fmt: skip
def test_what_breaks_the_design_is_refused(
    changed: dict[str, Any], says: str, land_cover: Path, points: Callable[..., Path], lcmap: Lcmap
) -> None:
    run = lcmap("score", land_cover, "--sample", points(**changed))
    assert run.exit_code == 65 and says in run.stderr, run.stderr


def test_points_that_were_removed_are_missed(
    land_cover: Path, lcmap: Lcmap, tmp_path: Path
) -> None:
    drawn = tmp_path / "drawn.gpkg"
    assert lcmap("sample", land_cover, "-o", drawn, "--size", 20).exit_code == 0
    places, columns = read_points(drawn)
    columns["reference"] = np.full(20, "1", object)
    rest = {name: column[1:] for name, column in columns.items()}
    cut = write_points(tmp_path / "cut.gpkg", places[1:], rest)
    run = lcmap("score", land_cover, "--sample", cut)
    assert run.exit_code == 65 and "were drawn by their inclusion_probability" in run.stderr


@pytest.mark.parametrize("cut", [False, True])
def test_the_first_points_of_a_random_sample_are_one(
    cut: bool, write: WriteLabels, lcmap: Lcmap, tmp_path: Path
) -> None:
    """Left in the file without a reference, or cut off; but no others."""
    codes = np.random.default_rng(0).choice([1, 3], (40, 50)).astype(np.uint8)
    land = write("map.tif", codes, classes=FLAIR7)
    drawn = tmp_path / "drawn.gpkg"
    for design in ("random", "stratified"):
        run = lcmap("sample", land, "-o", drawn, "--size", 200, "--design", design, "--overwrite")
        assert run.exit_code == 0, run.stderr
        places, columns = read_points(drawn)
        for first, good in ((slice(0, 80), design == "random"), (slice(1, 81), False)):
            fields = {name: column.copy() for name, column in columns.items()}
            fields["reference"][first] = "1"
            file = tmp_path / f"{design}{first.start}.gpkg"
            if cut:
                fields = {name: column[first] for name, column in fields.items()}
            # in whatever order a GIS writes them
            order = np.random.default_rng(1).permutation(len(fields["id"]))
            fields = {name: column[order] for name, column in fields.items()}
            write_points(file, (places[first] if cut else places)[order], fields)
            run = lcmap("score", land, "--sample", file, "--json")
            if not good:
                problem = "200 were drawn" if design == "random" else "were drawn"
                assert run.exit_code == 65, run.stdout
                assert (problem if cut else "120 of 200 points have no ref") in run.stderr
                continue
            assert run.exit_code == 0, run.stderr
            assert "the first 80 of 200 points count" in run.stderr
            found = json.loads(run.stdout)
            assert found["sample"]["points"] == 80
            assert found["areas"][0]["hectares"]["value"] == pytest.approx(0.2)


def test_a_code_of_no_label_in_one_part_hides_no_class_of_another(
    write: WriteLabels, points: Callable[..., Path], lcmap: Lcmap
) -> None:
    codes = (1 + indices(STEHMAN_MAP)[None]).astype(np.uint8)
    west = np.arange(40) < 20  # 255 is no label in oso23
    write("parts/a.tif", np.where(west, codes, np.uint8(255)))
    parts = write("parts/b.tif", np.where(west, np.uint8(255), codes)).parent
    sample = points(reference=(1 + indices(STEHMAN_REFERENCE)).astype(str))
    found = []
    for given in (write("map.tif", codes), parts):
        run = lcmap("score", given, "--sample", sample, "--nomenclature", "oso23", "--json")
        assert run.exit_code == 0, run.stderr
        found.append(json.loads(run.stdout)["maps"][0]["points"])
    assert found[0] == found[1]


def test_every_part_of_a_map_names_the_classes_that_it_is_read_in(
    write: WriteLabels, points: Callable[..., Path], lcmap: Lcmap
) -> None:
    codes = np.ones((1, 20), np.uint8)
    parts = write("parts/a.tif", codes, classes=FLAIR7).parent
    other = load_nomenclature("topo6")
    write("parts/b.tif", codes, west=700_020.0, classes=other)
    for options in ([], ["--nomenclature", "flair7"]):
        run = lcmap("score", parts, "--sample", points(), *options)
        assert run.exit_code == 65, run.stdout
        assert "b.tif: says that its classes are topo6, not flair7" in run.stderr


def test_other_geometries_other_ground_and_other_systems(
    land_cover: Path, lcmap: Lcmap, tmp_path: Path
) -> None:
    places, columns = pixel_centres(np.zeros(40), np.arange(40)), stehman_columns()
    lines = write_points(tmp_path / "boxes.gpkg", shapely.buffer(places, 1), columns)
    run = lcmap("score", land_cover, "--sample", lines)
    assert run.exit_code == 65 and "other geometries than points" in run.stderr
    away = write_points(tmp_path / "away.gpkg", pixel_centres(np.ones(40), np.arange(40)), columns)
    run = lcmap("score", land_cover, "--sample", away)
    assert run.exit_code == 65 and "40 of 40 points are outside map" in run.stderr
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        nowhere = write_points(tmp_path / "nowhere.gpkg", places, columns, crs=None)
    run = lcmap("score", land_cover, "--sample", nowhere)
    assert run.exit_code == 65 and "coordinate reference system" in run.stderr
    from pyproj import Transformer

    to = Transformer.from_crs(2154, 4326, always_xy=True)
    degrees = shapely.points(*to.transform(shapely.get_x(places), shapely.get_y(places)))
    other = write_points(tmp_path / "degrees.gpkg", degrees, columns, crs="EPSG:4326")
    run = lcmap("score", land_cover, "--sample", other, "--json")
    assert run.exit_code == 0, run.stderr
    assert json.loads(run.stdout)["maps"][0]["overall"]["oa"]["value"] == pytest.approx(0.63)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--reference", "map.tif"], "--sample: stands in place of --reference; give one of them"),
        (["--split", "test"], "--split: chooses ground, which the sample did"),
        (["--block", 64], "--block: is of a reference raster's pixels"),
        (["--classes", "1"], "--classes: would leave out points"),
        (["--ignore-unclassified"], "--ignore-unclassified: would leave out points"),
        (["-o", "x.pdf"], "no form has this ending"),
    ],
)
def test_options_that_contradict_a_sample(
    options: list[object], says: str, land_cover: Path, points: Callable[..., Path], lcmap: Lcmap
) -> None:
    run = lcmap("score", land_cover, "--sample", points(), *options)
    assert run.exit_code == 2 and says in run.stderr, run.stderr
    run = lcmap("score", land_cover)
    assert run.exit_code == 2 and "name labels, or a --sample" in run.stderr


def test_half_of_an_interval_is_that_of_the_error_where_it_is_cut(
    write: WriteLabels, lcmap: Lcmap, tmp_path: Path
) -> None:
    """Of five points three are right: 60 % with a standard error of 24.5 is from 12 to 108 %."""
    land = write("map.tif", np.full((1, 5), 1, np.uint8), classes=FLAIR7)
    columns = {
        "stratum": np.zeros(5, int), "inclusion_probability": np.full(5, 1e-9),
        "reference": list("11133"),
    }  # fmt: skip
    sample = write_points(tmp_path / "s.gpkg", pixel_centres(np.zeros(5), np.arange(5)), columns)
    for options, half in ((["--level", 95], "60.0 ± 48.0"), (["--level", 99.9], "60.0 ± 80.6")):
        run = lcmap("score", land, "--sample", sample, *options)
        assert run.exit_code == 0, run.stderr
        assert half in run.stdout and "60.0  24.5  " + half.split()[-1] in run.stdout


def test_a_point_on_which_a_class_hangs_is_warned_of(
    land_cover: Path, points: Callable[..., Path], lcmap: Lcmap
) -> None:
    names = [FLAIR7.classes[k].short for k in indices(STEHMAN_STRATA)]
    names[0] = names[39]  # one of the rare stratum's class in the largest: 4 000 pixels of 13 000
    run = lcmap("score", land_cover, "--sample", points(reference=names))
    assert run.exit_code == 0, run.stderr
    assert "one point in 0 stands for 29 % of the area of Water" in run.stderr
    assert run.stderr.count("stands for") == 1
