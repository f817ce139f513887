"""The arrays of shards, read as those of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored_image import GROUPS, image, part

from lcmap.graph.halo import padded_halo
from lcmap.inference.resume import merging
from lcmap.inference.resume.merging import FoundShard, GatheredArrays
from lcmap.inference.resume.shard import Shard
from lcmap.inference.resume.tile_store import TileStore
from lcmap.inference.resume.work_folder import WorkFolder
from lcmap.inference.tiling import tiles_of
from lcmap.raster.windows import Window


def made(folder: Path, arrays: dict[str, np.ndarray], tile: int, count: int) -> list[FoundShard]:
    """Store an image in shards, without the records of a run."""
    _, height, width = arrays["codes"].shape
    windows = [tile.output_window for tile in tiles_of(height, width, tile, 4, padded_halo(4, 6))]
    plan: dict[str, Any] = {"outputs": [list(group) for group in GROUPS]}
    shards = []
    for number in range(1, count + 1):
        shard = Shard(number, count)
        own = shard.of(windows)
        work = WorkFolder("map.tif", resumable=True, place=folder / str(number))
        work.path = folder / str(number)
        work.path.mkdir()
        store = TileStore(work.path, list(own.values()), GROUPS)
        for window in own.values():
            store.write(window, part(arrays, window))
        store.close()
        shards.append(FoundShard(shard, work, plan, own, []))
    return shards


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.integers(1, 9), st.data())
def test_any_window_is_what_was_stored_in_shards(
    tmp_path_factory: pytest.TempPathFactory,
    height: int,
    width: int,
    tile: int,
    count: int,
    data: st.DataObject,
) -> None:
    arrays = image(height, width)
    shards = made(tmp_path_factory.mktemp("shards"), arrays, tile, count)
    row, col = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = Window(
        row, col, data.draw(st.integers(1, height - row)), data.draw(st.integers(1, width - col))
    )
    with GatheredArrays(shards) as gathered:
        for name, expected in part(arrays, window).items():
            np.testing.assert_array_equal(gathered.read(name, window), expected)
        np.testing.assert_array_equal(
            gathered.read("probabilities", window, slice(1, 2)),
            part(arrays, window)["probabilities"][1:2],
        )


def test_few_files_are_open_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "_MOST_OPEN", 2)
    arrays = image(40, 40)
    whole = Window(0, 0, 40, 40)
    with GatheredArrays(made(tmp_path, arrays, 8, 7)) as gathered:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(2):
            np.testing.assert_array_equal(gathered.read("codes", whole), arrays["codes"])
        # two shards, a file for each band group
        assert len(list(Path("/proc/self/fd").iterdir())) - before <= 2 * len(GROUPS)
