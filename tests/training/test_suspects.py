"""Labels that are wrong are found by networks that were not trained on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize

from lcmap.dataset.tile_index import IndexedTile, Split
from lcmap.errors import LcmapError, NoLabelledPixelError, OutputExistsError, UsageError
from lcmap.nomenclature import load_nomenclature
from lcmap.raster.classes import read_class_table
from lcmap.raster.grid import Grid
from lcmap.raster.output_set import OutputSet
from lcmap.raster.windows import Window
from lcmap.training.folds import deal, labelled_tiles
from lcmap.training.options import NetworkSize, TrainOptions, TrainOutputs
from lcmap.training.ranks import ALONE
from lcmap.training.recipe import DEFAULT, RECIPES
from lcmap.training.suspect_areas import SuspectAreas, write_areas
from lcmap.training.suspects import FEWEST, _without_specks, prepare_suspects, suspect_paths
from lcmap.training.train import TrainReport, train

MakeIndex = Callable[..., Path]
WRONG = [(0, 0), (1, 3), (2, 6), (4, 1), (6, 5), (7, 7)]
"""Patches of 6 px whose labels are swapped."""


def mislabelled() -> tuple[np.ndarray, np.ndarray]:
    """Return codes [48, 48] some patches of which are wrong, and where these are."""
    light = np.random.default_rng(0).integers(0, 2, (8, 8)).astype(bool)
    wrong = np.zeros((8, 8), bool)
    wrong[tuple(np.transpose(WRONG))] = True
    large = np.ones((6, 6), bool)
    codes = np.where(np.kron(light ^ wrong, large), 5, 2).astype(np.uint8)
    return codes, np.kron(wrong, large)


def find(index: Path, folder: Path, **files: Any) -> TrainReport:
    return train(
        [index],
        TrainOutputs(folder / "m.onnx", suspects=folder / "suspects", **files),
        TrainOptions(size=NetworkSize(8, 1), epochs=2),
    )


def test_wrong_labels_are_found(
    make_index: MakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what sees far learns too slowly for a test
    monkeypatch.setitem(RECIPES, "default", dataclasses.replace(DEFAULT, context=0))
    codes, wrong = mislabelled()
    index = make_index(codes=codes)
    folder = tmp_path / "suspects"
    report = find(index, tmp_path)
    with rasterio.open(folder / "zone.labels.suspects.tif") as dataset:
        suggested = dataset.read(1)
        table = read_class_table(dataset)
        assert dataset.crs.to_epsg() == 2154 and dataset.nodata == 0
        transform = dataset.transform
    assert table is not None and table.names[2] == "dark"
    with rasterio.open(folder / "zone.labels.suspects.confidence.tif") as dataset:
        percent = dataset.read(1)
    found = suggested > 0
    assert np.array_equal(found, percent > 0)
    assert (found & wrong).sum() / found.sum() > 0.9  # precision
    assert (found & wrong).sum() / wrong.sum() > 0.4  # recall: tiles cut some into specks
    true = np.where(codes == 5, 2, 5)
    assert (suggested[found & wrong] == true[found & wrong]).all()

    fields, _, shapes, columns = pyogrio.raw.read(folder / "suspects.gpkg")
    of = dict(zip(fields["fields"], columns, strict=True))
    assert of["pixels"].sum() == found.sum() and (of["pixels"] >= FEWEST).all()
    assert list(of["area_m2"]) == sorted(of["area_m2"], reverse=True)
    assert of["area_m2"] == pytest.approx(of["pixels"] * 1.5**2, rel=0.01)
    polygons = zip(map(_shape, shapes), of["to_code"], strict=True)
    burnt = rasterize(polygons, found.shape, transform=transform)
    assert np.array_equal(burnt, suggested)
    mean = (of["confidence"] * of["pixels"]).sum() / of["pixels"].sum()
    assert mean == pytest.approx(percent[found].mean())
    assert set(of["labels"]) == {"zone.labels.tif"}

    assert report.suspects is not None
    assert report.suspects.suspect == found.sum() and report.suspects.areas == len(shapes)
    assert report.suspects.labelled == codes.size
    assert not list(tmp_path.glob("*.pt"))
    with pytest.raises(OutputExistsError):
        find(index, tmp_path)


def _shape(wkb: bytes) -> Any:
    import shapely

    return shapely.from_wkb(wkb)


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_with_the_next_fold(
    make_index: MakeIndex, tmp_path: Path, stopped_at_second: list[int]
) -> None:
    codes, _ = mislabelled()
    index = make_index(codes=codes)
    with pytest.raises(KeyboardInterrupt, match="`resume`"):
        find(index, tmp_path)
    assert (tmp_path / "m.suspects.pt").exists() and not (tmp_path / "m.onnx").exists()
    find(index, tmp_path, resume=True)
    assert stopped_at_second == [0, 1, 1, 2]  # the first fold is not trained again
    assert not (tmp_path / "m.suspects.pt").exists()
    assert (tmp_path / "suspects/suspects.gpkg").exists()


def test_it_takes_training(make_index: MakeIndex, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="suspect_labels") as caught:
        find(make_index(), tmp_path, export_best=True)
    assert isinstance(caught.value, LcmapError) and caught.value.exit_code == 2


def test_too_few_training_tiles_are_refused_before_anything_is_trained(
    make_index: MakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("training begins")

    monkeypatch.setattr("lcmap.training.train._train", never)
    index = make_index(splits=("train", *["validation"] * 8))  # one to train on
    with pytest.raises(NoLabelledPixelError, match="too few training tiles") as caught:
        find(index, tmp_path)
    assert "`suspect_labels`" in str(caught.value)
    assert not (tmp_path / "suspects").exists() and not list(tmp_path.glob("m.*"))


@pytest.mark.parametrize("splits", [("validation",), ("train",)])
def test_no_tile_to_train_or_to_validate_on_is_said_first(
    make_index: MakeIndex, tmp_path: Path, splits: tuple[str, ...]
) -> None:
    with pytest.raises(NoLabelledPixelError, match="no labelled tile is for"):
        find(make_index(splits=splits), tmp_path)


def test_networks_that_start_from_a_model_may_have_seen_the_labels(
    make_index: MakeIndex, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outputs = TrainOutputs(tmp_path / "m.onnx", suspects=tmp_path / "suspects")
    for options, warned in ((TrainOptions(), 0), (TrainOptions(initial_model="first.onnx"), 1)):
        prepare_suspects([make_index()], outputs, options, ALONE)
        assert len(caplog.records) == warned
    assert "first.onnx: the networks that judge the labels start from it" in caplog.text


def test_label_files_of_one_name_get_rasters_of_their_own(
    make_index: MakeIndex, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    indexes = [make_index(folder=tmp_path / name) for name in "ab"]
    names = [path.name for path in suspect_paths(labelled_tiles(indexes), tmp_path / "out")]
    assert names == [
        "zone.labels.suspects.tif", "zone.labels.suspects.confidence.tif",
        "zone.labels-2.suspects.tif", "zone.labels-2.suspects.confidence.tif", "suspects.gpkg",
    ]  # fmt: skip


def tiles_of(image: Path, classes: NDArray[np.int64], split: Split = "train") -> list[IndexedTile]:
    """Return tiles of 32 px of one class each, by a grid of codes."""
    return [
        IndexedTile(
            image, image, (), Window(32 * row, 32 * col, 32, 32), split, 1.0, {int(code): 1024}
        )
        for (row, col), code in np.ndenumerate(classes)
    ]  # fmt: skip


@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (8, 8), (5, 20)])
def test_folds_are_blocks_of_like_size(shape: tuple[int, int], tmp_path: Path) -> None:
    found = deal(tiles_of(tmp_path, np.ones(shape, int)), 3, 32)
    sizes = np.bincount(found, minlength=3)
    assert sizes.min() > 0
    if shape == (8, 8):
        grid = found.reshape(shape)
        assert (grid[::2, ::2] == grid[1::2, 1::2]).all()  # blocks of 2 × 2 at least
        assert sizes.max() <= 2 * sizes.min()


def test_no_fold_has_all_of_an_image_or_of_a_class(tmp_path: Path) -> None:
    zones = [np.full((5, 5), code) for code in (1, 2, 3)]
    zones[0][:, 3:] = 4  # ten tiles of a class that is nowhere else, side by side
    tiles = [tile for n, zone in enumerate(zones) for tile in tiles_of(tmp_path / str(n), zone)]
    found = deal(tiles, 3, 32)
    for of in (lambda tile: tile.image, lambda tile: next(iter(tile.class_counts))):
        for kind in {of(tile) for tile in tiles}:
            mine = found[[of(tile) == kind for tile in tiles]]
            assert (np.bincount(mine, minlength=3) > 0).all()
            assert np.bincount(mine, minlength=3).max() <= 0.6 * len(mine)


def test_only_training_tiles_say_what_a_fold_shows(tmp_path: Path) -> None:
    training = tiles_of(tmp_path, np.array([[1, 1, 2, 2, 3, 3]]))
    tested = tiles_of(tmp_path, np.full((1, 6), 1), "test")
    below = [Window(320, 32 * col, 32, 32) for col in range(6)]
    tested = [dataclasses.replace(tile, window=w) for tile, w in zip(tested, below, strict=True)]
    found = deal([*training, *tested], 2, 32)
    for code in (1, 2, 3):
        assert set(found[2 * code - 2 : 2 * code].tolist()) == {0, 1}
    assert deal(tested, 2, 32).tolist() != [0] * 6  # nothing to train on, still dealt


def test_every_labelled_tile_is_judged(make_index: MakeIndex) -> None:
    codes = np.full((48, 48), 5, np.uint8)
    codes[:16, :16] = 0
    tiles = labelled_tiles([make_index(codes=codes)])
    assert len(tiles) == 8 and {tile.split for tile in tiles} == {"train", "validation", "test"}


def test_specks_are_left_out() -> None:
    pairs = np.zeros((12, 12), np.int32)
    pairs[0, :9] = 300  # one too few
    pairs[3:8, 3:5] = 300
    pairs[3:8, 5:6] = 400  # touches, but is of another pair
    kept = _without_specks(pairs)
    assert (kept == 300).sum() == FEWEST and (kept > 0).sum() == FEWEST


def test_areas_go_on_across_tiles(tmp_path: Path) -> None:
    flair7 = load_nomenclature("flair7")
    grid = Grid(rasterio.crs.CRS.from_epsg(2154), Affine(2, 0, 700_000, 0, -2, 6_250_000), 40, 20)
    suggested = np.full((20, 40), 255, np.uint8)
    suggested[5:9, 15:30] = 3  # across the edge at 20
    suggested[12:15, 2:8] = 1
    percent = np.where(suggested == 3, 80, 60).astype(np.uint8)
    percent[5:9, 20:30] = 95
    areas = SuspectAreas(flair7)
    for window in (Window(0, 0, 20, 20), Window(0, 20, 20, 20)):
        here = window.slices
        areas.add(tmp_path / "labels.tif", grid, window, np.zeros((20, 20), np.uint8),
                  suggested[here], percent[here])  # fmt: skip
    path = tmp_path / "s.gpkg"
    with OutputSet([path], overwrite=False) as files:
        assert write_areas(areas, path, files) == 2
    fields, _, shapes, columns = pyogrio.raw.read(path)
    of = dict(zip(fields["fields"], columns, strict=True))
    assert of["pixels"].tolist() == [60, 18]
    assert of["confidence"].tolist() == [pytest.approx((20 * 80 + 40 * 95) / 60), 60]
    assert of["area_ha"] == pytest.approx(of["area_m2"] / 10_000)
    assert of["from_code"].tolist() == [flair7.codes[0]] * 2
    assert of["to_code"].tolist() == [flair7.codes[3], flair7.codes[1]]
    assert _shape(shapes[0]).bounds == (700_030, 6_249_982, 700_060, 6_249_990)


def test_no_suspect_makes_an_empty_layer(tmp_path: Path) -> None:
    path, areas = tmp_path / "s.gpkg", SuspectAreas(load_nomenclature("flair7"))
    nothing = np.full((20, 20), 255, np.uint8)
    grid = Grid(rasterio.crs.CRS.from_epsg(2154), Affine(2, 0, 0, 0, -2, 0), 20, 20)
    areas.add(tmp_path / "l.tif", grid, Window(0, 0, 20, 20), nothing, nothing, nothing)
    with OutputSet([path], overwrite=False) as files:
        assert write_areas(areas, path, files) == 0
    assert len(pyogrio.raw.read(path)[2]) == 0
