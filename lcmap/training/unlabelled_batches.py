"""Crops without labels, which a network and its teacher see varied otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcmap.dataset.reading import IGNORE
from lcmap.dataset.tile_index import IndexedTile
from lcmap.training.augmentation import Pixels
from lcmap.training.batches import Batch, Batches, channels_last
from lcmap.training.crops import Crops, Variation
from lcmap.training.ranks import ALONE, Ranks
from lcmap.training.recipe import Jitter, Recipe, Sampling
from lcmap.training.samples import SampleSource, TrainingSet

_SEED = 2
"""Makes the seed of what has no labels another than that of what has."""


@dataclass(frozen=True)
class UnlabelledBatch:
    """Crops without labels.

    weak: what the teacher sees, scaled as in prediction, float32 [N, C, S, S] for each input.
    strong: what the network sees of it: other radiometry, and parts of each crop from its partner.
    own: where that is of the crop itself, bool [N, S, S]; elsewhere it is of its partner.
    unknown: the pixels of `weak` that have data and no label, bool [N, S, S].

    The partner of crop 2k is 2k + 1, and the other way round.
    """

    weak: tuple[Tensor, ...]
    strong: tuple[Tensor, ...]
    own: Tensor
    unknown: Tensor

    def to(self, device: torch.device) -> UnlabelledBatch:
        """Return the batch on a device."""
        return UnlabelledBatch(
            tuple(image.to(device) for image in self.weak),
            tuple(image.to(device) for image in self.strong),
            self.own.to(device),
            self.unknown.to(device),
        )

    def mixed(self, values: Tensor) -> Tensor:
        """Return what was found in `weak`, [N, S, S], as it is in `strong`."""
        return torch.where(self.own, values, partners(values))


def partners(values: Tensor) -> Tensor:
    """Return [N, …] with the crops of each pair exchanged."""
    return values[torch.arange(len(values)) ^ 1]


class _Pair(NamedTuple):
    """Two crops, and where each keeps its own pixels in what the network sees."""

    crops: tuple[tuple[IndexedTile, Variation], ...]
    own: NDArray[np.bool_]


class UnlabelledSampler:
    """Makes the batches of crops without labels, as `Sampler` makes the others."""

    def __init__(
        self,
        source: SampleSource,
        tiles: Sequence[IndexedTile],
        recipe: Recipe,
        side: int,
        seed: int,
        ranks: Ranks = ALONE,
    ) -> None:
        """Cut squares of `side` pixels from these tiles."""
        self._pairs = max(round(recipe.consistency.share * recipe.batch_size / 2), 1)
        strength = recipe.consistency.strength
        stronger = recipe.jitter and _stronger(recipe.jitter, strength)
        recipe = replace(recipe, jitter=stronger, sampling=Sampling(), side_dropout=0.0)
        self._crops = Crops(source, tiles, recipe, side, seed)
        self._side = side
        self._alignment = source.alignment
        self._seed = seed
        self._ranks = ranks
        areas = np.array([t.window.height * t.window.width for t in tiles], np.float64)
        self._probabilities = areas / areas.sum()

    def batch(self, number: int) -> UnlabelledBatch:
        """Return the batch of this number, or this rank's share of its pairs, which may be empty.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        pairs = self._drawn(number)
        mine = pairs[self._ranks.share(len(pairs))]
        made = mine or pairs[:1]  # of an empty share only the shape counts
        kept = 2 * len(mine)
        drawn = [crop for pair in made for crop in pair.crops]
        weak = [self._crops.cut(tile, variation) for tile, variation in drawn]
        strong = [
            self._crops.varied(pixels, tile, variation)
            for pixels, (tile, variation) in zip(weak, drawn, strict=True)
        ]
        own = np.stack([pair.own for pair in made]).repeat(2, axis=0)
        unknown = np.stack([(x.labels == IGNORE) & x.valid_in_all for x in weak])
        return UnlabelledBatch(
            tuple(image[:kept] for image in _stacked(weak)),
            tuple(mixed_crops(_own_cells(own, image), image)[:kept] for image in _stacked(strong)),
            torch.from_numpy(own[:kept]),
            torch.from_numpy(unknown[:kept]),
        )

    def whole(self, number: int) -> tuple[Tensor, ...]:
        """Return the images of the batch of this number as in prediction, those of all ranks.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        drawn = [crop for pair in self._drawn(number) for crop in pair.crops]
        return tuple(_stacked([self._crops.cut(tile, variation) for tile, variation in drawn]))

    def _drawn(self, number: int) -> list[_Pair]:
        random = np.random.default_rng((self._seed, number, _SEED))
        return [self._pair(random) for _ in range(self._pairs)]

    def _pair(self, random: np.random.Generator) -> _Pair:
        places = random.choice(len(self._probabilities), 2, p=self._probabilities)
        crops = tuple(self._crops.draw(int(place), random) for place in places)
        return _Pair(crops, _kept(self._side, random, self._alignment))


def _stronger(jitter: Jitter, factor: float) -> Jitter:
    return replace(
        jitter,
        contrast=factor * jitter.contrast,
        band=factor * jitter.band,
        gamma=factor * jitter.gamma,
        noise=factor * jitter.noise,
    )


def _stacked(crops: Sequence[Pixels]) -> list[Tensor]:
    return [channels_last(of_input) for of_input in zip(*(c.images for c in crops), strict=True)]


def mixed_crops(own: Tensor, image: Tensor) -> Tensor:
    """Return crops of an input with the cells that are not their own, [N, 1, h, w], replaced.

    They are those of their partners. A series has the dates of both then, each valid in its part.
    """
    if image.dim() == 4:
        return torch.where(own, image, partners(image))
    own = own[:, None]  # [N, 1, 1, h, w]
    parts = []
    for series, kept in ((image, own), (partners(image), ~own)):
        pixels, days = series[:, :, :-1], series[:, :, -1:]
        parts.append(torch.cat((pixels * kept, days), dim=2))
    return torch.cat(parts, dim=1)


def _own_cells(own: NDArray[np.bool_], image: Tensor) -> Tensor:
    """Return where crops keep their own cells of an input, bool [N, 1, h, w], of own [N, S, S]."""
    step = own.shape[-1] // image.shape[-1]
    return torch.from_numpy(own[:, ::step, ::step])[:, None]


def _kept(side: int, random: np.random.Generator, alignment: int) -> NDArray[np.bool_]:
    """Return where crops keep their own pixels, bool [side, side]: all but half of it, a rectangle.

    Its sides are multiples of `alignment`. Source: French et al. 2020 (arXiv:1906.01916): half the
    area, of random proportions.
    """
    height = 0.5 ** random.random()  # of the side, from a half to one, evenly in its logarithm
    rows, cols = (
        round(length / alignment) * alignment for length in (side * height, side * 0.5 / height)
    )
    row, col = (
        int(random.integers((side - length) // alignment + 1)) * alignment
        for length in (rows, cols)
    )
    own = np.ones((side, side), bool)
    own[row : row + rows, col : col + cols] = False
    return own


def unlabelled_sampler(
    data: TrainingSet,
    source: SampleSource,
    recipe: Recipe,
    side: int,
    seed: int,
    ranks: Ranks = ALONE,
) -> UnlabelledSampler | None:
    """Return what makes batches of all crops that a recipe takes without labels, if there are."""
    own = recipe.consistency.own_tiles
    tiles = data.unlabelled + tuple(t for t in data.train if own and t.labelled_share < 1)
    return UnlabelledSampler(source, tiles, recipe, side, seed, ranks) if tiles else None


class JointSampler:
    """Makes batches of crops with labels, and of crops without."""

    def __init__(self, labelled: Batches, unlabelled: UnlabelledSampler) -> None:
        """Put together what these make."""
        self._labelled = labelled
        self._unlabelled = unlabelled

    def batch(self, number: int) -> Batch:
        """Return the batches of this number as one.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        return replace(self._labelled.batch(number), unlabelled=self._unlabelled.batch(number))
