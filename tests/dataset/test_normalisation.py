"""Scaling by quantiles against the formula written out."""

from __future__ import annotations

import numpy as np
import pytest

from lcmap.dataset.normalisation import scale


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_every_pixel_follows_the_formula(dtype: str) -> None:
    image = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(dtype)
    quantiles = np.array([[2.0, 7.5], [12.25, 22.0]])
    scaled = scale(image, quantiles)
    assert scaled.dtype == np.float32
    for band in range(2):
        low, high = quantiles[band]
        for place in np.ndindex(3, 4):
            value = (float(image[band][place]) - low) / (high - low)
            assert scaled[band][place] == pytest.approx(value, rel=1e-6, abs=1e-6)


def test_invalid_pixels_become_zero_whatever_they_hold() -> None:
    image = np.array([[[1.0, np.nan, np.inf, -9999.0]]], "float32")
    valid = np.array([[True, False, False, False]])
    assert scale(image, np.array([[0.0, 4.0]]), valid).tolist() == [[[0.25, 0.0, 0.0, 0.0]]]


def test_constant_band_becomes_zero() -> None:
    image = np.array([[[7, 9]], [[7, 9]]], "uint8")
    scaled = scale(image, np.array([[7.0, 7.0], [7.0, 9.0]]))
    assert scaled.tolist() == [[[0.0, 0.0]], [[0.0, 1.0]]]


def test_large_values_keep_their_differences() -> None:
    image = np.array([[[2_000_000_001, 2_000_000_003]]], "int32")
    scaled = scale(image, np.array([[2_000_000_001.0, 2_000_000_005.0]]))
    assert scaled.tolist() == [[[0.0, 0.5]]]


def test_image_itself_is_left_as_it_is() -> None:
    image = np.ones((1, 2, 2), "float32")
    scale(image, np.array([[0.0, 4.0]]), np.zeros((2, 2), bool))
    assert (image == 1).all()
