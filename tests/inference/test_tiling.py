"""Tiles partition the image, stay inside the padded image, and lie where their borders allow."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lcmap.inference.borders import ALL_AROUND, Borders, Rim, Side, padded_borders
from lcmap.inference.tiling import Tile, mirror, padded_length, round_up, spans, tiles_of
from lcmap.raster.windows import Window

lengths = st.integers(1, 400)
blocks = st.integers(1, 150)
offsets = st.integers(0, 200)


@st.composite
def strides_and_borders(draw: st.DrawFn) -> tuple[int, Borders]:
    stride = draw(st.sampled_from([1, 2, 4, 8, 16]))
    residues, lost = st.integers(0, stride - 1), st.integers(0, 60)
    return stride, Borders(Side(draw(residues), draw(lost)), Side(draw(residues), draw(lost)))


@given(lengths, blocks, strides_and_borders(), offsets)
def test_spans_keep_their_promises(
    length: int, block: int, borders_of: tuple[int, Borders], offset: int
) -> None:
    stride, borders = borders_of
    result = spans(length, block, stride, borders, offset)
    padded = padded_length(length, stride)
    kept = [pixel for span in result for pixel in range(span.keep_start, span.keep_stop)]
    assert kept == list(range(length))
    for span in result:
        assert span.keep_start < span.keep_stop
        assert 0 <= span.start <= span.right_start <= span.keep_start
        assert span.keep_stop <= span.right_stop <= span.stop <= padded
        assert span.first_is_rim == (span.keep_start == 0)
        assert span.last_is_rim == (span.keep_stop == length)
        if span.first_is_rim:
            assert span.start == span.right_start == 0
        else:
            assert span.start % stride == borders.before.residue
            assert span.right_start - span.start == borders.before.lost
        if span.last_is_rim:
            assert span.stop == span.right_stop == padded
        else:
            assert span.stop % stride == borders.after.residue
            assert span.stop - span.right_stop == borders.after.lost


@given(lengths, blocks, strides_and_borders(), offsets)
def test_inner_spans_are_alike_and_no_longer_than_a_block(
    length: int, block: int, borders_of: tuple[int, Borders], offset: int
) -> None:
    stride, borders = borders_of
    inner = spans(length, block, stride, borders, offset)[1:-1]
    kept = {span.keep_stop - span.keep_start for span in inner}
    assert len(kept) <= 1 and len({span.stop - span.start for span in inner}) <= 1
    assert all(size <= round_up(block, stride) for size in kept)


@given(st.integers(200, 2000), st.integers(60, 300))
def test_spans_are_of_even_length(length: int, block: int) -> None:
    borders = Borders(Side(2, 44), Side(6, 44))
    kept = [span.keep_stop - span.keep_start for span in spans(length, block, 8, borders)]
    assert len(kept) <= -(-length // block) + 1
    assert max(kept) <= round_up(block, 8) + 2 * 8 + 44  # the last may not end so near the rim


@given(lengths, st.sampled_from([1, 2, 4, 8, 16]))
def test_the_padded_length_is_the_definition(length: int, stride: int) -> None:
    padded = padded_length(length, stride)
    assert padded % stride == 0 and padded >= max(length, 2 * stride)
    assert padded - stride < length or padded == 2 * stride


@given(st.integers(1, 90), st.integers(1, 90), blocks, strides_and_borders(), offsets)
def test_tiles_partition_the_image(
    height: int, width: int, block: int, borders_of: tuple[int, Borders], offset: int
) -> None:
    times_kept = np.zeros((height, width), int)
    for tile in tiles_of(height, width, block, *borders_of, offset):
        times_kept[tile.kept.slices] += 1
        assert tile.kept.intersection(tile.right) == tile.kept
        assert tile.right.intersection(tile.seen) == tile.right
    assert (times_kept == 1).all()


def test_tiles_of_an_image() -> None:
    assert tiles_of(30, 20, 100, 4, padded_borders(4, 5)) == [
        Tile(Window(0, 0, 32, 20), Window(0, 0, 32, 20), Window(0, 0, 30, 20), ALL_AROUND),
    ]
    tiles = tiles_of(48, 20, 20, 4, Borders(Side(1, 2), Side(2, 3)))
    # kept parts begin at 4 i + 1 + 2 pixels and stop where 3 more end at 4 i + 2
    assert tiles == [
        Tile(Window(0, 0, 18, 20), Window(0, 0, 15, 20), Window(0, 0, 15, 20),
             Rim(True, True, False, True)),
        Tile(Window(13, 0, 21, 20), Window(15, 0, 16, 20), Window(15, 0, 16, 20),
             Rim(False, True, False, True)),
        Tile(Window(29, 0, 19, 20), Window(31, 0, 17, 20), Window(31, 0, 17, 20),
             Rim(False, True, True, True)),
    ]  # fmt: skip


@given(st.integers(1, 70), st.integers(1, 70), blocks, strides_and_borders())
def test_a_mirrored_tile_is_cut_from_the_mirrored_image(
    height: int, width: int, block: int, borders_of: tuple[int, Borders]
) -> None:
    stride, borders = borders_of
    image = np.arange(height * width, dtype=np.float32).reshape(1, height, width)
    below = padded_length(height, stride) - height
    right = padded_length(width, stride) - width
    padded = np.pad(image, ((0, 0), (0, below), (0, right)), mode="reflect")
    for tile in tiles_of(height, width, block, stride, borders):
        inside = tile.seen.clipped(height, width)
        if min(inside[2:]) > stride or tile.rim == ALL_AROUND:
            found = mirror(image[:, *inside.slices], tile.seen)
            np.testing.assert_array_equal(found, padded[:, *tile.seen.slices])
