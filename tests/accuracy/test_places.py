"""Which blocks show what a map is like."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lcmap.accuracy.places import choose_places


def margins(right: int, pixels: int) -> np.ndarray:
    """Margins of two maps and two classes; the second map has all wrong."""
    first = [[right, 0], [pixels, 0], [pixels, 0]]
    return np.array([first, [[0, 0], [pixels, 0], [0, pixels]]])


@given(st.lists(st.integers(0, 100), min_size=1, max_size=30))
def test_the_best_the_median_and_the_worst_of_the_first_map(rights: list[int]) -> None:
    blocks = {(0, 0, n): margins(right, 100) for n, right in enumerate(rights)}
    places = choose_places(blocks)
    shares = {place.title: place.agreement for place in places}
    assert shares["best"] == max(rights) / 100
    if "worst" in shares:
        assert shares["worst"] == min(rights) / 100
    if "typical" in shares:
        assert shares["typical"] == sorted(rights)[(len(rights) - 1) // 2] / 100
    assert len({place[1:4] for place in places}) == len(places) == min(len(rights), 3)


def test_blocks_of_few_pixels_are_left_out() -> None:
    blocks = {(0, 0, 0): margins(1, 1), (0, 0, 1): margins(60, 100), (1, 2, 3): margins(80, 90)}
    places = choose_places(blocks)
    assert [(place.title, place.agreement) for place in places] == [
        ("best", 80 / 90),
        ("typical", 0.6),
    ]
    assert (places[0].reference, places[0].row, places[0].col) == (1, 2, 3)
    assert choose_places({}) == []
