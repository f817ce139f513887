"""Hectares as text."""

from __future__ import annotations

import pytest

from lcmap.products.hectares import plain_hectares


@pytest.mark.parametrize(
    ("hectares", "column", "line"),
    [
        (0, "0.00", "0.00"),
        (0.025, "0.03", "0.025"),
        (0.000025, "0.00", "0.000025"),
        (0.1234567, "0.12", "0.1235"),
        (12.3456, "12.35", "12.35"),
        (16_000, "16 000.00", "16 000.00"),
        (5.4e7, "54 000 000.00", "54 000 000.00"),
    ],
)
def test_figures_are_plain(hectares: float, column: str, line: str) -> None:
    assert plain_hectares(hectares) == column
    assert plain_hectares(hectares, figures=4) == line
