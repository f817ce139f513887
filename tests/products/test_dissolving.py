"""Objects below the minimum mapping unit, against one after the other as the rule says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from lcmap.products.dissolving import dissolve

Codes = NDArray[np.uint8]


def one_by_one(codes: Codes, row_areas: NDArray[np.int64], least: int) -> Codes:
    """Dissolve the smallest object, then look at the whole map again, until none is too small."""
    codes = codes.copy()
    areas = np.broadcast_to(row_areas[:, None], codes.shape)
    while True:
        found = []
        for code in set(codes.ravel().tolist()) - {0}:
            numbers, count = ndimage.label(codes == code)
            for number in range(1, count + 1):
                mask = numbers == number
                borders = shared_borders(codes, mask)
                if areas[mask].sum() < least and borders:
                    found.append((areas[mask].sum(), np.flatnonzero(mask)[0], mask, borders))
        if not found:
            return codes
        _, _, mask, borders = min(found, key=lambda item: item[:2])
        codes[mask] = min(borders, key=lambda code: (-borders[code], code))


def shared_borders(codes: Codes, mask: NDArray[np.bool_]) -> dict[int, int]:
    """Return how many pixel sides an object shares with each class around it."""
    padded, inside = np.pad(codes, 1), np.pad(mask, 1)
    borders: dict[int, int] = {}
    for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
        beyond = np.roll(padded, shift, axis)[inside & ~np.roll(inside, shift, axis)]
        for code in beyond[beyond != 0].tolist():
            borders[code] = borders.get(code, 0) + 1
    return borders


maps = st.integers(1, 4).flatmap(
    lambda classes: arrays(
        np.uint8,
        st.tuples(st.integers(1, 14), st.integers(1, 14)),
        elements=st.integers(0, classes),
    )
)


@settings(max_examples=150)
@given(codes=maps, least=st.integers(1, 30))
def test_many_at_once_is_one_by_one(codes: Codes, least: int) -> None:
    pixels = np.ones(len(codes), np.int64)
    done = dissolve(codes, pixels, least)
    assert np.array_equal(done.codes, one_by_one(codes, pixels, least))
    assert not done.unsettled.any()


@given(codes=maps, least=st.integers(1, 60), seed=st.integers(0, 99))
def test_pixels_may_differ_in_area_from_row_to_row(codes: Codes, least: int, seed: int) -> None:
    row_areas = np.random.default_rng(seed).integers(1, 5, len(codes))
    done = dissolve(codes, row_areas, least)
    assert np.array_equal(done.codes, one_by_one(codes, row_areas, least))


@settings(max_examples=150)
@given(
    codes=maps, least=st.integers(2, 12),
    corner=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    size=st.tuples(st.integers(1, 14), st.integers(1, 14)),
)  # fmt: skip
def test_what_a_part_settles_is_what_becomes_of_it_in_the_whole(
    codes: Codes, least: int, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    rows = slice(corner[0], corner[0] + size[0])
    cols = slice(corner[1], corner[1] + size[1])
    part = codes[rows, cols]
    if not part.size:
        return
    height, width = codes.shape
    row_areas = np.ones(height, np.int64)
    open_sides = (rows.start > 0, rows.stop < height, cols.start > 0, cols.stop < width)
    done = dissolve(part, row_areas[rows], least, open_sides)
    settled = ~done.objects.spread(done.unsettled)
    whole = dissolve(codes, row_areas, least).codes[rows, cols]
    assert np.array_equal(done.codes[settled], whole[settled])


def test_a_part_settles_what_is_far_from_its_sides() -> None:
    rng = np.random.default_rng(0)
    codes = np.kron(rng.integers(1, 4, (40, 40)), np.ones((5, 5))).astype(np.uint8)
    specks = rng.random(codes.shape) < 0.05
    codes[specks] = rng.integers(1, 4, np.count_nonzero(specks))
    done = dissolve(codes, np.ones(200, np.int64), 20, (True, True, True, True))
    unsettled = done.objects.spread(done.unsettled)
    assert unsettled.any()
    assert not unsettled[20:-20, 20:-20].any()


def test_nothing_stays_below_the_unit_but_islands_in_ground_without_a_class() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(1, 6, (64, 64), np.uint8)
    codes[:8] = 0
    codes[3, 3] = 2
    done = dissolve(codes, np.ones(64, np.int64), 50)
    assert done.codes[3, 3] == 2
    assert np.array_equal(done.codes == 0, codes == 0)
    for code in range(1, 6):
        numbers, count = ndimage.label(done.codes[8:] == code)
        assert count == 0 or np.bincount(numbers.ravel())[1:].min() >= 50


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([[1, 1, 1], [1, 2, 3], [1, 3, 3]], 1),  # two sides each: the lower code
        ([[3, 3, 3], [1, 2, 3], [1, 1, 1]], 1),
        ([[0, 0, 0], [0, 2, 3], [0, 0, 0]], 3),  # ground without a class is no neighbour
    ],
)
def test_the_longest_border_decides(codes: list[list[int]], expected: int) -> None:
    array = np.array(codes, np.uint8)
    assert dissolve(array, np.ones(3, np.int64), 2).codes[1, 1] == expected
