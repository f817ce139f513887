"""Sentinel-2 products as a series, prepared, trained on and mapped with as a user would."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from small_sentinel2 import CORNER, EPSG, SIZE, TEN, write_l2a
from support import Run, run_lcmap, write_raster

from lcmap.model_file import read_model

Lcmap = Callable[..., Run]
SIDE = 64
CLOUDS = np.full((SIZE // 2,) * 2, 9, "uint8")
HALF = np.where(np.arange(SIZE // 2) < 15, 9, 4).astype("uint8")[None].repeat(SIZE // 2, axis=0)
IN_2018 = ("2018-04-05", "2018-07-05", "2018-09-05")
ELSEWHEN = ("2020-05-01", "2020-06-07")


class Made(NamedTuple):
    """A folder with products, an image, its index with a series of them, and a model."""

    folder: Path
    image: Path
    tiles: Path
    model: Path
    said: str


def ok(done: Run) -> Run:
    assert done.exit_code == 0, done.stderr
    return done


def read(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        values: NDArray[Any] = dataset.read()
    return values


def prepared(folder: Path, *options: object) -> Run:
    return run_lcmap(
        "prepare", folder / "spot.tif", "--side", f"{folder}/products/S2*/:series",
        "--labels", folder / "labels.tif", "--nomenclature", "flair7", "--tile-size", 16,
        "--gap", 0, "--tiles", folder / "tiles.geojson", "-o", folder / "stack.tif", *options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("products")
    x, y = CORNER
    place: dict[str, Any] = {"corner": (x + 150, y - 150), "pixel": 5.0, "epsg": EPSG}
    random = np.random.default_rng(1)
    pixels = random.integers(90, 110, (2, SIDE, SIDE)).astype(np.uint8)
    write_raster(folder / "spot.tif", pixels, names=("red", "nir"), **place)
    fields = np.kron(random.integers(1, 3, (1, 4, 4)), np.ones((1, 16, 16), int))
    write_raster(folder / "labels.tif", fields.astype(np.uint8), **place)
    products = folder / "products"
    for day, classes in zip(IN_2018, (None, HALF, CLOUDS), strict=True):
        write_l2a(products, day=day, scene_classes=classes)
    write_l2a(products, day="2017-07-05")
    for day in ELSEWHEN:
        write_l2a(folder / "others", day=day, baseline="03.00")
    done = ok(prepared(folder, "--period", "2018"))
    index, model = folder / "tiles.geojson", folder / "model.onnx"
    ok(run_lcmap("train", index, "-o", model, "--width", 8, "--depth", 1, "--batch-size", 4,
                 "--epochs", 1, "--seed", 2))  # fmt: skip
    return Made(folder, folder / "stack.tif", index, model, done.stderr)


def test_index_names_the_products_of_the_period_that_show_the_image(made: Made) -> None:
    document = json.loads(made.tiles.read_text())
    (series,) = document["features"][0]["properties"]["sides"]
    assert [Path(path).parts[0] for path in series] == ["products"] * 2
    assert [Path(path).name[11:19] for path in series] == ["20180405", "20180705"]
    assert f"{made.folder}/products/S2A_MSIL2A_20180905" in made.said
    assert f"has no valid pixel where {made.folder}/spot.tif is, and is left out" in made.said
    assert not list(made.folder.glob("products/*/*.tif"))


def test_model_takes_the_ten_bands(made: Made) -> None:
    _, series = read_model(made.model).inputs
    assert (series.kind, series.bands, series.dtype) == ("series", TEN, "int16")
    assert (series.gsd, series.level) == (10.0, 1)
    assert {band.level for band in series.radiometry} == {"BOA"}


def test_other_products_are_mapped_as_their_stacks_are(
    made: Made, tmp_path: Path, lcmap: Lcmap
) -> None:
    """But for the grid on which bands of 20 m are interpolated first."""
    command = "fuse", made.image, f"{made.folder}/others/S2*/", "-m", made.model, "--tile", 16
    p = tmp_path / "p.tif"
    done = ok(lcmap(*command, "-o", tmp_path / "map.tif", "--probabilities", p, "--verify"))
    assert "0 differ" in done.stderr
    assert (read(tmp_path / "map.tif") > 0).all()
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    for product in (made.folder / "others").iterdir():
        stack = stacks / f"{product.name}.tif"
        ok(lcmap("prepare", product, "--resampling", "bilinear", "-o", stack))
    of_stacks = tmp_path / "of_stacks.tif"
    ok(lcmap(*command[:2], stacks, *command[3:], "-o", tmp_path / "m.tif",
             "--probabilities", of_stacks))  # fmt: skip
    assert np.abs(read(p) - read(of_stacks)).mean() < 0.02
    folder = tmp_path / "folder.tif"
    ok(lcmap(*command[:2], made.folder / "others", *command[3:], "-o", folder))
    assert (read(folder) == read(tmp_path / "map.tif")).all()


def test_a_file_of_a_product_that_changes_makes_the_map_anew(
    made: Made, tmp_path: Path, lcmap: Lcmap
) -> None:
    products = shutil.copytree(made.folder / "others", tmp_path / "others")
    command = (
        "fuse",
        made.image,
        f"{products}/S2*/:series",
        "-m",
        made.model,
        "-o",
        tmp_path / "m.tif",
    )
    ok(lcmap(*command))
    assert "up to date" in ok(lcmap(*command)).stderr
    for pattern in ("*_B05_20m.jp2", "*_SCL_20m.jp2", "MTD_MSIL2A.xml"):
        changed = next(products.rglob(pattern))
        content = changed.read_bytes()
        if pattern.endswith("xml"):
            changed.write_bytes(content + b"\n")
        else:
            shutil.copy(sorted(products.rglob(pattern))[-1], changed)
            assert changed.read_bytes() != content or "SCL" in pattern
        again = ok(lcmap(*command)).stderr
        assert ("up to date" in again) == (changed.read_bytes() == content), pattern
    write_l2a(products, day="2020-08-01")
    assert "joined" in ok(lcmap(*command)).stderr


def test_products_of_clouds_alone_give_an_empty_map_and_a_warning(
    made: Made, tmp_path: Path, lcmap: Lcmap
) -> None:
    product = write_l2a(tmp_path, scene_classes=CLOUDS)
    done = ok(lcmap("fuse", made.image, product, "-m", made.model, "-o", tmp_path / "map.tif"))
    assert f"warning: {product}: no date has a valid pixel where {made.image} is" in done.stderr
    assert (read(tmp_path / "map.tif") == 0).all()


def test_a_period_without_products_and_a_broken_product_are_refused(
    made: Made, tmp_path: Path
) -> None:
    folder = tmp_path / "made"
    for name in ("spot.tif", "labels.tif"):
        folder.mkdir(exist_ok=True)
        shutil.copy(made.folder / name, folder)
    shutil.copytree(made.folder / "products", folder / "products")
    done = prepared(folder, "--period", "2016")
    assert done.exit_code == 66
    assert done.stderr.endswith("none of its 4 dates is of the period; give another --period\n")
    done = prepared(folder, "--period", "2018", "--strict")
    assert done.exit_code == 2 and "--strict: is about an image of a period" in done.stderr
    band = next(folder.glob("products/*20180405*/GRANULE/*/IMG_DATA/R10m/*_B08_10m.jp2"))
    band.unlink()
    done = prepared(folder)
    assert done.exit_code == 65
    assert "has no IMG_DATA/R10m/*_B08_10m.jp2; unpack the product whole" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "stack.tif").exists()
