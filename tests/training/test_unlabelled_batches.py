from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lcmap.dataset.normalisation import scale
from lcmap.launch import Launch
from lcmap.training.ranks import Ranks
from lcmap.training.recipe import DEFAULT, Consistency, Jitter, Recipe, Scaling
from lcmap.training.samples import SampleSource, TrainingSet, read_training_set
from lcmap.training.unlabelled_batches import (
    UnlabelledSampler,
    partners,
    unlabelled_sampler,
)

MakeIndex = Callable[..., Path]

PLAIN = dataclasses.replace(
    DEFAULT, jitter=None, flips_and_turns=False, consistency=Consistency(share=1.0)
)


@pytest.fixture
def data(make_index: MakeIndex) -> TrainingSet:
    other = np.random.default_rng(5).integers(1, 200, (2, 48, 48)).astype(np.uint8)
    other[:, 20:30] = 0
    image = make_index("other", image=other, nodata=0).with_name("other.tif")
    return read_training_set([make_index()], unlabelled=[image])


def sampler_of(
    data: TrainingSet, recipe: Recipe = PLAIN, ranks: Ranks | None = None, side: int = 16
) -> UnlabelledSampler:
    source = SampleSource(data.reader())
    sampler = unlabelled_sampler(data, source, recipe, side, 0, ranks or Ranks())
    assert sampler is not None
    return sampler


def test_the_teacher_sees_the_image_as_it_would_be_predicted(data: TrainingSet) -> None:
    batch = sampler_of(data, side=8).batch(0)
    (path,) = {tile.image for tile in data.unlabelled}
    with data.reader() as reader:
        image, valid = reader.image(path, data.unlabelled[0].window._replace(height=48, width=48))
        scaled = scale(image, reader.quantiles(path), valid)
    assert batch.weak[0].shape == (8, 2, 8, 8)
    for crop, unknown in zip(batch.weak[0].numpy(), batch.unknown.numpy(), strict=True):
        places = [
            (row, col)
            for row in range(41)
            for col in range(41)
            if np.array_equal(scaled[:, row : row + 8, col : col + 8], crop)
        ]
        assert places, "a window of the image"
        (row, col), *_ = places
        assert np.array_equal(valid[row : row + 8, col : col + 8], unknown)


@pytest.mark.parametrize("scaling", ["image", "training"])
def test_an_image_is_scaled_as_it_would_be_for_a_map(
    make_index: MakeIndex, scaling: Scaling
) -> None:
    image = make_index("other", image=np.full((2, 48, 48), 9, np.uint8)).with_name("other.tif")
    data = read_training_set([make_index()], unlabelled=[image], scaling=scaling)
    own, trained = np.full((2, 2), 9.0), np.array(data.inputs[0].quantiles)
    assert np.array_equal(data.quantiles[image], own if scaling == "image" else trained)
    assert {tile.image for tile in data.unlabelled} == {image}
    assert sum(tile.window.height * tile.window.width for tile in data.unlabelled) == 48 * 48


def test_crops_are_mixed_in_pairs_by_a_rectangle_of_half_their_area(data: TrainingSet) -> None:
    batch = sampler_of(data).batch(3)
    shape = batch.own.shape
    assert shape == (8, 16, 16)
    pair = {0: 1, 1: 0, 2: 3, 3: 2, 4: 5, 5: 4, 6: 7, 7: 6}
    for crop, other in pair.items():
        own = batch.own[crop]
        assert torch.equal(own, batch.own[other])
        rows, cols = np.nonzero(~own.numpy())
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(cols) + 1), "a rectangle"
        assert len(rows) == pytest.approx(128, abs=16)
        strong, weak = batch.strong[0], batch.weak[0]
        assert torch.equal(strong[crop][:, own], weak[crop][:, own])
        assert torch.equal(strong[crop][:, ~own], weak[other][:, ~own])
    # and what is found in the crops is mixed alike
    assert torch.equal(batch.mixed(batch.weak[0][:, 0]), batch.strong[0][:, 0])
    assert torch.equal(partners(partners(batch.own)), batch.own)


def test_the_network_sees_stronger_radiometry_in_the_same_place(data: TrainingSet) -> None:
    def difference(strength: float) -> float:
        recipe = dataclasses.replace(
            PLAIN,
            jitter=Jitter(0.1, 0.05, 0.0),
            consistency=Consistency(share=1.0, strength=strength),
        )
        batch = sampler_of(data, recipe).batch(0)
        own = batch.own[:, None] & batch.unknown[:, None]
        return float(((batch.strong[0] - batch.weak[0]) * own).abs().mean())

    assert difference(0.0) == pytest.approx(0, abs=1e-6)
    assert difference(2.0) == pytest.approx(2 * difference(1.0), rel=0.05)


@pytest.mark.parametrize("size", [2, 8])
def test_a_pair_does_not_depend_on_how_many_ranks_there_are(data: TrainingSet, size: int) -> None:
    whole = sampler_of(data).batch(5)
    parts = [sampler_of(data, ranks=Ranks(Launch(rank, size))).batch(5) for rank in range(size)]
    for name in ("own", "unknown"):
        parts_of = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(parts_of, getattr(whole, name))
    for name in ("weak", "strong"):
        parts_of = torch.cat([getattr(part, name)[0] for part in parts])
        assert torch.equal(parts_of, getattr(whole, name)[0])


def test_pixels_of_the_training_tiles_that_have_no_label_are_taken_if_wanted(
    make_index: MakeIndex,
) -> None:
    codes = np.full((48, 48), 2, np.uint8)
    codes[:8] = 5
    codes[:, 8:16] = 0
    data = read_training_set([make_index(codes=codes)])
    source = SampleSource(data.reader())
    assert unlabelled_sampler(data, source, PLAIN, 16, 0) is None
    own = dataclasses.replace(PLAIN, consistency=Consistency(own_tiles=True, share=1.0))
    sampler = unlabelled_sampler(data, source, own, 16, 0)
    assert sampler is not None
    unknown = sampler.batch(0).unknown
    # training tiles are those of the first column
    assert unknown[:, :, 8:].all() and not unknown[:, :, :8].any()


def test_a_teacher_is_needed() -> None:
    with pytest.raises(ValueError, match="own_tiles needs an average"):
        dataclasses.replace(DEFAULT, average=0.0, consistency=Consistency(own_tiles=True))
