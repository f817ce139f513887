"""Bands are the same by their number and, where both sides have some, by their names."""

from __future__ import annotations

import pytest

from lcmap.raster.band_comparison import same_bands


@pytest.mark.parametrize(
    ("names", "others", "same"),
    [
        (("red", "nir"), ("red", "nir"), True),
        (("red", "nir"), (" RED", "Nir "), True),
        (("red", "nir"), ("band 1", "Band 2"), True),
        (("red", "nir"), ("nir", "red"), False),
        (("red", "nir"), ("red", "swir"), False),
        (("red", "nir"), ("red", "band 2"), False),
        (("red", "nir"), ("band 1",), False),
        (("band 1",), ("band 1", "band 2"), False),
    ],
)
def test_bands_are_the_same(names: tuple[str, ...], others: tuple[str, ...], same: bool) -> None:
    assert same_bands(names, others) == same_bands(others, names) == same
