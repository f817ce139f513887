"""Hectares as text."""

from __future__ import annotations

import math


def plain_hectares(hectares: float, *, figures: int = 0) -> str:
    """Return hectares to the nearest hundred square metres, in groups of three digits.

    Less than one hectare has so many significant figures, where they are given.
    """
    if figures and 0 < hectares < 1:
        decimals = figures - 1 - math.floor(math.log10(hectares))
        return f"{hectares:.{decimals}f}".rstrip("0").rstrip(".")
    return f"{hectares:,.2f}".replace(",", " ")
