"""What lcmap score draws for its intervals, and runs of one method, as a user asks for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_labels import WriteLabels, label_writer
from support import Run

from lcmap.dataset.tile_index import IndexedTile, TileIndex, write_tile_index
from lcmap.nomenclature import load_nomenclature
from lcmap.raster.windows import Window

TOPO6 = load_nomenclature("topo6")
OVERALL = ("miou", "oa", "kappa", "mf1")


def codes(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 7, (60, 80)).astype(np.uint8)


def spoiled(seed: int, share: float) -> np.ndarray:
    """Return codes(0) with a share of other ones."""
    wrong = np.random.default_rng(seed).random((60, 80)) < share
    return np.where(wrong, codes(seed), codes(0))


@pytest.fixture
def write_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteLabels:
    """Write label rasters into the folder that the command runs in."""
    monkeypatch.chdir(tmp_path)
    return label_writer(tmp_path)


@pytest.mark.parametrize(
    ("size", "block_tiles", "given", "expected"),
    [
        (16, 2, (), (32, "split", 6)),
        (16, None, (), (16, "split", 20)),
        (16, 2, ("--block", 20), (20, "given", 12)),
    ],
)
def test_blocks_are_what_went_to_one_split_together(
    lcmap: Callable[..., Run],
    write_labels: WriteLabels,
    tmp_path: Path,
    size: int,
    block_tiles: int | None,
    given: tuple[object, ...],
    expected: tuple[int, str, int],
) -> None:
    """An index that does not say its blocks, and has other splits side by side, has tiles."""
    image = write_labels("ref.tif", codes(0), classes=TOPO6)
    write_labels("map.tif", spoiled(1, 0.3), classes=TOPO6)
    windows = [
        Window(row, col, min(size, 60 - row), min(size, 80 - col))
        for row in range(0, 60, size)
        for col in range(0, 80, size)
    ]
    tiles = tuple(
        IndexedTile(image, image, (), w, "train" if i % 2 else "test", 1.0, {})
        for i, w in enumerate(windows)
    )
    path = tmp_path / "t.geojson"
    index = TileIndex(path, TOPO6, (), tiles, size, "blocks", 0, 0, block_tiles)
    write_tile_index(index, overwrite=False)
    command = (
        *("score", "map.tif", "--reference", "ref.tif", "--tiles", "t.geojson"),
        *("--split", "all", "-q", *given),
    )
    boot = json.loads(lcmap(*command, "--json").stdout)["bootstrap"]
    assert (boot["block"], boot["unit"], boot["blocks"]) == expected
    assert ("blocks of the split (" in lcmap(*command).stdout) == (expected[1] == "split")


def test_runs_of_one_method_are_scored_as_one(
    lcmap: Callable[..., Run], write_labels: WriteLabels
) -> None:
    write_labels("ref.tif", codes(0), classes=TOPO6)
    shares = {"a0": 0.2, "a1": 0.25, "b0": 0.4, "b1": 0.45}
    for number, (name, share) in enumerate(shares.items()):
        write_labels(f"{name}.tif", spoiled(10 + number, share), classes=TOPO6)
    files = [f"{name}.tif" for name in shares]
    command = ("score", *files, "--reference", "ref.tif", "--block", 16)
    named = (*command, "--name", "A", "--name", "A", "--name", "B", "--name", "B", "--replicate")
    alone = json.loads(lcmap(*command, "--json").stdout)["maps"]
    methods = json.loads(lcmap(*named, "--json").stdout)["maps"]
    assert [item["name"] for item in methods] == ["A", "B"]
    for method, runs in zip(methods, (alone[:2], alone[2:]), strict=True):
        assert method["files"] == [file for run in runs for file in run["files"]]
        for measure in OVERALL:
            values = [run["overall"][measure]["value"] for run in runs]
            assert [run[measure]["value"] for run in method["runs"]] == values
            assert method["overall"][measure]["value"] == pytest.approx(np.mean(values))
        for k, item in enumerate(method["classes"]):
            assert item["reference"] == runs[0]["classes"][k]["reference"]
            assert item["predicted"] == sum(run["classes"][k]["predicted"] for run in runs)
    assert "B is the mean of 2 runs, of mIoU " in lcmap(*named).stdout
    lonely = (*command[:3], *command[4:], "--name", "A", "--name", "A", "--name", "B")
    printed = lcmap(*lonely, "--replicate").stdout
    assert "B is a single run: its interval says nothing of other runs" in printed
    refused = lcmap(*command, "--replicate")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "--replicate: scores the maps of one name together" in refused.stderr


def test_whole_images_are_drawn_where_that_is_asked(
    lcmap: Callable[..., Run], write_labels: WriteLabels
) -> None:
    for zone in range(5):
        west = 700_000.0 + 500 * zone
        write_labels(f"refs/{zone}.tif", codes(0), west=west)
        write_labels(f"model/{zone}.tif", spoiled(zone, 0.1 * zone), west=west)
    images = ("--nomenclature", "topo6", "--resample", "images")
    command = ("score", "model", "--reference", "refs", *images)
    boot = json.loads(lcmap(*command, "--json").stdout)["bootstrap"]
    assert (boot["unit"], boot["blocks"], boot["block"]) == ("image", 5, None)
    assert (boot["images"], boot["images_differ"]) == (5, False)
    three = lcmap("score", "model", "--reference", "refs/[012].tif", *images)
    assert three.exit_code == 0
    assert "only 3 images, so intervals are wide; score more" in three.stderr
    few = lcmap("score", "model", "--reference", "refs/0.tif", *images, "-q")
    assert (few.exit_code, few.stderr.count("\n")) == (2, 1)
    assert "--resample images: 1 images with scored pixels say too little" in few.stderr
    both = lcmap(*command, "--block", 16)
    assert (both.exit_code, both.stderr.count("\n")) == (2, 1)
    assert "--block: is of --resample blocks; drop one" in both.stderr


@pytest.mark.parametrize(("step", "differ"), [(0.1, True), (0.0, False)])
def test_images_that_differ_more_than_their_blocks_are_said(
    lcmap: Callable[..., Run], write_labels: WriteLabels, step: float, differ: bool
) -> None:
    for zone in range(4):
        west = 700_000.0 + 500 * zone
        write_labels(f"refs/{zone}.tif", codes(0), west=west)
        write_labels(f"model/{zone}.tif", spoiled(10 + zone, 0.2 + step * zone), west=west)
    command = ("score", "model", "--reference", "refs", "--nomenclature", "topo6", "--block", 16)
    boot = json.loads(lcmap(*command, "--json").stdout)["bootstrap"]
    assert (boot["images"], boot["images_differ"], boot["blocks"]) == (4, differ, 80)
    printed = lcmap(*command)
    assert ("draws of 80 blocks of 16 px in 4 images that differ more" in printed.stdout) == differ
    warning = (
        "the 4 images differ more than blocks do, so intervals hold on their ground alone; for "
        "other images, score 3 or more with --resample images"
    )
    assert (warning in printed.stderr) == differ
