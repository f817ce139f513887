"""Training samples: what is random in each, and the crop that is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.tile_index import IndexedTile
from lcmap.raster.windows import Window
from lcmap.training.augmentation import (
    Pixels,
    RadiometricChange,
    draw_radiometry,
    draw_window,
    flip_and_turn,
    mirrored_to,
    some_dates,
    vary_radiometry,
    vary_series,
    zoom,
)
from lcmap.training.class_draw import ClassDraw, Focus, window_around
from lcmap.training.content_scales import ContentScales
from lcmap.training.rare_objects import Paste, RareObjects, draw_pastes
from lcmap.training.recipe import Recipe
from lcmap.training.samples import SampleSource


class Variation(NamedTuple):
    """All that is random in a sample; nothing is read to draw it.

    side: of the square that becomes one of the wanted size.
    window: what is cut from the tile, counted from its corner; or what it is cut around.
    orientation: 0 … 7.
    radiometry: how each input changes, None where it does not.
    dropped: whether the sample goes without each of the side inputs.
    dates: a seed that says which dates of series the sample has; None: all.
    content: a number 0 … 1 that chooses the part of the image by which it is scaled; None: all.
    pastes: the objects that are pasted on it.
    """

    side: int
    window: Window | Focus
    orientation: int
    radiometry: tuple[RadiometricChange | None, ...]
    dropped: tuple[bool, ...]
    dates: int | None = None
    content: float | None = None
    pastes: tuple[Paste, ...] = ()


class Crops:
    """Draws variations of the crops of tiles, and makes the crops.

    What they take from all tiles together, objects to paste and the scales of parts of images, is
    made when it is first needed.
    """

    def __init__(
        self,
        source: SampleSource,
        tiles: Sequence[IndexedTile],
        recipe: Recipe,
        side: int,
        seed: int,
    ) -> None:
        """Cut squares of `side` pixels from these tiles."""
        self._source = source
        self._tiles = tiles
        self._recipe = recipe
        self._side = side
        self._seed = seed
        balanced = recipe.sampling.balance > 0
        self._classes = ClassDraw(tiles, recipe.sampling.power) if balanced else None
        self._content = ContentScales(source, tiles, seed)

    @cached_property
    def _objects(self) -> RareObjects:
        return RareObjects(self._source, self._tiles, self._recipe.sampling, self._side, self._seed)

    def draw(self, place: int, random: np.random.Generator) -> tuple[IndexedTile, Variation]:
        """Return a tile and what is random of a sample: the tile of this place, or of a class."""
        recipe, inputs = self._recipe, self._source.kinds
        focus = None
        if self._classes and random.random() < recipe.sampling.balance:
            place, focus = self._classes.draw(random)
        tile, side = self._tiles[place], self._side
        if recipe.zoom:
            changed = side * float(np.exp(random.uniform(-1, 1) * recipe.zoom))
            side = max(round(changed / self._source.alignment), 2) * self._source.alignment
        variation = Variation(
            side,
            focus or draw_window(self._source.window(tile), side, random, self._source.alignment),
            int(random.integers(8)) if recipe.flips_and_turns else 0,
            tuple(
                draw_radiometry(self._source.bands(tile, number), recipe.jitter, random)
                if recipe.jitter and kind in ("image", "series")
                else None
                for number, kind in enumerate(inputs)
            ),
            tuple(
                bool(recipe.side_dropout) and random.random() < recipe.side_dropout
                for _ in inputs[1:]
            ),
        )
        # what a recipe leaves out draws no number, so that the others stay as they are
        if recipe.date_dropout and "series" in inputs:
            variation = variation._replace(dates=int(random.integers(2**32)))
        if recipe.jitter and recipe.jitter.content and random.random() < recipe.jitter.content:
            variation = variation._replace(content=random.random())
        if recipe.sampling.paste:
            pastes = draw_pastes(recipe.sampling.paste, random)
            variation = variation._replace(pastes=pastes)
        return tile, variation

    def make(self, tile: IndexedTile, variation: Variation) -> Pixels:
        """Return the crop of a tile, side × side.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        return self.varied(self.cut(tile, variation), tile, variation)

    def cut(self, tile: IndexedTile, variation: Variation) -> Pixels:
        """Return the crop of a tile, side × side, with its radiometry as it is.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        window = variation.window
        if isinstance(window, Focus):
            labels = self._source.usable_labels(tile, window.code)
            index = self._source.index_of(window.code)
            window = window_around(labels, index, variation.side, window, self._source.alignment)
        pixels = mirrored_to(self._source.read(tile, window), variation.side)
        if variation.pastes:
            pixels = self._objects.paste(pixels, variation.pastes)
        if variation.side != self._side:
            pixels = zoom(pixels, self._side)
        return flip_and_turn(pixels, variation.orientation)

    def varied(self, pixels: Pixels, tile: IndexedTile, variation: Variation) -> Pixels:
        """Return what `cut` gives with its radiometry varied and side inputs left out.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        image, *sides = (
            self._varied_input(image, valid, change, variation.dates)
            for image, valid, change in zip(
                pixels.images, pixels.valid, self._radiometry(tile, variation), strict=True
            )
        )
        kept = (
            np.zeros_like(side) if dropped else side
            for side, dropped in zip(sides, variation.dropped, strict=True)
        )
        return pixels._replace(images=(image, *kept))

    def _varied_input(
        self,
        image: NDArray[np.float32],
        valid: NDArray[np.bool_],
        change: RadiometricChange | None,
        dates: int | None,
    ) -> NDArray[np.float32]:
        if image.ndim == 3:
            return vary_radiometry(image, valid, change) if change else image
        if dates is not None:
            image = some_dates(image, self._recipe.date_dropout, dates)
        return vary_series(image, change) if change else image

    def _radiometry(
        self, tile: IndexedTile, variation: Variation
    ) -> tuple[RadiometricChange | None, ...]:
        if variation.content is None:
            return variation.radiometry
        scales = self._content.scales(tile.image, variation.content)
        return tuple(
            change.after(scale.gain, scale.offset) if change and scale else change
            for change, scale in zip(variation.radiometry, scales, strict=True)
        )
