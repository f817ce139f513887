from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcmap.raster.windows import Window
from lcmap.training.augmentation import (
    Pixels,
    RadiometricChange,
    draw_radiometry,
    draw_window,
    flip_and_turn,
    mirrored_to,
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
    (image, _), _, (valid, _), _ = pixels()
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
    (image, _), _, (valid, _), _ = pixels()
    change = draw_radiometry(2, Jitter(0, 0, 0), np.random.default_rng(0))
    after = vary_radiometry(image, valid, change)
    assert np.array_equal(after, image)


def drawn(jitter: Jitter, seed: int = 0) -> RadiometricChange:
    return draw_radiometry(2, jitter, np.random.default_rng(seed))


def test_another_scale_comes_before_the_jitter() -> None:
    (image, _), _, (valid, _), _ = pixels()
    change = drawn(Jitter(0.3, 0.2, 0.3))
    gain, offset = np.array([2, 0.5], np.float32), np.array([0.1, -0.3], np.float32)
    scaled = (image * gain[:, None, None] + offset[:, None, None]) * valid
    np.testing.assert_allclose(
        vary_radiometry(image, valid, change.after(gain, offset)),
        vary_radiometry(scaled, valid, change),
        rtol=1e-5, atol=1e-5,
    )  # fmt: skip


def test_noise_has_the_deviation_that_is_drawn_and_the_seed_makes_it() -> None:
    image, valid = np.ones((2, 200, 200), np.float32), np.ones((200, 200), bool)
    valid[:20] = False
    deviations = []
    for seed in range(20):
        change = drawn(Jitter(0, 0, 0, noise=0.1), seed)
        noise = vary_radiometry(image, valid, change) - 1
        assert (noise[:, :20] == -1).all(), "what is not valid is 0"
        assert noise[:, 20:].std() == pytest.approx(change.noise, rel=0.02)
        assert abs(noise[:, 20:].mean()) < 0.002
        assert np.array_equal(noise, vary_radiometry(image, valid, change) - 1)
        deviations.append(change.noise)
    assert 0 <= min(deviations) < 0.03 and 0.07 < max(deviations) <= 0.1


def test_a_blur_is_of_valid_pixels_alone() -> None:
    random = np.random.default_rng(0)
    valid = random.random((24, 24)) < 0.7
    image = np.stack([np.ones((24, 24)), random.random((24, 24))]).astype(np.float32) * valid
    change = drawn(Jitter(0, 0, 0, blur=1.0))
    assert 0.3 <= change.blur <= 1
    blurred = vary_radiometry(image, valid, change)
    np.testing.assert_allclose(blurred[0], valid, atol=1e-6)
    # brute force: every pixel a weighted mean of the valid ones around it
    rows, cols = np.mgrid[:24, :24]
    for row, col in ((12, 12), (10, 9), (13, 14)):
        weight = np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * change.blur**2))
        weight *= valid
        expected = (weight * image[1]).sum() / weight.sum() * valid[row, col]
        assert blurred[1, row, col] == pytest.approx(expected, abs=2e-3)
    some = [drawn(Jitter(0, 0, 0, blur=0.4), seed).blur > 0 for seed in range(200)]
    assert np.mean(some) == pytest.approx(0.4, abs=0.1)


def test_zoom_takes_nothing_from_pixels_that_are_not_valid() -> None:
    valid = np.ones((6, 6), bool)
    valid[:, 3:] = False
    image = np.full((1, 6, 6), 5, np.float32) * valid
    zoomed = zoom(Pixels((image,), np.zeros((6, 6), np.uint8), (valid,)), 9)
    assert zoomed.valid[0][0].tolist() == [True] * 4 + [False] * 5
    np.testing.assert_allclose(zoomed.images[0][0], 5.0 * zoomed.valid[0], rtol=1e-6)


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


def with_coarse(side: int, level: int) -> Pixels:
    """A crop whose second input has the means of cells, and is invalid where cells are."""
    random = np.random.default_rng(side)
    image = random.random((2, side, side), np.float32)
    n, cell = side >> level, 1 << level
    means = image.reshape(2, n, cell, n, cell).mean(axis=(2, 4), dtype=np.float32)
    valid = random.random((n, n)) < 0.8
    labels = random.integers(0, 9, (side, side)).astype(np.uint8)
    whole = np.ones((side, side), bool)
    return Pixels((image, means * valid), labels, (whole, valid), (0, level))


@pytest.mark.parametrize("orientation", range(8))
def test_cells_are_turned_with_their_pixels(orientation: int) -> None:
    crop = with_coarse(16, 2)
    turned = flip_and_turn(crop, orientation)
    assert turned.levels == (0, 2)
    image, means = turned.images
    expected = image.reshape(2, 4, 4, 4, 4).mean(axis=(2, 4), dtype=np.float32)
    np.testing.assert_allclose(means, expected * turned.valid[1], rtol=1e-6)
    every = turned.valid[1].repeat(4, axis=0).repeat(4, axis=1)
    np.testing.assert_array_equal(turned.valid_in_all, every)


def test_cells_are_zoomed_as_pixels_of_their_size_are() -> None:
    crop = with_coarse(16, 1)
    zoomed = zoom(crop, 24)
    _, coarse = zoomed.images
    alone = zoom(Pixels((crop.images[1],), np.zeros((8, 8), np.uint8), (crop.valid[1],)), 12)
    np.testing.assert_array_equal(coarse, alone.images[0])
    np.testing.assert_array_equal(zoomed.valid[1], alone.valid[0])
    assert zoomed.labels.shape == (24, 24) and zoomed.levels == (0, 1)


def test_a_crop_at_the_border_is_mirrored_in_cells() -> None:
    crop = with_coarse(16, 2)
    cut = Pixels(
        (crop.images[0][:, :, :13], crop.images[1]), crop.labels[:, :13],
        (crop.valid[0][:, :13], crop.valid[1]), crop.levels,
    )  # fmt: skip
    filled = mirrored_to(cut, 24)
    assert [image.shape for image in filled.images] == [(2, 24, 24), (2, 6, 6)]
    np.testing.assert_array_equal(filled.images[1][:, :4, 4:], crop.images[1][:, :, [2, 1]])
    assert (filled.labels[:, 13:] == 255).all() and (filled.labels[16:] == 255).all()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(0, 99))
def test_windows_are_drawn_at_all_aligned_places(
    height: int, width: int, side: int, seed: int
) -> None:
    tile, random = Window(0, 0, height, width), np.random.default_rng(seed)
    window = draw_window(tile, side, random, 4)
    assert window.row % 4 == window.col % 4 == 0
    assert window.intersection(tile) == window
    assert window[2:] == (min(side, height), min(side, width))
