"""Tiles partition the image, stay inside the padded image, and see far enough."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lcmap.inference.tiling import Tile, iter_tiles, mirror, padded_length, round_up, spans
from lcmap.raster.windows import Window

lengths = st.integers(1, 400)
blocks = st.integers(1, 150)
strides = st.sampled_from([1, 2, 4, 8, 16])
receptive_fields = st.integers(0, 60)
offsets = st.integers(0, 200)


@given(lengths, blocks, strides, receptive_fields, offsets)
def test_spans_keep_their_promises(
    length: int, block: int, stride: int, receptive_field: int, offset: int
) -> None:
    result = spans(length, block, stride, receptive_field, offset)
    padded = padded_length(length, stride)
    kept = [pixel for span in result for pixel in range(span.keep_start, span.keep_stop)]
    assert kept == list(range(length))
    assert len({span.stop - span.start for span in result}) == 1
    for span in result:
        assert span.keep_start < span.keep_stop
        assert 0 <= span.start <= span.keep_start and span.keep_stop <= span.stop <= padded
        assert span.start % stride == 0 and span.stop % stride == 0
        # an edge is the rim, or the receptive field is between it and what is kept
        assert span.start == 0 or span.keep_start - span.start >= receptive_field
        assert span.stop == padded or span.stop - span.keep_stop >= receptive_field


@given(lengths, blocks, strides, receptive_fields, offsets)
def test_kept_parts_end_where_the_blocks_do(
    length: int, block: int, stride: int, receptive_field: int, offset: int
) -> None:
    result = spans(length, block, stride, receptive_field, offset)
    size = round_up(block, stride)
    for span in result[:-1]:
        assert (span.keep_stop - round_up(offset, stride)) % size == 0


@given(lengths, strides)
def test_the_padded_length_is_the_definition(length: int, stride: int) -> None:
    padded = padded_length(length, stride)
    assert padded % stride == 0 and padded >= max(length, 2 * stride)
    assert padded - stride < length or padded == 2 * stride


@given(st.integers(1, 90), st.integers(1, 90), blocks, strides, receptive_fields, offsets)
def test_tiles_partition_the_image(
    height: int, width: int, block: int, stride: int, receptive_field: int, offset: int
) -> None:
    times_kept = np.zeros((height, width), int)
    for tile in iter_tiles(height, width, block, stride, receptive_field, offset):
        times_kept[tile.kept.slices] += 1
        rows, cols = tile.kept_in_seen.slices
        assert rows.stop <= tile.seen.height and cols.stop <= tile.seen.width
        assert rows.start >= 0 and cols.start >= 0
    assert (times_kept == 1).all()


def test_tiles_of_an_image() -> None:
    tiles = list(iter_tiles(30, 20, block=16, stride=4, receptive_field=5))
    assert tiles == [
        Tile(Window(0, 0, 32, 20), Window(0, 0, 30, 20)),
    ]
    tiles = list(iter_tiles(40, 20, block=16, stride=4, receptive_field=5))
    assert tiles == [
        Tile(Window(0, 0, 32, 20), Window(0, 0, 16, 20)),
        Tile(Window(8, 0, 32, 20), Window(16, 0, 16, 20)),
        Tile(Window(8, 0, 32, 20), Window(32, 0, 8, 20)),
    ]


@given(st.integers(1, 70), st.integers(1, 70), blocks, strides, receptive_fields)
def test_a_mirrored_tile_is_cut_from_the_mirrored_image(
    height: int, width: int, block: int, stride: int, receptive_field: int
) -> None:
    image = np.arange(height * width, dtype=np.float32).reshape(1, height, width)
    below = padded_length(height, stride) - height
    right = padded_length(width, stride) - width
    padded = np.pad(image, ((0, 0), (0, below), (0, right)), mode="reflect")
    for tile in iter_tiles(height, width, block, stride, receptive_field):
        inside = tile.seen.clipped(height, width)
        found = mirror(image[:, *inside.slices], tile.seen)
        np.testing.assert_array_equal(found, padded[:, *tile.seen.slices])
