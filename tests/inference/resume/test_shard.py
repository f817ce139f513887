"""The split of a map's tiles into shards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcmap.errors import UsageError
from lcmap.graph.halo import padded_halo
from lcmap.inference.resume.shard import Shard, found_shards, shard_path
from lcmap.inference.tiling import tiles_of
from lcmap.raster.windows import Window


def windows_of(height: int, width: int, tile: int) -> list[Window]:
    return [tile.output_window for tile in tiles_of(height, width, tile, 4, padded_halo(4, 6))]


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 90), st.integers(1, 500), st.data())
def test_every_tile_is_in_one_shard(
    height: int, width: int, tile: int, count: int, data: st.DataObject
) -> None:
    windows = data.draw(st.permutations(windows_of(height, width, tile)))
    parts = [Shard(number, count).of(windows) for number in range(1, count + 1)]
    # in their order, so that tiles of one graph stay together
    assert [item for part in parts for item in part.items()] == list(enumerate(windows))


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 90), st.integers(1, 60))
def test_shards_are_alike_to_a_tile(height: int, width: int, tile: int, count: int) -> None:
    windows = windows_of(height, width, tile)
    largest = max(window.height * window.width for window in windows)
    for number in range(1, count + 1):
        part = Shard(number, count).of(windows)
        pixels = sum(window.height * window.width for window in part.values())
        assert abs(pixels - height * width / count) <= largest


@given(st.integers(1, 500), st.data())
def test_a_shard_is_read_as_it_is_written(count: int, data: st.DataObject) -> None:
    shard = Shard(data.draw(st.integers(1, count)), count)
    assert Shard.parse(str(shard)) == shard


@pytest.mark.parametrize(
    "text", ["", "1", "/", "0/1", "2/1", "-1/2", "1/2/3", "1.0/2", "1 / 2", "a/b"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="3/20"):
        Shard.parse(text)


def test_shards_are_found_by_their_names(tmp_path) -> None:  # type: ignore[no-untyped-def]
    output = tmp_path / "map.tif"
    expected = [Shard(1, 2), Shard(2, 2), Shard(2, 10), Shard(10, 10)]
    for shard in reversed(expected):
        shard_path(output, shard).mkdir()
    shard_path(tmp_path / "map.tiff", Shard(1, 1)).mkdir()
    (tmp_path / ".map.tif.lcmap-shard-a-of-b").mkdir()
    shard_path(output, Shard(3, 10)).write_text("a file")
    assert list(found_shards(output)) == expected
