from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcmap.training.augmentation import (
    Pixels,
    draw_radiometry,
    flip_and_turn,
    vary_radiometry,
    zoom,
)
from lcmap.training.recipe import Jitter


def pixels(side: int = 4) -> Pixels:
    numbers = np.arange(side * side).reshape(side, side)
    valid = np.ones((side, side), bool)
    valid[0, 0] = False
    image = np.stack([numbers, 100 + numbers]).astype(np.float32) * valid
    return Pixels((image, -image[:1]), numbers.astype(np.uint8), (valid, valid))


def test_all_eight_orientations_differ_and_planes_stay_together() -> None:
    seen = set()
    for orientation in range(8):
        turned = flip_and_turn(pixels(), orientation)
        seen.add(turned.labels.tobytes())
        image, side = turned.images
        assert np.array_equal(image[0], turned.labels * turned.valid[0])
        assert np.array_equal(image[1], (100 + turned.labels) * turned.valid[1])
        assert np.array_equal(side[0], -image[0])
        assert sorted(turned.labels.ravel()) == sorted(pixels().labels.ravel())
    assert len(seen) == 8


@given(st.integers(0, 10**6), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.5))
def test_radiometry_keeps_order_and_invalid_pixels(
    seed: int, contrast: float, band: float, gamma: float
) -> None:
    (image, _), _, (valid, _) = pixels()
    before = image.copy()
    jitter = Jitter(contrast, band, gamma)
    after = vary_radiometry(image, valid, draw_radiometry(2, jitter, np.random.default_rng(seed)))
    assert (after[:, 0, 0] == 0).all()
    assert after.dtype == np.float32 and np.isfinite(after).all()
    assert np.array_equal(image, before)
    # order among pixels of a band survives every gain, offset and gamma
    for old, new in zip(before, after, strict=True):
        order = old[valid].argsort()
        assert (np.diff(new[valid][order]) >= 0).all()


def test_no_jitter_changes_nothing() -> None:
    (image, _), _, (valid, _) = pixels()
    change = draw_radiometry(2, Jitter(0, 0, 0), np.random.default_rng(0))
    after = vary_radiometry(image, valid, change)
    assert np.array_equal(after, image)


@pytest.mark.parametrize("side", [2, 3, 4, 8, 13])
def test_zoom_keeps_a_plane_a_plane_and_labels_from_the_crop(side: int) -> None:
    rows, columns = np.mgrid[:6, :6].astype(np.float32)
    plane = np.stack([2 * rows + columns])
    labels = np.arange(36, dtype=np.uint8).reshape(6, 6)
    crop = Pixels((plane,), labels, (np.ones((6, 6), bool),))
    zoomed = zoom(crop, side)
    assert zoomed.images[0].shape == (1, side, side)
    centres = np.clip((np.arange(side) + 0.5) * 6 / side - 0.5, 0, 5)
    np.testing.assert_allclose(zoomed.images[0][0], 2 * centres[:, None] + centres, atol=1e-5)
    assert np.isin(zoomed.labels, crop.labels).all()
    # each label is that of the pixel its centre lies in
    assert np.array_equal(
        zoomed.labels[:, 0] // 6, ((np.arange(side) + 0.5) * 6 / side).astype(int)
    )
