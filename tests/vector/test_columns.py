"""Columns of vector files as numbers."""

from __future__ import annotations

import numpy as np

from lcmap.vector.columns import as_numbers


def test_numbers_in_texts() -> None:
    assert np.array_equal(
        as_numbers(np.array(["-1", "2.5", "x", None], object)), [-1, 2.5, np.nan, np.nan], True
    )
