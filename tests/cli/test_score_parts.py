"""Maps and references in parts that overlap: every pixel is scored once, by the class it has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import Run, write_raster

from lcmap.dataset.tile_index import IndexedTile, TileIndex, write_tile_index
from lcmap.nomenclature import load_nomenclature
from lcmap.raster.windows import Window

Lcmap = Callable[..., Run]
CORNER = (700_000.0, 6_250_000.0)


def write_codes(path: Path, codes: np.ndarray, columns: slice = slice(None)) -> Path:
    path.parent.mkdir(exist_ok=True)
    x = CORNER[0] + (columns.start or 0)
    return write_raster(
        path, codes[None, :, columns].astype(np.uint8), pixel=1, corner=(x, CORNER[1]), nodata=0
    )


@pytest.fixture
def reference() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 4, (60, 80))


@pytest.fixture
def mapped(reference: np.ndarray) -> np.ndarray:
    wrong = np.random.default_rng(1).random(reference.shape) < 0.3
    return np.where(wrong, reference % 3 + 1, reference)


def write_index(path: Path, labels: Path, windows: list[Window]) -> Path:
    """Index the test tiles of a label raster."""
    tiles = tuple(IndexedTile(labels, labels, (), tile, "test", 1.0, {}) for tile in windows)
    index = TileIndex(path, load_nomenclature("flair7"), (), tiles, 20, "blocks", 0, 0)
    write_tile_index(index, overwrite=False)
    return path


def score(lcmap: Lcmap, mapped: Path, reference: Path, nomenclature: str = "flair7") -> dict:
    done = lcmap("score", mapped, "--reference", reference, "--nomenclature", nomenclature,
                 "--bootstrap", "0", "--json")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def matrix(report: dict) -> list[list[int]]:
    (found,) = report["maps"]
    return found["confusion"] if "confusion" in found else found["matrix"]


def test_scenes_with_an_oblique_edge_are_one_map(
    lcmap: Lcmap, tmp_path: Path, reference: np.ndarray, mapped: np.ndarray
) -> None:
    rows, cols = np.mgrid[0:60, 0:80]
    west = cols + rows / 2 < 55
    write_codes(tmp_path / "parts" / "a.tif", np.where(west, mapped, 0))
    write_codes(tmp_path / "parts" / "b.tif", np.where(west, 0, mapped))
    truth = write_codes(tmp_path / "reference.tif", reference)
    whole = write_codes(tmp_path / "map.tif", mapped)
    assert matrix(score(lcmap, tmp_path / "parts", truth)) == matrix(score(lcmap, whole, truth))


def test_references_that_overlap_count_once(
    lcmap: Lcmap, tmp_path: Path, reference: np.ndarray, mapped: np.ndarray
) -> None:
    reference[:, 38:42] = 0  # what one leaves without a label, another may know
    write_codes(tmp_path / "refs" / "a.tif", reference, slice(0, 50))
    write_codes(tmp_path / "refs" / "b.tif", reference, slice(30, 80))
    write_codes(tmp_path / "refs" / "c.tif", np.where(reference, reference, 2), slice(20, 60))
    completed = reference.copy()
    completed[:, 38:42] = 2
    truth = write_codes(tmp_path / "reference.tif", completed)
    whole = write_codes(tmp_path / "map.tif", mapped)
    assert matrix(score(lcmap, whole, tmp_path / "refs")) == matrix(score(lcmap, whole, truth))


def test_a_code_of_no_label_in_one_part_hides_no_class_of_another(
    lcmap: Lcmap, tmp_path: Path, reference: np.ndarray, mapped: np.ndarray
) -> None:
    west = np.mgrid[0:60, 0:80][1] < 50  # 255 is no label in oso23
    for folder, codes in (("map", mapped), ("refs", reference)):
        write_codes(tmp_path / folder / "a.tif", np.where(west, codes, 255))
        write_codes(tmp_path / folder / "b.tif", np.where(west, 255, codes))
        write_codes(tmp_path / f"{folder}.tif", codes)
    whole = matrix(score(lcmap, tmp_path / "map.tif", tmp_path / "refs.tif", "oso23"))
    for given in ("map", "map.tif"):
        for truth in ("refs", "refs.tif"):
            found = matrix(score(lcmap, tmp_path / given, tmp_path / truth, "oso23"))
            assert found == whole, (given, truth)


def test_references_that_overlap_count_in_the_tiles_of_each(
    lcmap: Lcmap, tmp_path: Path, reference: np.ndarray, mapped: np.ndarray
) -> None:
    """Their tiles share some ground; elsewhere a pixel is in the tiles of one of them."""
    truth = [
        write_codes(tmp_path / "a.tif", reference, slice(0, 60)),
        write_codes(tmp_path / "b.tif", reference, slice(20, 80)),
    ]
    windows = [
        [Window(0, 0, 20, 20), Window(20, 20, 20, 20), Window(40, 40, 20, 20)],
        [Window(0, 20, 20, 20), Window(20, 10, 20, 20), Window(40, 40, 20, 20)],
    ]
    inside = np.zeros((60, 80), bool)
    for west, tiles in zip((0, 20), windows, strict=True):
        for tile in tiles:
            inside[tile.shifted(0, west).slices] = True
    tiles = [write_index(p.with_suffix(".geojson"), p, w)
             for p, w in zip(truth, windows, strict=True)]  # fmt: skip
    whole = write_codes(tmp_path / "map.tif", mapped)
    ground = write_codes(tmp_path / "ground.tif", np.where(inside, reference, 0))
    expected = matrix(score(lcmap, whole, ground))
    assert np.sum(expected) == 2200
    for first, last in (truth, truth[::-1]):
        run = lcmap("score", whole, "--reference", first, "--reference", last,
                    "--nomenclature", "flair7", "--bootstrap", "0", "--json",
                    *(word for path in tiles for word in ("--tiles", path)))  # fmt: skip
        assert run.exit_code == 0, run.stderr
        assert matrix(json.loads(run.stdout)) == expected, first
