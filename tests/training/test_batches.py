from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lcmap.dataset.normalisation import scale
from lcmap.dataset.reading import TileReader
from lcmap.dataset.tile_index import IndexedTile
from lcmap.errors import NotARasterError
from lcmap.raster.windows import Window
from lcmap.training.augmentation import Pixels, draw_window, mirrored_to
from lcmap.training.batches import Sampler, batches_ahead
from lcmap.training.recipe import DEFAULT, PAPER, Jitter, Recipe, Sampling
from lcmap.training.samples import SampleSource, read_training_set


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 40), st.integers(0, 10**6))
def test_a_drawn_window_lies_in_its_tile(height: int, width: int, side: int, seed: int) -> None:
    window = draw_window(Window(100, 200, height, width), side, np.random.default_rng(seed))
    assert window.clipped(height, width) == window
    assert (window.height, window.width) == (min(side, height), min(side, width))


def test_every_place_in_a_tile_is_drawn() -> None:
    random = np.random.default_rng(0)
    drawn = {draw_window(Window(0, 0, 5, 4), 3, random)[:2] for _ in range(200)}
    assert drawn == {(row, col) for row in range(3) for col in range(2)}


def test_small_crops_are_mirrored_and_unlabelled_beyond_their_edge() -> None:
    labels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    crop = Pixels((labels[None].astype(np.float32),), labels, (np.ones((2, 3), bool),))
    filled = mirrored_to(crop, 4)
    assert filled.images[0][0].tolist() == [[0, 1, 2, 1], [3, 4, 5, 4], [0, 1, 2, 1], [3, 4, 5, 4]]
    assert filled.labels.tolist() == [[0, 1, 2, 255], [3, 4, 5, 255], [255] * 4, [255] * 4]
    assert mirrored_to(mirrored_to(crop, 3), 3).labels[:2].tolist() == labels.tolist()


def test_one_pixel_is_filled_too() -> None:
    one = np.ones((2, 1, 1), np.float32)
    crop = Pixels((one,), np.zeros((1, 1), np.uint8), (np.ones((1, 1), bool),))
    assert (mirrored_to(crop, 8).images[0] == 1).all()


@pytest.fixture
def sampler_of(make_index: Callable[..., Path]) -> Callable[..., Sampler]:
    data = read_training_set([make_index()])

    def make(
        seed: int = 0, side: int = 16, cache_bytes: int = 1 << 20, recipe: Recipe = DEFAULT
    ) -> Sampler:
        source = SampleSource(TileReader(data.nomenclature), cache_bytes=cache_bytes)
        return Sampler(source, data.train, recipe, side, seed)

    return make


EVERYTHING = dataclasses.replace(
    DEFAULT,
    zoom=0.3,
    jitter=Jitter(0.1, 0.05, 0.2, content=0.5, noise=0.1, blur=0.5),
    sampling=Sampling(balance=0.5, paste=1.0, rare=0.9),
)


@pytest.mark.parametrize("recipe", [DEFAULT, EVERYTHING], ids=["default", "everything"])
def test_batches_depend_on_seed_and_number_alone(
    sampler_of: Callable[..., Sampler], recipe: Recipe
) -> None:
    sampler_of = partial(sampler_of, recipe=recipe)
    first = sampler_of().batch(7)
    later = sampler_of(cache_bytes=0)
    later.batch(3)
    again = later.batch(7)
    assert torch.equal(first.images[0], again.images[0])
    assert torch.equal(first.labels, again.labels)
    assert not torch.equal(first.images[0], sampler_of().batch(8).images[0])
    assert not torch.equal(first.images[0], sampler_of(seed=1).batch(7).images[0])


@pytest.mark.parametrize(
    "change",
    [
        {"jitter": Jitter(0.1, 0.05, 0.0, content=0.5)},
        {"jitter": Jitter(0.1, 0.05, 0.0, noise=0.1)},
        {"jitter": Jitter(0.1, 0.05, 0.0, blur=0.5)},
        {"sampling": Sampling(balance=0.5)},
        {"sampling": Sampling(paste=2.0, rare=0.9)},
    ],
)
def test_each_lever_changes_what_is_seen(
    sampler_of: Callable[..., Sampler], change: dict[str, Any]
) -> None:
    plain = dataclasses.replace(DEFAULT, jitter=Jitter(0.1, 0.05, 0.0), sampling=Sampling())
    before, after = (
        sampler_of(recipe=dataclasses.replace(plain, **changed)).batch(0)
        for changed in ({}, change)
    )
    assert not torch.equal(before.images[0], after.images[0])
    assert bool(torch.isfinite(after.images[0]).all())


def test_shapes_types_and_layout(sampler_of: Callable[..., Sampler]) -> None:
    batch = sampler_of(side=24).batch(0)
    assert batch.images[0].shape == (8, 2, 24, 24) and batch.images[0].dtype == torch.float32
    assert batch.images[0].is_contiguous(memory_format=torch.channels_last)
    assert batch.labels.shape == (8, 24, 24) and batch.labels.dtype == torch.int64
    # tiles are 16 px: the rest carries no label
    assert (batch.labels == 255).sum() == 8 * (24**2 - 16**2)


def test_whole_tiles_without_variation_are_what_the_files_hold(
    make_index: Callable[..., Path],
) -> None:
    data = read_training_set([make_index()])
    reader = TileReader(data.nomenclature)
    batch = Sampler(SampleSource(reader), data.train, PAPER, 16, 0).batch(0)
    quantiles = reader.quantiles(data.train[0].image)
    tiles = {}
    for tile in data.train:
        sample = reader.read(tile)
        assert sample.labels is not None
        tiles[scale(sample.image, quantiles, sample.valid).tobytes()] = sample.labels
    for image, labels in zip(batch.images[0], batch.labels, strict=True):
        assert np.array_equal(tiles[image.contiguous().numpy().tobytes()], labels.numpy())


def test_batches_come_in_order_and_the_thread_ends(sampler_of: Callable[..., Sampler]) -> None:
    sampler = sampler_of()
    with batches_ahead(sampler, 3, 9) as batches:
        for number, batch in zip(range(3, 9), batches, strict=True):
            assert torch.equal(batch.images[0], sampler.batch(number).images[0])
    with batches_ahead(sampler, 0, 10**9) as batches:
        next(batches)
    assert not [t for t in threading.enumerate() if t.name == "batches"]


def test_errors_of_the_thread_reach_the_caller(
    make_index: Callable[..., Path], tmp_path: Path
) -> None:
    data = read_training_set([make_index()])
    sampler = Sampler(SampleSource(TileReader(data.nomenclature)), data.train, DEFAULT, 16, 0)
    image = tmp_path / "zone.tif"
    image.write_bytes(image.read_bytes()[:600])
    with (
        pytest.raises(NotARasterError, match=r"truncated|damaged|whole"),
        batches_ahead(sampler, 0, 5) as batches,
    ):
        list(batches)


def test_a_balanced_batch_shows_the_rare_class(make_index: Callable[..., Path]) -> None:
    codes = np.full((48, 48), 2, np.uint8)
    codes[21, 40] = 5  # one pixel, in the sixth tile of nine
    data = read_training_set([make_index(codes=codes, splits=("train", "train", "validation"))])
    (index,) = [i for i, c in enumerate(data.nomenclature.classes) if c.code == 5]
    assert data.shares[index] == 0

    codes[21, 24] = 5  # in the fifth, which trains
    data = read_training_set([make_index(codes=codes, splits=("train", "train", "validation"))])

    def shown(balance: float, power: float) -> float:
        recipe = dataclasses.replace(DEFAULT, sampling=Sampling(balance, power))
        sampler = Sampler(SampleSource(TileReader(data.nomenclature)), data.train, recipe, 8, 0)
        labels = torch.cat([sampler.batch(number).labels for number in range(50)])
        return float((labels == index).flatten(1).any(dim=1).float().mean())

    assert shown(0.0, 0.0) < 0.2
    assert shown(1.0, 0.0) == pytest.approx(0.5, abs=0.1)
    assert shown(0.5, 0.0) == pytest.approx(0.3, abs=0.1)


class TwoEntries:
    """A source whose image and side input are 1 everywhere."""

    kinds = ("image", "labels")
    alignment = 1

    def window(self, tile: IndexedTile) -> Window:
        return tile.window

    def read(self, tile: IndexedTile, inside: Window) -> Pixels:
        shape = inside.height, inside.width
        valid = np.ones(shape, bool)
        one = np.ones((1, *shape), np.float32)
        return Pixels((one, one), np.zeros(shape, np.uint8), (valid, valid))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_side_inputs_are_left_out_at_random_and_images_never(dropout: float) -> None:
    tile = IndexedTile(Path("i.tif"), None, (Path("s.tif"),), Window(0, 0, 8, 8), "train", 1.0, {})
    recipe = dataclasses.replace(DEFAULT, side_dropout=dropout, jitter=None, sampling=Sampling())
    sampler = Sampler(TwoEntries(), [tile], recipe, 8, 0)  # type: ignore[arg-type]
    batches = [sampler.batch(number) for number in range(100)]
    assert all((batch.images[0] == 1).all() for batch in batches)
    sides = torch.cat([batch.images[1] for batch in batches]).flatten(1)  # [800, 64]
    assert ((sides == 0).all(dim=1) | (sides == 1).all(dim=1)).all()
    assert abs(float((sides == 0).float().mean()) - dropout) < 0.05
