"""Blocks that take the least work: every pixel once, in the memory allowed, never more work."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcmap.graph.halo import Halo, HaloSide
from lcmap.inference.block_choice import cheapest_block
from lcmap.inference.tiling import Block, Tile, tiles_of

# of the network of cells, depth 3
STRIDE, HALO = 16, Halo(HaloSide(4, 185), HaloSide(12, 185))


def work(tiles: list[Tile]) -> float:
    """Return the pixels computed, and for each graph what it takes, as pixels."""
    kinds = {(tile.border, *tile.input_window[2:]): tile.input_window.pixels for tile in tiles}
    computed = sum(tile.input_window.pixels for tile in tiles)
    return computed + 400_000 * len(kinds) + 0.13 * sum(kinds.values())


lengths = st.one_of(st.integers(1, 400), st.integers(400, 30_000))


@settings(deadline=None)
@given(lengths, lengths, st.integers(16, 3072))
def test_no_image_takes_more_work_or_memory_than_in_squares(
    height: int, width: int, side: int
) -> None:
    height, width = min(height, 20 * side), min(width, 20 * side)  # no more than hundreds of tiles
    block = cheapest_block(height, width, side, STRIDE, HALO)
    tiles, squares = (tiles_of(height, width, b, STRIDE, HALO) for b in (block, side))
    assert sum(tile.output_window.pixels for tile in tiles) == height * width
    if block == (side, side):
        return
    assert work(tiles) < work(squares)
    most = (side + 185 + 185 + STRIDE) ** 2
    assert max(tile.input_window.pixels for tile in tiles) <= most


@settings(deadline=None, max_examples=30)
@given(st.integers(200, 3000), st.integers(200, 3000), st.integers(300, 1000))
def test_no_other_numbers_of_rows_and_columns_take_much_less(
    height: int, width: int, side: int
) -> None:
    chosen = work(tiles_of(height, width, cheapest_block(height, width, side, STRIDE, HALO),
                           STRIDE, HALO))  # fmt: skip
    most = (side + 185 + 185 + STRIDE) ** 2
    for rows in range(1, 7):
        for columns in range(1, 7):
            block = Block(-(-height // rows), -(-width // columns))
            tiles = tiles_of(height, width, block, STRIDE, HALO)
            fits = max(tile.input_window.pixels for tile in tiles) <= most
            if fits and rows <= 2 * height / side and columns <= 2 * width / side:
                assert chosen <= work(tiles) / 0.98


@pytest.mark.parametrize(
    ("shape", "side", "block"),
    [
        ((2048, 2048), 2944, Block(2944, 2944)),  # a tile as it is
        ((3072, 3072), 2944, Block(3072, 3072)),  # one instead of four
        ((4096, 4096), 2944, Block(2048, 4096)),  # two graphs instead of four, wide tiles
        ((8192, 8192), 2944, Block(2048, 4096)),  # six graphs instead of nine
        ((8192, 8192), 2224, Block(2224, 2224)),  # as much work in other blocks
        ((10**6, 10**6), 2224, Block(2224, 2224)),  # nine graphs are nothing there
    ],
)
def test_blocks_of_images(shape: tuple[int, int], side: int, block: Block) -> None:
    assert cheapest_block(*shape, side, STRIDE, HALO) == block
