"""The labels that training can use: those where every input has data.

A tile index counts the labels of the image alone: clouds in a side input, or its smaller extent,
leave fewer. How often classes occur is to be said of those that are left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.reading import IGNORE
from lcmap.dataset.tile_index import IndexedTile
from lcmap.errors import NoLabelledPixelError
from lcmap.nomenclature import Nomenclature
from lcmap.raster.threads import available_threads

Labels = Callable[[IndexedTile], NDArray[np.uint8]]
"""Gives a tile's class indices, 255 where there is no label or an input has no data."""

_MOST_THREADS = 8

logger = logging.getLogger(__name__)


def with_usable_counts(
    tiles: Sequence[IndexedTile], nomenclature: Nomenclature, labels: Labels, subject: str
) -> list[IndexedTile]:
    """Return the tiles that have usable labels, with the counts and the share of these alone.

    Errors are about the `subject`.

    Raises:
        NoLabelledPixelError: no training or no validation tile has any.
        NotARasterError: pixels cannot be read.
    """

    def counted(tile: IndexedTile) -> IndexedTile:
        found = labels(tile)
        numbers = np.bincount(found[found != IGNORE], minlength=len(nomenclature)).tolist()
        counts = {code: n for code, n in zip(nomenclature.codes, numbers, strict=True) if n}
        share = round(sum(numbers) / tile.window.pixels, 6)
        return replace(tile, class_counts=counts, labelled_share=share)

    with ThreadPoolExecutor(min(available_threads(), _MOST_THREADS), "labels") as pool:
        found = list(pool.map(counted, tiles))
    kept = [tile for tile in found if tile.class_counts]
    for split, name in (("train", "training"), ("validation", "validation")):
        if not any(tile.split == split for tile in kept):
            raise NoLabelledPixelError(
                subject,
                f"no label for {name} is where all side inputs have data",
                "give `sides` that cover its tiles, or prepare without `sides`",
            )
    before, after = (sum(sum(t.class_counts.values()) for t in some) for some in (tiles, kept))
    if after < before:
        logger.info(
            "%d of %d labelled pixels do not count: a side input has no data there",
            before - after, before,
        )  # fmt: skip
    return kept


def check_usable(tiles: Mapping[str, Sequence[IndexedTile]], labels: Labels, subject: str) -> None:
    """Check that tiles for something have a usable label; as a rule the first of them has.

    Raises:
        NoLabelledPixelError: none has. It is about the `subject`.
        NotARasterError: pixels cannot be read.
    """
    for name, some in tiles.items():
        if not any((labels(tile) != IGNORE).any() for tile in some):
            raise NoLabelledPixelError(
                subject,
                f"counts labels for {name}, and the label files have none",
                "prepare it again",
            )
