"""Tiles partition the image, stay inside the padded image, and lie where their halo allow."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lcmap.graph.halo import ALL_AROUND, BorderSides, Halo, HaloSide, padded_halo
from lcmap.inference.tiling import Tile, spans, tiles_of
from lcmap.raster.windows import Window, mirror, padded_length, round_up

lengths = st.integers(1, 400)
blocks = st.integers(1, 150)
offsets = st.integers(0, 200)


@st.composite
def strides_and_halos(draw: st.DrawFn) -> tuple[int, Halo]:
    stride = draw(st.sampled_from([1, 2, 4, 8, 16]))
    residues, lost = st.integers(0, stride - 1), st.integers(0, 60)
    return stride, Halo(HaloSide(draw(residues), draw(lost)), HaloSide(draw(residues), draw(lost)))


@given(lengths, blocks, strides_and_halos(), offsets)
def test_spans_keep_their_promises(
    length: int, block: int, halo_of: tuple[int, Halo], offset: int
) -> None:
    stride, halo = halo_of
    result = spans(length, block, stride, halo, offset)
    padded = padded_length(length, stride)
    kept = [pixel for span in result for pixel in range(span.output_start, span.output_stop)]
    assert kept == list(range(length))
    for span in result:
        assert span.output_start < span.output_stop
        assert 0 <= span.input_start <= span.valid_start <= span.output_start
        assert span.output_stop <= span.valid_stop <= span.input_stop <= padded
        assert span.starts_at_border == (span.output_start == 0)
        assert span.stops_at_border == (span.output_stop == length)
        if span.starts_at_border:
            assert span.input_start == span.valid_start == 0
        else:
            assert span.input_start % stride == halo.before.residue
            assert span.valid_start - span.input_start == halo.before.width
        if span.stops_at_border:
            assert span.input_stop == span.valid_stop == padded
        else:
            assert span.input_stop % stride == halo.after.residue
            assert span.input_stop - span.valid_stop == halo.after.width


@given(lengths, blocks, strides_and_halos(), offsets)
def test_inner_spans_are_alike_and_no_longer_than_a_block(
    length: int, block: int, halo_of: tuple[int, Halo], offset: int
) -> None:
    stride, halo = halo_of
    inner = spans(length, block, stride, halo, offset)[1:-1]
    kept = {span.output_stop - span.output_start for span in inner}
    assert len(kept) <= 1 and len({span.input_stop - span.input_start for span in inner}) <= 1
    assert all(size <= round_up(block, stride) for size in kept)


@given(st.integers(200, 2000), st.integers(60, 300))
def test_spans_are_of_even_length(length: int, block: int) -> None:
    halo = Halo(HaloSide(2, 44), HaloSide(6, 44))
    kept = [span.output_stop - span.output_start for span in spans(length, block, 8, halo)]
    assert len(kept) <= -(-length // block) + 1
    assert max(kept) <= round_up(block, 8) + 2 * 8 + 44  # the last may not end so near the border


@given(lengths, st.sampled_from([1, 2, 4, 8, 16]))
def test_the_padded_length_is_the_definition(length: int, stride: int) -> None:
    padded = padded_length(length, stride)
    assert padded % stride == 0 and padded >= max(length, 2 * stride)
    assert padded - stride < length or padded == 2 * stride


@settings(deadline=None)  # small blocks make thousands of tiles
@given(st.integers(1, 90), st.integers(1, 90), blocks, strides_and_halos(), offsets)
def test_tiles_partition_the_image(
    height: int, width: int, block: int, halo_of: tuple[int, Halo], offset: int
) -> None:
    times_kept = np.zeros((height, width), int)
    for tile in tiles_of(height, width, block, *halo_of, offset):
        times_kept[tile.output_window.slices] += 1
        assert tile.output_window.intersection(tile.valid_window) == tile.output_window
        assert tile.valid_window.intersection(tile.input_window) == tile.valid_window
    assert (times_kept == 1).all()


def test_tiles_of_an_image() -> None:
    assert tiles_of(30, 20, 100, 4, padded_halo(4, 5)) == [
        Tile(Window(0, 0, 32, 20), Window(0, 0, 32, 20), Window(0, 0, 30, 20), ALL_AROUND),
    ]
    tiles = tiles_of(48, 20, 20, 4, Halo(HaloSide(1, 2), HaloSide(2, 3)))
    # kept parts begin at 4 i + 1 + 2 pixels and stop where 3 more end at 4 i + 2
    assert tiles == [
        Tile(Window(0, 0, 18, 20), Window(0, 0, 15, 20), Window(0, 0, 15, 20),
             BorderSides(True, True, False, True)),
        Tile(Window(13, 0, 21, 20), Window(15, 0, 16, 20), Window(15, 0, 16, 20),
             BorderSides(False, True, False, True)),
        Tile(Window(29, 0, 19, 20), Window(31, 0, 17, 20), Window(31, 0, 17, 20),
             BorderSides(False, True, True, True)),
    ]  # fmt: skip


@given(st.integers(1, 70), st.integers(1, 70), blocks, strides_and_halos())
def test_a_mirrored_tile_is_cut_from_the_mirrored_image(
    height: int, width: int, block: int, halo_of: tuple[int, Halo]
) -> None:
    stride, halo = halo_of
    image = np.arange(height * width, dtype=np.float32).reshape(1, height, width)
    below = padded_length(height, stride) - height
    right = padded_length(width, stride) - width
    padded = np.pad(image, ((0, 0), (0, below), (0, right)), mode="reflect")
    for tile in tiles_of(height, width, block, stride, halo):
        inside = tile.input_window.clipped(height, width)
        if min(inside[2:]) > stride or tile.border == ALL_AROUND:
            found = mirror(image[:, *inside.slices], tile.input_window)
            np.testing.assert_array_equal(found, padded[:, *tile.input_window.slices])
