"""What bands show, by their names."""

from __future__ import annotations

import pytest
from support import known_colors

from lcmap.raster.band_colors import color_interpretation


@pytest.mark.parametrize(
    ("names", "colors"),
    [
        ("red green blue nir", "red green blue nir"),
        ("Nir Red Green", "nir red green"),
        ("rouge vert bleu pir", "red green blue nir"),
        ("B2 B3 B4 B8", "blue green red nir"),
        (
            "B2 B3 B4 B5 B6 B7 B8 B8A B11 B12",
            "blue green red undefined undefined undefined nir undefined undefined undefined",
        ),
        ("red green blue alpha", "red green blue undefined"),
        ("red red green blue", "red undefined green blue"),
        ("height red", "undefined red"),
    ],
)
def test_names_that_say_what_a_band_shows(names: str, colors: str) -> None:
    found = color_interpretation(names.split())
    assert found is not None
    assert [color.name for color in found] == known_colors(colors)


@pytest.mark.parametrize("names", ["", "band-1 band-2", "B1 B2 B3 B4", "alpha mask", "water trees"])
def test_names_that_say_nothing(names: str) -> None:
    assert color_interpretation(names.split()) is None
