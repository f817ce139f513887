"""Counts of codes, against NumPy's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lcmap.raster.code_counts import code_counts


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0)), st.integers(1, 3)
)
def test_as_bincount(codes: np.ndarray, step: int) -> None:
    codes = codes[..., ::step]
    np.testing.assert_array_equal(code_counts(codes), np.bincount(codes.ravel(), minlength=256))
