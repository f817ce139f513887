"""Counts of codes, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lcmap.raster.code_counts import CountedRaster, code_counts


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0)), st.integers(1, 3)
)
def test_as_bincount(codes: np.ndarray, step: int) -> None:
    codes = codes[..., ::step]
    np.testing.assert_array_equal(code_counts(codes), np.bincount(codes.ravel(), minlength=256))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_what_is_written_is_counted(dtype: str) -> None:
    possible = np.iinfo(dtype).max + 1
    codes = np.random.default_rng(0).integers(0, possible, (40, 50)).astype(dtype)
    placed = rasterio.Affine(2, 0, 0, 0, -2, 0)
    with (
        rasterio.MemoryFile() as memory,
        memory.open(
            driver="GTiff", count=1, height=40, width=50, dtype=dtype, transform=placed
        ) as dataset,
    ):
        raster = CountedRaster(dataset)
        for row in range(0, 40, 8):
            # as other integers too, in any number of dimensions
            strip = codes[None, row : row + 8].astype("int32")
            raster.write(strip, [1], window=((row, row + 8), (0, 50)))
        expected = np.bincount(codes.ravel(), minlength=possible)
        np.testing.assert_array_equal(raster.counts, expected)
        assert raster.shape == (40, 50)
