"""What a band shows, by its name: red, green, blue, near infrared. Programs make a picture of it.

GDAL takes the first three 8-bit bands for a picture and the fourth for its transparency, unless a
file says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

from rasterio.enums import ColorInterp
from rasterio.env import GDALVersion

_WORDS = {
    "red": ("red", "rouge", "r"),
    "green": ("green", "vert", "g"),
    "blue": ("blue", "bleu", "b"),
    "nir": ("nir", "near infrared", "near-infrared", "pir", "n"),
    "rededge": ("rededge", "red edge", "red-edge"),
    "swir": ("swir",),
    "pan": ("pan", "panchromatic"),
}
_SENTINEL_2 = {"b2": "blue", "b3": "green", "b4": "red", "b8": "nir"}
_PICTURE = ("red", "green", "blue")


def color_interpretation(names: Sequence[str]) -> tuple[ColorInterp, ...] | None:
    """Return what each band of an image shows, undefined where its name does not say.

    None where no name says anything. Of two bands that show the same the first counts.
    """
    plain = [name.strip().casefold().replace("_", " ") for name in names]
    meanings = {word: meaning for meaning, words in _WORDS.items() for word in words}
    if {"b2", "b3", "b4"} <= set(plain) and ("b1" not in plain or "b8a" in plain):
        meanings.update(_SENTINEL_2)
    found: list[ColorInterp] = []
    for name in plain:
        meaning = meanings.get(name)
        color = ColorInterp.undefined
        # before 3.10 GDAL knew the colours of a picture alone
        if meaning in _PICTURE or (meaning and GDALVersion.runtime().at_least("3.10")):
            color = ColorInterp[meaning]
        found.append(ColorInterp.undefined if color in found else color)
    return tuple(found) if any(color != ColorInterp.undefined for color in found) else None
