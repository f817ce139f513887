from __future__ import annotations

import numpy as np
import pytest

from lcmap.errors import UnknownLabelError
from lcmap.nomenclature import as_codes


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_whole_numbers_of_any_dtype_become_codes(dtype: type[np.generic]) -> None:
    codes = as_codes(np.array([[0, 1], [254, 255]]).astype(dtype), "labels.tif")
    assert codes.dtype == np.uint8
    assert codes.tolist() == [[0, 1], [254, 255]]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (np.array([1, -1], np.int16), "-1"),
        (np.array([1, 256], np.uint16), "256"),
        (np.array([1.5], np.float32), "1.5"),
        (np.array([np.nan], np.float32), "nan"),
        (np.arange(300, 400, dtype=np.int32), "300, 301, 302, 303, 304, …"),
    ],
)
def test_other_values_are_named(values: np.ndarray, shown: str) -> None:
    with pytest.raises(UnknownLabelError, match=r"labels\.tif: ") as caught:
        as_codes(values, "labels.tif")
    assert f"(0 to 255): {shown};" in str(caught.value)


def test_complex_numbers_are_refused() -> None:
    """Whatever they are, without numpy's warning of their imaginary parts."""
    with pytest.raises(
        UnknownLabelError, match=r"labels\.tif: has complex64 values, which are no "
    ):
        as_codes(np.array([0, 1], np.complex64), "labels.tif")
