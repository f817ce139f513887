"""The bands of Sentinel-2's MSI."""

from __future__ import annotations

import re
from collections.abc import Sequence

RESOLUTIONS = {
    "B1": 60,
    "B2": 10,
    "B3": 10,
    "B4": 10,
    "B5": 20,
    "B6": 20,
    "B7": 20,
    "B8": 10,
    "B8A": 20,
    "B9": 60,
    "B10": 60,
    "B11": 20,
    "B12": 20,
}
"""Native pixel size in metres, in the order of the products' band ids (0 to 12)."""

BANDS = tuple(RESOLUTIONS)

LAND_BANDS = tuple(band for band, metres in RESOLUTIONS.items() if metres < 60)
"""The ten bands of 10 and 20 m, which see the ground; those of 60 m see the atmosphere."""


def normalised(name: str) -> str:
    """Return a band's name without padding, "B02" as "B2"; any other name as it is."""
    match = re.fullmatch(r"b0?(\d{1,2})(a?)", name.strip(), re.IGNORECASE)
    band = f"B{int(match[1])}{match[2].upper()}" if match else name
    return band if band in RESOLUTIONS else name


def padded(band: str) -> str:
    """Return a band's name as ESA's files have it: "B2" as "B02", "B8A" as it is."""
    return band if len(band) == 3 else f"B0{band[1:]}"


def default_choice(names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the ten bands that see the ground if an image has them all, else None."""
    return LAND_BANDS if set(LAND_BANDS) <= set(names) else None
