"""Whether bands are the same by their names: the one rule, for images, models and quantiles."""

from __future__ import annotations

from collections.abc import Sequence

from lcmap.raster.opening import has_band_names


def same_bands(names: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Tell whether there are as many bands on both sides, of the same names in the same order.

    Names count where both sides have names of their own, without regard to case or to spaces
    around them.
    """
    named = has_band_names(names) and has_band_names(others)
    return len(names) == len(others) and not (named and folded(names) != folded(others))


def folded(names: Sequence[str]) -> list[str]:
    """Return bands' names as they are compared."""
    return [name.strip().casefold() for name in names]
