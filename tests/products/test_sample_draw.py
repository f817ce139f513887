"""Pixels drawn block by block are those drawn of the whole, each as likely as another."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from lcmap.products.sample_draw import Lattice, RankedDraw, joined
from lcmap.raster.code_counts import code_counts
from lcmap.raster.windows import iter_blocks


def blocks_of(codes: NDArray[np.uint8], block: int) -> tuple[list, NDArray[np.int64]]:
    windows = list(iter_blocks(*codes.shape, block))
    return windows, np.array([code_counts(codes[window.slices]) for window in windows])


@given(
    seed=st.integers(0, 99), block=st.integers(1, 20), height=st.integers(1, 25),
    width=st.integers(1, 25),
)  # fmt: skip
@settings(deadline=None)
def test_of_each_code_so_many_pixels_no_one_twice(
    seed: int, block: int, height: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (height, width)).astype(np.uint8)
    windows, counts = blocks_of(codes, block)
    totals = code_counts(codes)
    wanted = {code: int(rng.integers(0, totals[code] + 1)) for code in (1, 2, 3)}
    draw = RankedDraw(counts, wanted, rng)
    parts = []
    for number, window in enumerate(windows):
        found = draw.in_block(number, window, codes[window.slices])
        assert draw.any_in(number) == (len(found.rows) > 0)
        parts.append(found)
    pixels = joined(parts)
    assert (codes[pixels.rows, pixels.cols] == pixels.codes).all()
    assert {code: int((pixels.codes == code).sum()) for code in wanted} == wanted
    assert len(set(zip(pixels.rows.tolist(), pixels.cols.tolist(), strict=True))) == len(
        pixels.rows
    )


def test_each_pixel_of_a_stratum_is_as_likely_as_another() -> None:
    codes = (np.arange(60) % 3 + 1).reshape(6, 10).astype(np.uint8)
    windows, counts = blocks_of(codes, 4)
    found = np.zeros(codes.shape)
    rng = np.random.default_rng(0)
    for _ in range(2_000):
        draw = RankedDraw(counts, {1: 3, 2: 10}, rng)
        for number, window in enumerate(windows):
            pixels = draw.in_block(number, window, codes[window.slices])
            found[pixels.rows, pixels.cols] += 1
    for code in (1, 2):
        assert stats.chisquare(found[codes == code]).pvalue > 1e-3
    assert not found[codes == 3].any()


@given(
    seed=st.integers(0, 99), size=st.integers(1, 200), block=st.integers(1, 20),
    height=st.integers(1, 40), width=st.integers(1, 40),
)  # fmt: skip
@settings(deadline=None)
def test_a_lattice_by_blocks_is_that_of_the_whole(
    seed: int, size: int, block: int, height: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, (height, width)).astype(np.uint8)
    lattice = Lattice.drawn(max(int((codes > 0).sum()), 1), size, rng)
    expected = {
        (row, col)
        for row in range(lattice.row, height, lattice.step)
        for col in range(lattice.col, width, lattice.step)
        if codes[row, col]
    }
    windows = list(iter_blocks(height, width, block))
    pixels = joined(
        [lattice.in_block(n, window, codes[window.slices]) for n, window in enumerate(windows)]
    )
    assert set(zip(pixels.rows.tolist(), pixels.cols.tolist(), strict=True)) == expected
    assert len(pixels.rows) == len(expected)
    assert lattice.inclusion_probability == 1 / lattice.step**2
