"""Series of dates as a user prepares, trains and maps with them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from support import PROJECT, Run, run_lcmap, write_raster

from lcmap.model_file import read_model

Lcmap = Callable[..., Run]

SIDE = 96
WEST, NORTH = 721_104.0, 6_249_288.0
BANDS = ("B4", "B8")
FIELDS = np.kron(np.random.default_rng(0).integers(0, 2, (6, 6)), np.ones((16, 16), int))
"""What grows where, of 5 m: a crop of spring, or one of summer."""

IN_TRAINING = ("2018-04-20", "2018-05-25", "2018-07-30", "2018-09-01")
ELSEWHEN = ("2021-04-02", "2021-05-11", "2021-06-28", "2021-07-20", "2021-08-19")


def green(day: str) -> NDArray[np.float64]:
    """Return how green each crop is on a day: at most early in May, or in August."""
    month = int(day[5:7]) + int(day[8:]) / 30
    return np.exp(-(((month - np.array([5.0, 8.3])) / 1.2) ** 2))


def write_date(folder: Path, day: str, *, clouds: bool = False, **changes: Any) -> Path:
    """Write a date of 10 m that reaches beyond the fields on all sides."""
    random = np.random.default_rng(int(day.replace("-", "")))
    cells = np.pad(FIELDS[::2, ::2], 3, mode="reflect")
    share = green(day)[cells]
    image = np.stack([1800 - 1300 * share, 2000 + 2200 * share])
    image = (image + random.normal(0, 60, image.shape)).astype(np.uint16)
    if clouds:
        image[:, :, 10:] = 0
    corner = (WEST - 30, NORTH + 30)
    given: dict[str, Any] = {"pixel": 10.0, "corner": corner, "names": BANDS, "nodata": 0} | changes
    folder.mkdir(exist_ok=True)
    return write_raster(folder / f"s2_{day}.tif", given.pop("image", image), **given)


class Made(NamedTuple):
    """A folder with an image, its index with a series beside it, and a model trained on it."""

    folder: Path
    image: Path
    index: Path
    model: Path


def ok(done: Run) -> Run:
    assert done.exit_code == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("series")
    place = {"corner": (WEST, NORTH), "pixel": 5.0}
    pixels = np.random.default_rng(1).integers(90, 110, (2, SIDE, SIDE)).astype(np.uint8)
    image = write_raster(folder / "image.tif", pixels, names=("red", "nir"), **place)
    labels = write_raster(folder / "labels.tif", (1 + FIELDS[None]).astype(np.uint8), **place)
    for day in IN_TRAINING:
        write_date(folder / "2018", day)
    for day in ELSEWHEN:
        write_date(folder / "2021", day)
    index, model = folder / "tiles.geojson", folder / "model.onnx"
    ok(run_lcmap(
        "prepare", image, "--labels", labels, "--nomenclature", "flair7", "--tiles", index,
        "--side", f"{folder}/2018/*.tif:series", "--tile-size", 32, "--gap", 0,
        "-o", folder / "stack.tif",
    ))  # fmt: skip
    ok(run_lcmap(
        "train", index, "-o", model, "--width", 8, "--depth", 1, "--batch-size", 4,
        "--epochs", 6, "--seed", 2, "--stac",
    ))  # fmt: skip
    return Made(folder, folder / "stack.tif", index, model)


def fused(made: Made, output: Path, series: object, *options: object) -> NDArray[np.uint8]:
    ok(run_lcmap("fuse", made.image, series, "-m", made.model, "-o", output, *options))
    return read(output)


def read(path: Path, band: int | None = 1) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        found: NDArray[Any] = dataset.read(band)
    return found


def test_index_lists_the_dates_by_day(made: Made) -> None:
    document = json.loads(made.index.read_text())
    assert document["lcmap"]["sides"] == [{"kind": "series", "nomenclature": None, "level": 1}]
    (series,) = document["features"][0]["properties"]["sides"]
    assert series == [f"2018/s2_{day}.tif" for day in IN_TRAINING]


def test_model_says_nothing_of_the_number_of_dates(made: Made) -> None:
    _, series = read_model(made.model).inputs
    assert (series.kind, series.bands, series.dtype, series.level) == ("series", BANDS, "uint16", 1)
    assert (series.gsd, series.normalisation) == (10.0, "training-quantiles-2-98")
    own = []
    for day in IN_TRAINING:
        with rasterio.open(made.folder / "2018" / f"s2_{day}.tif") as dataset:
            own.append(np.quantile(dataset.read(), (0.02, 0.98), axis=(1, 2)).T)
    assert np.array(series.quantiles) == pytest.approx(np.mean(own, axis=0))


def test_any_dates_tell_what_grows(made: Made, tmp_path: Path) -> None:
    for name, series, right in (
        ("trained", made.folder / "2018", 0.85),
        ("others", f"{made.folder}/2021/*.tif:series", 0.85),
        ("one", made.folder / "2021" / "s2_2021-08-19.tif", 0.6),
    ):
        codes = fused(made, tmp_path / f"{name}.tif", series)
        assert (codes == 1 + FIELDS).mean() > right, name


def test_order_of_the_dates_makes_no_difference(made: Made, tmp_path: Path) -> None:
    """Files are ordered by their days; renamed to other years, the same days come otherwise."""
    turned = tmp_path / "turned"
    turned.mkdir()
    for year, day in zip(range(2024, 2018, -1), ELSEWHEN, strict=False):
        source = made.folder / "2021" / f"s2_{day}.tif"
        shutil.copy(source, turned / f"s2_{year}{day[4:]}.tif")
    options = "--probabilities", tmp_path / "p.tif", "--overwrite"
    found = []
    for series in (made.folder / "2021", turned):
        fused(made, tmp_path / "map.tif", series, *options)
        with rasterio.open(tmp_path / "p.tif") as dataset:
            found.append(dataset.read())
    assert not (found[0] == found[1]).all()  # 2024 is a leap year
    assert np.abs(found[0] - found[1]).max() < 0.05


def test_clouds_hide_a_date_alone(made: Made, tmp_path: Path) -> None:
    """What a masked pixel holds is nothing: as if the date were not there; others fill in."""
    clouded = tmp_path / "clouded"
    for day in ELSEWHEN:
        write_date(clouded, day, clouds=day == ELSEWHEN[1])
    without = tmp_path / "without"
    for day in ELSEWHEN:
        if day != ELSEWHEN[1]:
            write_date(without, day)
    p = tmp_path / "p.tif"
    found = []
    for series in (clouded, without):
        codes = fused(made, tmp_path / "map.tif", series, "--probabilities", p, "--overwrite")
        assert (codes > 0).all()
        with rasterio.open(p) as dataset:
            found.append(dataset.read())
    # far enough from where the date is seen
    assert np.abs(found[0] - found[1])[:, :, 60:].max() < 1e-5
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_ground_that_no_date_shows_is_missing(made: Made, tmp_path: Path) -> None:
    part = tmp_path / "part"
    for day in ELSEWHEN[:2]:
        write_date(part, day, clouds=True)
    codes = fused(made, tmp_path / "map.tif", part)
    shown = 2 * 10 - 6
    assert (codes[:, :shown] > 0).all() and (codes[:, shown:] == 0).all()
    codes = fused(made, tmp_path / "all.tif", part, "--allow-missing")
    assert (codes > 0).all()


def test_tiles_make_no_difference(made: Made, tmp_path: Path, lcmap: Lcmap) -> None:
    """Not padded inside the image, verified against the whole, and in shards."""
    series = made.folder / "2021"
    whole = fused(made, tmp_path / "whole.tif", series, "--tile", 96)
    command = (
        "fuse", made.image, series, "-m", made.model, "-o", tmp_path / "tiles.tif", "--tile", 16,
    )  # fmt: skip
    done = ok(lcmap(*command, "--verify"))
    assert "padded on every side" not in done.stderr
    assert (read(tmp_path / "tiles.tif") == whole).all()
    shards = *command[:6], tmp_path / "shards.tif", *command[7:]
    for shard in ("1/2", "2/2"):
        ok(lcmap(*shards, "--shard", shard))
    ok(lcmap("merge", tmp_path / "shards.tif"))
    assert (read(tmp_path / "shards.tif") == whole).all()


def test_integers_agree_with_floats(made: Made, tmp_path: Path) -> None:
    series = made.folder / "2021"
    floats = fused(made, tmp_path / "floats.tif", series)
    integers = fused(made, tmp_path / "integers.tif", series, "--precision", "int8")
    assert (floats == integers).mean() > 0.9


def test_another_date_makes_the_map_anew(made: Made, tmp_path: Path, lcmap: Lcmap) -> None:
    folder = shutil.copytree(made.folder / "2021", tmp_path / "dates")
    command = "fuse", made.image, folder, "-m", made.model, "-o", tmp_path / "map.tif"
    ok(lcmap(*command))
    assert "up to date" in ok(lcmap(*command)).stderr
    write_date(folder, "2021-10-01")
    assert "up to date" not in ok(lcmap(*command)).stderr


def test_a_series_that_is_left_out_is_as_one_of_clouds(made: Made, tmp_path: Path) -> None:
    clouds = np.zeros((2, 60, 60), np.uint16)
    for day in ELSEWHEN[:2]:
        write_date(tmp_path / "clouds", day, image=clouds)
    p, found = tmp_path / "p.tif", []
    for options in (("--without", "side1", "--verify"), ("--allow-missing", "--verify")):
        fused(made, tmp_path / "map.tif", tmp_path / "clouds", "--probabilities", p,
              "--overwrite", *options)  # fmt: skip
        found.append(read(p, None))
    np.testing.assert_allclose(*found, atol=1e-6)


def test_scenes_of_a_campaign_are_mapped_beside_a_series(
    made: Made, tmp_path: Path, lcmap: Lcmap
) -> None:
    """As the one image that they are parts of, but for what is mirrored at its border."""
    quantiles, scenes = tmp_path / "q.json", tmp_path / "scenes"
    ok(lcmap("prepare", "--quantiles-of", made.image, "-o", quantiles))
    scenes.mkdir()
    pixels = read(made.image, None)
    for name, columns in (("a", slice(0, 64)), ("b", slice(40, 96))):
        corner = (WEST + 5 * columns.start, NORTH)
        write_raster(scenes / f"{name}.tif", pixels[:, :, columns], names=("red", "nir"), pixel=5.0,
                     corner=corner)  # fmt: skip
    series = f"{made.folder}/2021/*.tif:series"
    ok(lcmap("fuse", scenes, series, "-m", made.model, "-o", tmp_path / "map.tif", "--tile", 32,
             "--quantiles", "model", "--verify"))  # fmt: skip
    expected = fused(made, tmp_path / "one.tif", series, "--quantiles", "model")
    assert (read(tmp_path / "map.tif") == expected).all()


@pytest.mark.parametrize(
    ("changes", "day", "code", "said"),
    [
        ({"names": ("B8", "B4")}, "2021-08-19", 65, "its bands are B8, B4, the model takes B4, B8"),
        ({}, "summer", 65, "neither its tags nor its name say when it was taken"),
        ({"pixel": 20.0}, "2021-08-19", 65, "has 20 m pixels, the model was trained on 10 m"),
        ({"corner": (WEST + 9e4, NORTH)}, "2021-08-19", 65, "covers no ground of"),
        ({"epsg": None}, "2021-08-19", 65, "has no coordinate reference system"),
    ],
)
def test_a_series_that_does_not_fit_is_refused(
    made: Made,
    tmp_path: Path,
    lcmap: Lcmap,
    changes: dict[str, Any],
    day: str,
    code: int,
    said: str,
) -> None:
    image = np.full((2, 60, 60), 2000, np.uint16)
    date = write_date(tmp_path, "2021-08-19", image=image, **changes)
    date = date.rename(tmp_path / f"s2_{day}.tif")
    run = lcmap("fuse", made.image, date, "-m", made.model, "-o", tmp_path / "map.tif")
    assert run.exit_code == code
    assert said in run.stderr and str(date) in run.stderr
    assert not (tmp_path / "map.tif").exists()


def test_a_pattern_that_fits_nothing_is_a_missing_input(
    made: Made, tmp_path: Path, lcmap: Lcmap
) -> None:
    run = lcmap(
        "prepare", made.folder / "image.tif", "--tiles", tmp_path / "t.geojson",
        "--side", f"{tmp_path}/s2/*.tif:series", "-o", tmp_path / "stack.tif",
    )  # fmt: skip
    assert run.exit_code == 66
    assert "no file fits this pattern" in run.stderr


def test_training_tells_which_date_is_missing_or_of_another_kind(
    made: Made, tmp_path: Path, lcmap: Lcmap
) -> None:
    folder = shutil.copytree(made.folder, tmp_path / "made")
    index, last = folder / "tiles.geojson", folder / "2018" / f"s2_{IN_TRAINING[-1]}.tif"
    command = "train", index, "-o", tmp_path / "model.onnx", "--epochs", 1
    write_date(folder / "2018", IN_TRAINING[-1], names=("B4", "B11"))
    run = lcmap(*command)
    assert run.exit_code == 65
    assert f"{last}: its bands are B4, B11, those of" in run.stderr
    last.unlink()
    run = lcmap(*command)
    assert run.exit_code == 66
    assert f"{last}: no such file, but {index} names it" in run.stderr
    assert not (tmp_path / "model.onnx").exists()


def test_an_index_whose_series_is_no_list_is_damaged(made: Made, tmp_path: Path) -> None:
    document = json.loads(made.index.read_text())
    document["lcmap"]["sides"][0]["kind"] = "image"
    (tmp_path / "tiles.geojson").write_text(
        json.dumps(document).replace("2018/", f"{made.folder}/2018/")
        .replace('"stack', f'"{made.folder}/stack')
    )  # fmt: skip
    run = run_lcmap("train", tmp_path / "tiles.geojson", "-o", tmp_path / "model.onnx")
    assert run.exit_code == 65
    assert "has a side input that is not image" in run.stderr


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(made: Made, tmp_path: Path) -> None:
    words = ["fuse", made.image, made.folder / "2021", "-m", made.model, "-o", "map.tif"]
    script = PROJECT / "tests" / "killed_runs.py"
    done = subprocess.run(
        [sys.executable, script, "13", "5", "map.tif,map.qml,map.tif.aux.xml", *map(str, words),
         "--tile", "16", "--qml"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) > 3, done.stdout


@pytest.mark.slow
def test_workers_of_a_scheduler_make_the_same_map(made: Made, tmp_path: Path, lcmap: Lcmap) -> None:
    series = made.folder / "2021"
    whole = fused(made, tmp_path / "whole.tif", series)
    ok(lcmap("fuse", made.image, series, "-m", made.model, "-o", tmp_path / "workers.tif",
             "--tile", 32, "--scheduler", "local"))  # fmt: skip
    assert (read(tmp_path / "workers.tif") == whole).all()
