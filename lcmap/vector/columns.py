"""Columns of vector files, as numbers and as text."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_numbers(column: NDArray[Any]) -> NDArray[np.float64]:
    """Return a column [N] of numbers, or of texts that hold numbers, as float64; NaN elsewhere."""
    if np.issubdtype(column.dtype, np.number):
        return column.astype(np.float64)
    return np.array([_as_number(value) for value in column.tolist()], np.float64)


def _as_number(value: object) -> float:
    try:
        return float(str(value).replace(",", "."))
    except ValueError:
        return math.nan


def as_text(value: object) -> str | None:
    """Return a field's value as text; None for null."""
    if value is None:
        return None
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return f"{value:.15g}"
    return str(value)
