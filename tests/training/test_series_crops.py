"""Crops of series: packed, varied, without some dates, and in batches of different lengths."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lcmap.dataset.series import SeriesPixels, unpacked
from lcmap.network import Architecture, LandCoverNetwork
from lcmap.training.augmentation import (
    Pixels,
    RadiometricChange,
    flip_and_turn,
    mirrored_to,
    some_dates,
    vary_series,
)
from lcmap.training.batches import channels_last, joined
from lcmap.training.initialisation import initialise
from lcmap.training.unlabelled_batches import mixed_crops

SIZE = (4, 6)


def series(dates: int, seed: int = 0, size: tuple[int, int] = SIZE) -> SeriesPixels:
    random = np.random.default_rng(seed)
    valid = random.random((dates, *size)) < 0.7
    values = random.random((dates, 3, *size), np.float32) * valid[:, None]
    return SeriesPixels(values, valid, random.integers(1, 367, dates).astype(np.float32))


@pytest.fixture(scope="module")
def network() -> LandCoverNetwork:
    torch.manual_seed(0)
    architecture = Architecture(width=4, depth=2, levels=(0, 1), series=(1,), clip=(0.0, 1.0))
    network = LandCoverNetwork([2, 3], 5, architecture).eval()
    initialise(network, "kaiming", seed=1)  # as large as in a trained network
    torch.nn.init.normal_(network.series["1"].nothing)
    return network.requires_grad_(False)


def tensors(found: SeriesPixels) -> tuple[np.ndarray, ...]:
    """Return what a graph takes of a series."""
    return found.values, found.valid[:, None].astype(np.float32), found.days[:, None, None, None]


@given(st.integers(1, 5), st.integers(0, 100))
def test_a_packed_series_holds_all_of_it(dates: int, seed: int) -> None:
    found = series(dates, seed)
    for one, other in zip(unpacked(found.packed), tensors(found), strict=True):
        assert one.dtype == np.float32
        assert (one == other).all()
    assert (found.any_valid == found.valid.any(axis=0)).all()


def test_packed_and_apart_are_the_same_to_the_network(network: LandCoverNetwork) -> None:
    image = torch.rand(1, 2, 8, 12)
    found = series(4)
    packed = network(image, torch.from_numpy(found.packed)[None])
    apart = network(image, *map(torch.from_numpy, tensors(found)))
    torch.testing.assert_close(packed, apart)
    other = network(image, torch.from_numpy(series(4, seed=1).packed)[None])
    assert not torch.allclose(packed, other, atol=1e-3)


def test_series_of_fewer_dates_are_filled_up_to_no_effect(network: LandCoverNetwork) -> None:
    images = torch.rand(3, 2, 8, 12)
    lengths = (2, 5, 1)
    packed = [series(dates, seed).packed for seed, dates in enumerate(lengths)]
    batch = channels_last(packed)
    assert batch.shape == (3, 5, 5, *SIZE)
    together = network(images, batch)
    for image, alone, found in zip(images, packed, together, strict=True):
        expected = network(image[None], torch.from_numpy(alone)[None])[0]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(joined(batch[:1, :2], batch[1:]), batch)


def test_crops_are_turned_and_mirrored_with_their_dates() -> None:
    found = series(3, size=(4, 4))
    labels = np.zeros((8, 8), np.uint8)
    image = np.zeros((2, 8, 8), np.float32)
    crop = Pixels((image, found.packed), labels, (labels == 0, found.any_valid), (0, 1))
    for orientation in range(8):
        turned = flip_and_turn(crop, orientation).images[1]
        for date, original in zip(turned, found.packed, strict=True):
            turns, flipped = divmod(orientation, 2)
            expected = np.rot90(original, turns, (-2, -1))[..., :: -1 if flipped else 1]
            assert (date == expected).all()
    filled = mirrored_to(crop, 12).images[1]
    assert (filled == np.pad(found.packed, ((0, 0), (0, 0), (0, 2), (0, 2)), "reflect")).all()


@given(st.integers(1, 12), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_some_dates_are_left_out_but_never_all(dates: int, share: float, seed: int) -> None:
    packed = series(dates).packed
    kept = some_dates(packed, share, seed)
    assert 1 <= len(kept) <= dates
    places = [int(np.flatnonzero((packed == date).all(axis=(1, 2, 3)))[0]) for date in kept]
    assert places == sorted(set(places))
    assert (some_dates(packed, share, seed) == kept).all()
    assert len(some_dates(packed, 0.0, seed)) == dates


def test_every_date_is_left_out_sometimes() -> None:
    days = series(6).days
    seen = [set(some_dates(series(6).packed, 0.5, seed)[:, -1, 0, 0]) for seed in range(60)]
    assert all(any(day not in found for found in seen) for day in days)
    assert sum(map(len, seen)) / 60 == pytest.approx(6 * 0.75, abs=0.6)


def test_dates_change_alike_but_for_their_noise() -> None:
    found = series(2)
    same = SeriesPixels(*(np.repeat(part[:1], 2, axis=0) for part in found))

    def varied(noise: float) -> NDArray[np.float32]:
        gain, offset = np.array([[0.5, 1.0, 2.0], [0.1, 0.0, -0.1]], np.float32)
        change = RadiometricChange(gain, offset, np.float32(1.0), noise=noise, seed=7)
        return vary_series(same.packed, change)

    plain, noisy = varied(0.0), varied(0.1)
    expected = same.values * np.array([0.5, 1, 2])[:, None, None]
    expected += np.array([0.1, 0, -0.1])[:, None, None]
    np.testing.assert_allclose(plain[:, :3], expected * same.valid[:, None], rtol=1e-5)
    assert (plain[0] == plain[1]).all() and not (noisy[0] == noisy[1]).all()
    for one in (plain, noisy):
        assert (one[:, 3:] == same.packed[:, 3:]).all()
        assert (one[:, :3] == 0)[np.broadcast_to(~same.valid[:, None], same.values.shape)].all()


def test_mixed_crops_have_the_dates_of_both_each_in_its_part(network: LandCoverNetwork) -> None:
    pair = channels_last([series(2, 1).packed, series(2, 2).packed])
    own = torch.zeros(2, 1, *SIZE, dtype=torch.bool)
    own[:, :, :, :4] = True
    mixed = mixed_crops(own, pair)
    assert mixed.shape == (2, 4, 5, *SIZE)
    encoder = network.series["1"]

    def features(packed: torch.Tensor) -> torch.Tensor:
        return encoder(packed[:, :, :3], packed[:, :, 3], packed[:, :, 4].amax(dim=(-2, -1)))

    expected = torch.where(own, features(pair), features(pair.flip(0)))
    torch.testing.assert_close(features(mixed), expected, rtol=1e-4, atol=1e-5)
