"""The regression of a panchromatic image on bands, against numpy and known weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from small_imagery import averaged, scene

from lcmap.imagery.pan_response import Moments, Response, response


@settings(deadline=None)
@given(
    values=hnp.arrays(np.float64, (3, 40), elements=st.floats(-1e4, 1e4, width=16)),
    cuts=st.lists(st.integers(0, 40), max_size=4),
)
def test_moments_of_blocks_are_those_of_the_whole(
    values: NDArray[np.float64], cuts: list[int]
) -> None:
    moments = Moments(3)
    for part in np.split(values, sorted(cuts), axis=1):
        moments.update(part)
    assert moments.count == 40
    np.testing.assert_allclose(moments.mean, values.mean(axis=1), rtol=1e-12, atol=1e-9)
    expected = np.cov(values, bias=True) * 40
    np.testing.assert_allclose(moments.comoment, expected, rtol=1e-9, atol=1e-3)


def tied(bands: NDArray[np.float64], pan: NDArray[np.float64]) -> Response | None:
    moments = Moments(len(bands) + 1)
    moments.update(np.concatenate([bands, pan[None]]).reshape(len(bands) + 1, -1))
    return response(moments)


@settings(deadline=None)
@given(
    weights=st.tuples(*[st.floats(0.05, 3)] * 4),
    offset=st.floats(-500, 500),
)
def test_response_that_made_the_panchromatic_image_is_found(
    weights: tuple[float, ...], offset: float
) -> None:
    bands = averaged(scene())
    found = tied(bands, np.tensordot(weights, bands, 1) + offset)
    assert found is not None
    np.testing.assert_allclose(found.weights, weights, rtol=1e-6)
    assert found.offset == pytest.approx(offset, abs=1e-3)
    assert found.explained == pytest.approx(1)
    assert found.gain == pytest.approx(sum(weights))


def test_no_weight_is_negative() -> None:
    bands = averaged(scene())
    found = tied(bands, 2 * bands[0] - 0.5 * bands[3])
    assert found is not None
    assert min(found.weights) == 0
    assert found.weights[0] > 0
    assert found.explained < 1


def test_bands_that_are_all_the_same_share_the_weight() -> None:
    band = averaged(scene())[0]
    found = tied(np.stack([band, band]), band)
    assert found is not None
    np.testing.assert_allclose(found.weights, (0.5, 0.5))


@pytest.mark.parametrize("pan", [-averaged(scene())[0], np.full((30, 24), 7.0)])
def test_panchromatic_image_that_goes_against_all_bands_has_no_response(
    pan: NDArray[np.float64],
) -> None:
    assert tied(averaged(scene())[:1], pan) is None
