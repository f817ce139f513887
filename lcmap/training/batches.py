"""Batches of training samples, made in a background thread ahead of the computation."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lcmap.dataset.tile_index import IndexedTile
from lcmap.training.crops import Crops
from lcmap.training.ranks import ALONE, Ranks
from lcmap.training.recipe import Recipe
from lcmap.training.samples import SampleSource

if TYPE_CHECKING:
    from lcmap.training.unlabelled_batches import UnlabelledBatch

_AHEAD = 4
_ORDER = 1
"""Makes the seed of a pass's order another than those of batches."""


@dataclass(frozen=True)
class Batch:
    """Scaled images, one float32 [N, C, S, S] per input, and labels int64 [N, S, S].

    A series is [N, T, C + 2, s, s], see `LandCoverNetwork`; of fewer dates than others it is filled
    up with some that are valid nowhere.

    `unlabelled` are crops without labels to learn from in the same step.
    """

    images: tuple[Tensor, ...]
    labels: Tensor
    unlabelled: UnlabelledBatch | None = None

    @property
    def all_images(self) -> tuple[Tensor, ...]:
        """The images of all crops, those without labels last."""
        if self.unlabelled is None:
            return self.images
        return tuple(map(joined, self.images, self.unlabelled.strong))

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        if device.type == "cpu":
            return self
        return Batch(
            tuple(image.pin_memory().to(device, non_blocking=True) for image in self.images),
            self.labels.pin_memory().to(device, non_blocking=True),
            self.unlabelled and self.unlabelled.to(device),
        )


class Batches(Protocol):
    """What makes batches, each the same whenever it is asked for."""

    def batch(self, number: int) -> Batch:
        """Return the batch of this number."""
        ...


class Sampler:
    """Makes the batches of a run: tiles drawn, cut, and varied at random.

    Tiles are drawn by their size, or by a class (see `Sampling`); in whole passes they come in a
    random order, each once a pass, and the last batch of a pass may be a smaller one.

    The batch of a number is the same whenever it is asked for, so a run can be continued. Of
    several ranks each gets its share of that batch.
    """

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
        self._crops = Crops(source, tiles, recipe, side, seed)
        self._recipe = recipe
        self._seed = seed
        self._ranks = ranks
        self._tiles = len(tiles)
        areas = np.array([t.window.height * t.window.width for t in tiles], np.float64)
        self._probabilities = areas / areas.sum()

    def batch(self, number: int) -> Batch:
        """Return the batch of this number, or this rank's share of it, which may be empty.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        random = np.random.default_rng((self._seed, number))
        # all are drawn by each rank, so that a sample does not depend on how many there are
        varied = [self._crops.draw(place, random) for place in self._drawn(number, random)]
        mine = varied[self._ranks.share(len(varied))]
        # of an empty share only the shape counts
        crops = [self._crops.make(tile, variation) for tile, variation in mine or varied[:1]]
        images = map(channels_last, zip(*(crop.images for crop in crops), strict=True))
        labels = torch.from_numpy(np.stack([crop.labels for crop in crops]).astype(np.int64))
        return Batch(tuple(image[: len(mine)] for image in images), labels[: len(mine)])

    def _drawn(self, number: int, random: np.random.Generator) -> NDArray[np.intp]:
        """Return the places of the tiles of a batch."""
        size, tiles = self._recipe.batch_size, self._tiles
        if not self._recipe.whole_passes:
            return random.choice(tiles, size, p=self._probabilities)
        done, place = divmod(number, steps_per_pass(tiles, size))
        order = np.random.default_rng((self._seed, done, _ORDER)).permutation(tiles)
        return order[place * size :][:size]


def steps_per_pass(tiles: int, batch_size: int) -> int:
    """Return how many batches take each tile once."""
    return -(-tiles // batch_size)


def channels_last(images: Sequence[NDArray[np.float32]]) -> Tensor:
    """Return images [C, H, W] as one tensor [N, C, H, W], laid out as convolutions want it.

    Series [T, C, H, W] become [N, T, C, H, W] of the most dates, see `Batch`.
    """
    *_, channels, height, width = images[0].shape
    if images[0].ndim == 4:
        dates = max(len(series) for series in images)
        batch = np.zeros((len(images), dates, height, width, channels), np.float32)
        for place, series in enumerate(images):
            batch[place, : len(series)] = series.transpose(0, 2, 3, 1)
        return torch.from_numpy(batch).permute(0, 1, 4, 2, 3)
    batch = np.empty((len(images), height, width, channels), np.float32)
    np.stack([image.transpose(1, 2, 0) for image in images], out=batch)
    return torch.from_numpy(batch).permute(0, 3, 1, 2)


def joined(one: Tensor, other: Tensor) -> Tensor:
    """Return two batches of an input as one, series with the dates of the longer."""
    if one.dim() == 5:
        dates = max(one.shape[1], other.shape[1])
        one, other = (
            F.pad(series, (0, 0, 0, 0, 0, 0, 0, dates - series.shape[1])) for series in (one, other)
        )
    return torch.cat((one, other))


@contextmanager
def batches_ahead(sampler: Batches, first: int, last: int) -> Iterator[Iterator[Batch]]:
    """Yield an iterator over the batches first … last - 1, made ahead in a thread.

    Leaving the context ends the thread. An error in the thread is raised by the iterator.
    """
    made: queue.Queue[Batch | BaseException] = queue.Queue(_AHEAD)
    ended = threading.Event()

    def put(item: Batch | BaseException) -> None:
        while not ended.is_set():
            try:
                made.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def make() -> None:
        try:
            for number in range(first, last):
                if ended.is_set():
                    return
                put(sampler.batch(number))
        except BaseException as error:
            put(error)

    def taken() -> Iterator[Batch]:
        for _ in range(first, last):
            item = made.get()
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=make, name="batches", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        ended.set()
        thread.join()
