"""Side inputs on cells of several pixels: prepared, trained on and fused as a user does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import rasterio
from affine import Affine
from support import Run

from lcmap import defaults
from lcmap.dataset.input_reader import InputReader
from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.tile_index import read_tile_index
from lcmap.imagery.side_inputs import level_beside
from lcmap.model_file import read_model
from lcmap.network import Architecture
from lcmap.nomenclature import load_nomenclature
from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window
from lcmap.training.recipe import DEFAULT, PAPER

Lcmap = Callable[..., Run]

HEIGHT, WIDTH = 96, 107
WEST, NORTH = 700_000, 6_600_000
OSO = load_nomenclature("oso23")


def write(path: Path, values: np.ndarray, pixel: float, nodata: int | None = None) -> Path:
    beyond = 0 if pixel < 10 else 30  # the coarser ones reach further, on another grid
    with rasterio.open(
        path, "w", driver="GTiff", dtype=values.dtype, count=len(values), height=values.shape[1],
        width=values.shape[2], crs="EPSG:2154", nodata=nodata,
        transform=Affine(pixel, 0, WEST - beyond, 0, -pixel, NORTH + beyond),
    ) as dataset:  # fmt: skip
        dataset.write(values)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    light = random.integers(0, 2, (12, 14)).repeat(8, axis=0).repeat(8, axis=1)[:, :WIDTH]
    write(tmp_path / "labels.tif", 1 + light[None].astype(np.uint8), 1.5)
    values = 60 + 120 * light + random.integers(-20, 21, (2, HEIGHT, WIDTH))
    write(tmp_path / "image.tif", values.astype(np.uint8), 1.5)
    s2 = random.integers(100, 3000, (3, 22, 24)).astype(np.int16)
    s2[:, 9:11, 12] = -9999
    write(tmp_path / "s2.tif", s2, 10, -9999)
    write(tmp_path / "oso.tif", random.integers(1, 24, (1, 22, 24)).astype(np.uint8), 10, 0)
    return tmp_path


def prepared(lcmap: Lcmap, folder: Path, name: str, *sides: str) -> Run:
    return lcmap(
        "prepare", folder / "image.tif", "--labels", folder / "labels.tif", "--nomenclature",
        "flair7", "--tiles", folder / f"{name}.geojson", "--tile-size", 30, "--gap", 3,
        "--block-tiles", 1, "-o", folder / f"{name}.tif",
        *(word for side in sides for word in ("--side", f"{folder}/{side}")),
    )  # fmt: skip


def everything_at_once(model: Path, image: Path, *sides: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the network's probabilities for all of every input, and where all are valid."""
    metadata = read_model(model)
    rows, columns = (-(-n // metadata.stride) * metadata.stride for n in (HEIGHT, WIDTH))
    with rasterio.open(image) as dataset:
        grid = Grid.of(dataset)
    given, valid = {}, np.ones((HEIGHT, WIDTH), bool)
    for one, path in zip(metadata.inputs, (image, *sides), strict=True):
        cell = 2**one.level
        content = RasterContent(one.kind, one.nomenclature)
        quantiles = np.array(one.quantiles) if one.kind == "image" else None
        cells = Grid(grid.crs, grid.transform @ Affine.scale(cell), -(-WIDTH // cell),
                     -(-HEIGHT // cell))  # fmt: skip
        with rasterio.open(path) as dataset:
            values, where = InputReader(dataset, cells, content, quantiles, path.name).read(
                Window(0, 0, *cells.shape)
            )
        around = (0, rows // cell - cells.height), (0, columns // cell - cells.width)
        given[one.name] = np.pad(values, ((0, 0), *around), mode="reflect")[None]
        valid &= np.kron(where, np.ones((cell, cell), bool))[:HEIGHT, :WIDTH]
    found = onnxruntime.InferenceSession(model).run(None, given)[0][0, :, :HEIGHT, :WIDTH]
    return found, valid


def test_prepare_train_and_fuse(lcmap: Lcmap, folder: Path) -> None:
    run = prepared(lcmap, folder, "all", "s2.tif", "oso.tif:oso23@1")
    assert run.exit_code == 0, run.stderr
    assert "s2.tif: side input, image on cells of 4 px" in run.stdout
    assert "oso.tif: side input, labels in oso23 on cells of 2 px" in run.stdout
    index = read_tile_index(folder / "all.geojson")
    assert index.sides == (RasterContent("image", None, 2), RasterContent("labels", OSO, 1))
    model = folder / "model.onnx"
    run = lcmap(
        "train", index.path, "-o", model, "--epochs", 1, "--width", 4, "--depth", 2,
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    metadata = read_model(model)
    assert [one.level for one in metadata.inputs] == [0, 2, 1]
    assert metadata.architecture["levels"] == [0, 2, 1]
    assert Architecture.of_model(metadata.architecture).levels == (0, 2, 1)
    probabilities = folder / "p.tif"
    run = lcmap(
        "fuse", folder / "all.tif", folder / "s2.tif", f"{folder}/oso.tif:oso23", "-m", model,
        "-o", folder / "map.tif", "--probabilities", probabilities, "--tile", 24, "--verify",
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    expected, valid = everything_at_once(
        model, folder / "all.tif", folder / "s2.tif", folder / "oso.tif"
    )
    assert 0 < (~valid).sum() < valid.size / 10
    with rasterio.open(probabilities) as dataset:
        found = dataset.read()
    with rasterio.open(folder / "map.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1) != 0, valid)
    np.testing.assert_allclose(found[:, valid], expected[:, valid], rtol=0, atol=1e-5)


def test_a_level_of_its_own_is_another_request(lcmap: Lcmap, folder: Path) -> None:
    assert prepared(lcmap, folder, "one", "s2.tif").exit_code == 0
    run = prepared(lcmap, folder, "one", "s2.tif@1")
    assert run.exit_code == 0, run.stderr
    assert [side.level for side in read_tile_index(folder / "one.geojson").sides] == [1]
    odd = (folder / "s2.tif").rename(folder / "s2@1")
    assert prepared(lcmap, folder, "two", "s2@1").exit_code == 0
    (side,) = {tile.sides for tile in read_tile_index(folder / "two.geojson").tiles}
    assert side == (odd,)


def test_what_is_refused(lcmap: Lcmap, folder: Path) -> None:
    run = prepared(lcmap, folder, "wrong", "s2.tif@x")
    assert run.exit_code == 2
    assert "s2.tif@x: @x is no level of a side input" in run.stderr
    for name, side in (("one", "s2.tif@1"), ("three", "s2.tif@3")):
        assert prepared(lcmap, folder, name, side).exit_code == 0
    indexes = [folder / "one.geojson", folder / "three.geojson"]
    run = lcmap("train", *indexes, "-o", folder / "m.onnx", "--allow-overlap")
    assert run.exit_code == 65
    assert "prepare both with the same levels" in run.stderr
    run = lcmap("train", indexes[1], "-o", folder / "m.onnx", "--depth", 2)
    assert run.exit_code == 65
    assert "is to be taken on cells of 8 px, and a network of depth 2 takes" in run.stderr
    assert "prepare it with @2 behind its name, or train with a larger --depth" in run.stderr


def test_the_automatic_level_loses_no_detail() -> None:
    assert level_beside(1.5, 10) == 2
    assert level_beside(1.5, 12) == 3
    assert level_beside(1.5, 5.8) == 1
    assert level_beside(1.5, 5.99) == 2  # 6 m but for rounding
    assert level_beside(1.5, 1.5) == level_beside(10, 1.5) == level_beside(None, 10) == 0
    assert (
        level_beside(0.2, 30) == defaults.HIGHEST_CHOSEN_LEVEL == DEFAULT.architecture.deepest_level
    )


def test_the_papers_recipe_takes_all_on_the_pixels() -> None:
    assert DEFAULT.coarse_sides and not PAPER.coarse_sides
