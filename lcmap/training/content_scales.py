"""How an image would be scaled if there were other ground in it.

An image is scaled by its own 2 % and 98 % quantiles, which depend on what is in it: the same ground
arrives scaled otherwise in an image that shows less, more or something else, though its sensor and
its light are the same. How much otherwise, the training tiles show.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.encoding import low_and_factor
from lcmap.dataset.tile_index import IndexedTile
from lcmap.raster.quantiles import PROBABILITIES
from lcmap.training.samples import SampleSource

_DRAWN = 256
"""Scales that are drawn for each image."""

_MOST_TILES = 512
"""Of all images together, but some of each."""

_LEAST_TILES = 8
_MOST_OTHERS = 64
"""Images whose ground is put beside that of the others."""

_LOWEST, _HIGHEST, _BINS = -2.0, 4.0, 1536
_CENTRES = _LOWEST + (np.arange(_BINS) + 0.5) * ((_HIGHEST - _LOWEST) / _BINS)
_MOST_GAIN = 4.0
"""Ground of nearly one value, like open water, says nothing of how images are scaled; nor does
ground whose values are of another kind."""


class BandScale(NamedTuple):
    """Gain and offset of each band, float32 [C]."""

    gain: NDArray[np.float32]
    offset: NDArray[np.float32]


Scales = tuple[BandScale | None, ...]
"""Of each input, None where it is no image."""


class _Ground(NamedTuple):
    """Tiles of an image, the middle of each, [T, 2], and how often values occur in them.

    counts: int32 [T, C, bins] of the scaled values of each input, None where it is no image.
    """

    tiles: Sequence[IndexedTile]
    centres: NDArray[np.float64]
    counts: tuple[NDArray[np.int32] | None, ...]

    def part(self, random: np.random.Generator) -> tuple[NDArray[np.int64] | None, ...]:
        """Return the counts, int64 [C, bins], of a random tile and some that are nearest to it.

        The logarithm of their number is uniform: from one tile to all.
        """
        middle = self.centres[random.integers(len(self.tiles))]
        size = int((len(self.tiles) + 1) ** random.random())
        nearest = np.argsort(np.hypot(*(self.centres - middle).T), kind="stable")[:size]
        return tuple(None if x is None else x[nearest].sum(axis=0) for x in self.counts)


class ContentScales:
    """The scales that each image would have among other ground, made when they are first needed.

    Half of them are those of a random part of the image, the others those of such a part together
    with a part of another image.
    """

    def __init__(self, source: SampleSource, tiles: Sequence[IndexedTile], seed: int) -> None:
        """Take the ground from these tiles."""
        self._source = source
        self._seed = seed
        self._tiles: dict[Path, list[IndexedTile]] = {}
        for tile in tiles:
            self._tiles.setdefault(tile.image, []).append(tile)
        images = list(self._tiles)
        self._others = images[:: -(-len(images) // _MOST_OTHERS)]
        self._grounds: dict[Path, _Ground] = {}
        self._made: dict[Path, list[Scales]] = {}

    def scales(self, image: Path, number: float) -> Scales:
        """Return scales of an image that a number 0 … 1 chooses.

        They apply to what is scaled by the quantiles of the whole image.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        if image not in self._made:
            self._made[image] = self._drawn(image)
        found = self._made[image]
        return found[int(number * len(found))]

    def _drawn(self, image: Path) -> list[Scales]:
        own = self._ground(image)
        others = [self._ground(other) for other in self._others if other != image]
        random = np.random.default_rng((self._seed, list(self._tiles).index(image)))
        drawn = []
        for _ in range(_DRAWN):
            counts = own.part(random)
            if others and random.random() < 0.5:
                other = others[random.integers(len(others))]
                counts = self._together(own, counts, other, other.part(random))
            scales = _scales(counts)
            if scales is not None:
                drawn.append(scales)
        unchanged = tuple(None if x is None else _unchanged(x.shape[1]) for x in own.counts)
        return drawn or [unchanged]

    def _ground(self, image: Path) -> _Ground:
        if image in self._grounds:
            return self._grounds[image]
        tiles = self._tiles[image]
        most = max(_MOST_TILES // len(self._tiles), _LEAST_TILES)
        tiles = tiles[:: -(-len(tiles) // most)]
        windows = [tile.window for tile in tiles]
        ground = _Ground(
            tiles,
            np.array([(w.row + w.height / 2, w.col + w.width / 2) for w in windows]),
            tuple(
                None if of_input[0] is None else np.stack(of_input)
                for of_input in zip(*map(self._counts, tiles), strict=True)
            ),
        )
        if image in self._others:
            self._grounds[image] = ground
        return ground

    def _counts(self, tile: IndexedTile) -> tuple[NDArray[np.int32] | None, ...]:
        pixels = self._source.read(tile)
        return tuple(
            np.stack([_histogram(band[valid]) for band in image]) if kind == "image" else None
            for image, valid, kind in zip(
                pixels.images, pixels.valid, self._source.kinds, strict=True
            )
        )

    def _together(
        self,
        own: _Ground,
        counts: tuple[NDArray[np.int64] | None, ...],
        other: _Ground,
        added: tuple[NDArray[np.int64] | None, ...],
    ) -> tuple[NDArray[np.int64] | None, ...]:
        """Return counts with those of another ground, which is scaled by other quantiles."""
        found = []
        for number, (mine, its) in enumerate(zip(counts, added, strict=True)):
            if mine is None or its is None:
                found.append(mine)
                continue
            low, factor = low_and_factor(self._source.quantiles(own.tiles[0], number))
            its_low, its_high = self._source.quantiles(other.tiles[0], number).T[..., None]
            values = its_low + _CENTRES * (its_high - its_low)  # [C, bins]
            places = _places((values - low[:, None]) * factor[:, None])
            here = [np.bincount(*pair, minlength=_BINS) for pair in zip(places, its, strict=True)]
            found.append(mine + np.stack(here).astype(np.int64))
        return tuple(found)


def _unchanged(bands: int) -> BandScale:
    return BandScale(np.ones(bands, np.float32), np.zeros(bands, np.float32))


def _places(values: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the bins that values are in; those beyond the last are in the last."""
    places = (values - _LOWEST) * (_BINS / (_HIGHEST - _LOWEST))
    bins: NDArray[np.intp] = np.clip(places, 0, _BINS - 1).astype(np.intp)
    return bins


def _histogram(values: NDArray[np.float32]) -> NDArray[np.int32]:
    return np.bincount(_places(values), minlength=_BINS).astype(np.int32)


def _scales(counts: Sequence[NDArray[np.int64] | None]) -> Scales | None:
    """Return the scales of ground with these counts, None where they would be too far off."""
    scales = [None if of_input is None else _scale(of_input) for of_input in counts]
    for scale in scales:
        if scale and not ((scale.gain >= 1 / _MOST_GAIN) & (scale.gain <= _MOST_GAIN)).all():
            return None
    return tuple(scales)


def _scale(counts: NDArray[np.int64]) -> BandScale:
    """Return what brings the 2 % and 98 % quantiles to 0 and 1, of counts int64 [C, bins]."""
    cumulated = counts.cumsum(axis=1)
    sought = np.multiply.outer(PROBABILITIES, cumulated[:, -1])  # [2, C]
    places = (cumulated <= sought[..., None]).sum(axis=-1)  # [2, C]
    low, high = _CENTRES[np.minimum(places, _BINS - 1)]
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = 1 / (high - low)
        offset = -low * gain
    return BandScale(gain.astype(np.float32), offset.astype(np.float32))
