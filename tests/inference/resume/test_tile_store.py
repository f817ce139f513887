"""A store gives back what was written, whatever the tiles and windows."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored_image import GROUPS, image, part

from lcmap.graph.halo import padded_halo
from lcmap.inference.resume.tile_store import TileStore
from lcmap.inference.tiling import tiles_of
from lcmap.raster.windows import Window


def filled(folder: Path, arrays: dict[str, np.ndarray], tile: int) -> TileStore:
    _, height, width = arrays["codes"].shape
    tiles = [tile.output_window for tile in tiles_of(height, width, tile, 4, padded_halo(4, 6))]
    store = TileStore(folder, tiles, GROUPS)
    for window in reversed(tiles):
        store.write(window, part(arrays, window))
    return store


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.data())
def test_any_window_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    height: int,
    width: int,
    tile: int,
    data: st.DataObject,
) -> None:
    arrays = image(height, width)
    store = filled(tmp_path_factory.mktemp("store"), arrays, tile)
    row, col = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = Window(
        row, col, data.draw(st.integers(1, height - row)), data.draw(st.integers(1, width - col))
    )
    for name, expected in part(arrays, window).items():
        np.testing.assert_array_equal(store.read(name, window), expected)
    np.testing.assert_array_equal(
        store.read("probabilities", window, slice(1, 2)),
        arrays["probabilities"][1:2, *window.slices],
    )
    store.close()


def test_what_was_flushed_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    arrays = image(50, 61)
    store = filled(tmp_path, arrays, 16)
    store.flush()
    store.close()
    again = TileStore(
        tmp_path,
        [tile.output_window for tile in tiles_of(50, 61, 16, 4, padded_halo(4, 6))],
        GROUPS,
    )
    np.testing.assert_array_equal(again.read("codes", Window(0, 0, 50, 61)), arrays["codes"])
    again.close()


def test_the_disk_is_used_as_tiles_are_written(tmp_path: Path) -> None:
    tiles = [Window(0, 0, 512, 512), Window(0, 512, 512, 512)]
    store = TileStore(tmp_path, tiles, GROUPS)
    whole = 2 * 512 * 512 * (1 + 3 * 4)
    assert store.missing_bytes() == whole
    assert not store.read("codes", Window(0, 0, 512, 1024)).any()
    store.write(tiles[1], image(512, 512))
    store.flush()
    assert store.missing_bytes() == pytest.approx(whole / 2, rel=0.02)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == whole
    store.close()


def test_an_array_of_another_shape_is_refused(tmp_path: Path) -> None:
    store = TileStore(tmp_path, [Window(0, 0, 4, 4)], GROUPS)
    with pytest.raises(ValueError, match="codes: "):
        store.write(Window(0, 0, 4, 4), image(4, 5))
    store.close()


def test_a_write_that_the_system_cuts_short_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: whole(fd, data[:100], at))
    arrays = image(30, 40)
    store = filled(tmp_path, arrays, 16)
    np.testing.assert_array_equal(
        store.read("probabilities", Window(0, 0, 30, 40)), arrays["probabilities"]
    )

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="full"):
        store.write(Window(0, 0, 16, 16), image(16, 16))
    store.close()


@given(st.data())
def test_a_checksum_tells_whether_a_tile_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("store")
    tiles = [Window(0, 0, 5, 7), Window(0, 7, 5, 3), Window(5, 0, 2, 7), Window(5, 7, 2, 3)]
    store = TileStore(folder, tiles, GROUPS)
    arrays = image(7, 10)
    checksums = [store.write(tile, part(arrays, tile)) for tile in tiles]
    assert [store.checksum(tile) for tile in tiles] == checksums
    path = folder / data.draw(st.sampled_from(["codes.raw", "probabilities.raw"]))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    same = [
        all(np.array_equal(store.read(name, tile), values[:, *tile.slices])
            for name, values in arrays.items())
        for tile in tiles
    ]  # fmt: skip
    assert same.count(False) == 1
    assert [store.checksum(tile) == sum for tile, sum in zip(tiles, checksums, strict=True)] == same
    store.close()
