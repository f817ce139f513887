"""The verification counts what differs, and passes only where tiles do not show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcmap.graph.halo import padded_halo
from lcmap.inference.tiling import Tile, tiles_of
from lcmap.inference.verify import LIMITS, Verification, other_tiles


def compared(first: list[list[float]], second: list[list[float]]) -> Verification:
    """Compare two lists of pixels with their class probabilities."""
    p, q = np.array(first, np.float32).T, np.array(second, np.float32).T
    return Verification.of(p.argmax(axis=0), p.max(axis=0), q)


def test_equal_predictions_pass() -> None:
    p = [[0.7, 0.3], [0.2, 0.8]]
    assert compared(p, p) == Verification(2, 0, 0, 0.0)
    assert compared(p, p).is_within(LIMITS["float32"])


def test_a_pixel_that_differs_at_a_tie_passes() -> None:
    found = compared([[0.5, 0.499999], [0.1, 0.9]], [[0.499998, 0.5], [0.1, 0.9]])
    assert (found.pixels, found.differing, found.ties) == (2, 1, 1)
    assert found.largest_difference == 0
    assert found.is_within(LIMITS["float32"])


def test_a_tie_passes_though_its_probability_depends_on_who_won() -> None:
    """The temperature is that of the class that wins."""
    second = np.array([[0.4], [0.4 + 1e-7], [0.2]], np.float32)
    found = Verification.of(np.array([0]), np.array([0.45], np.float32), second)
    assert found.is_within(LIMITS["float32"])


def test_a_pixel_that_differs_without_a_tie_fails() -> None:
    found = compared([[0.50001, 0.49999]], [[0.49998, 0.50002]])
    assert (found.differing, found.ties) == (1, 0)
    assert not found.is_within(LIMITS["float32"])


def test_probabilities_that_are_apart_fail() -> None:
    found = compared([[0.9, 0.1]], [[0.8999, 0.1001]])
    assert found.differing == 0
    assert found.largest_difference == pytest.approx(1e-4, rel=0.01)
    assert not found.is_within(LIMITS["float32"])


def test_a_nan_fails() -> None:
    verification = Verification()
    nan = np.array([np.nan], np.float32)
    verification.merge(Verification.of(np.array([0]), nan, np.array([[0.5], [0.5]], np.float32)))
    assert not verification.is_within(LIMITS["float32"])
    verification.merge(
        Verification.of(np.array([0]), np.array([0.5], np.float32), np.array([[0.5], [0.5]]))
    )
    assert not verification.is_within(LIMITS["float32"])


def test_blocks_add_up() -> None:
    verification = Verification()
    verification.merge(Verification.of(np.array([0]), np.array([0.5]), np.array([[0.25], [0.75]])))
    verification.merge(Verification.of(np.array([1]), np.array([0.5]), np.array([[0.5], [0.5]])))
    verification.merge(Verification.of(np.zeros(0, int), np.zeros(0), np.zeros((2, 0))))
    assert verification == Verification(2, 2, 1, 0.25)
    assert "2 pixels compared, 2 differ (100 %), 1 of these are ties" in str(verification)


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([64, 512, 1024]))
def test_the_second_tiling_has_other_seams_and_other_tiles(
    height: int, width: int, tile: int
) -> None:

    class Tiles:
        def tiles(self, height: int, width: int, block: int, offset: int = 0) -> list[Tile]:
            return tiles_of(height, width, block, 8, padded_halo(8, 44), offset)

    first = Tiles().tiles(height, width, tile)
    second = other_tiles(Tiles(), height, width, tile)
    seams = [{t.output_window.col for t in tiles} - {0} for tiles in (first, second)]
    # a seam of the first may be one of the second now and then, not always
    if len(seams[0]) > 1:
        assert len(seams[0] & seams[1]) < len(seams[0])
    if max(height, width) > 4 * tile:
        assert {t.output_window for t in first} != {t.output_window for t in second}


@pytest.mark.parametrize(
    ("differing", "largest", "within"), [(10, 0.19, True), (11, 0.19, False), (10, 0.21, False)]
)
def test_bfloat16_has_limits_of_its_own(differing: int, largest: float, within: bool) -> None:
    found = Verification(1000, differing, 0, largest)
    assert found.is_within(LIMITS["bfloat16"]) == within
    assert not found.is_within(LIMITS["float32"])
