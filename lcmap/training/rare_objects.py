"""Objects of rare classes, cut from training tiles and pasted on crops.

Source: Ghiasi et al. 2021 (arXiv:2012.07177), section 3, here for semantic labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lcmap.dataset.reading import IGNORE
from lcmap.dataset.tile_index import IndexedTile
from lcmap.raster.windows import Window
from lcmap.training.augmentation import Pixels, flip_and_turn
from lcmap.training.recipe import Sampling
from lcmap.training.samples import SampleSource

_LEAST_PIXELS = 16
_MOST_TILES = 2048
_MOST_BYTES = 32 << 20
"""Of all masks together."""

_RIM = 2
"""Pixels around an object over which it passes into the ground it is pasted on."""

_AROUND = np.ones((3, 3), bool)


class Paste(NamedTuple):
    """Numbers 0 … 1 that choose a class, an object of it, its place and its orientation."""

    kind: float
    number: float
    row: float
    col: float
    orientation: float


class RareObject(NamedTuple):
    """A connected object of a tile: its pixels, bool [h, w], in a window from the tile's corner."""

    tile: IndexedTile
    window: Window
    mask: NDArray[np.bool_]


def draw_pastes(expected: float, random: np.random.Generator) -> tuple[Paste, ...]:
    """Return what is pasted on a crop: so many objects on average."""
    return tuple(map(Paste._make, random.random((random.poisson(expected), 5)).tolist()))


class RareObjects:
    """The objects of the rare classes of training tiles.

    They are whole, as wide as half a crop at most, and at least 16 pixels large. Where there are
    many tiles, they are of some of these, in a bounded number of bytes.
    """

    def __init__(
        self,
        source: SampleSource,
        tiles: Sequence[IndexedTile],
        sampling: Sampling,
        side: int,
        seed: int,
    ) -> None:
        """Look for objects in these tiles, for crops of `side` pixels.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        self._source = source
        self._found: dict[int, list[RareObject]] = {}
        rare = _rare_codes(tiles, sampling.rare)
        have = [tile for tile in tiles if rare & set(tile.class_counts)]
        order = np.random.default_rng(seed).permutation(len(have))[:_MOST_TILES]
        left = _MOST_BYTES
        for place in order:
            tile = have[place]
            for code in sorted(rare & set(tile.class_counts)):
                where = source.usable_labels(tile, code) == source.index_of(code)
                for found in _objects(tile, where, side // 2, source.alignment):
                    left -= found.mask.nbytes
                    if left < 0:
                        return
                    self._found.setdefault(code, []).append(found)

    def paste(self, pixels: Pixels, pastes: Sequence[Paste]) -> Pixels:
        """Return a crop with objects pasted on it; one that is larger than the crop is left out.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        if not (pastes and self._found):
            return pixels
        pixels = pixels.each(np.copy)
        kinds = sorted(self._found)
        for paste in pastes:
            of_class = self._found[kinds[int(paste.kind * len(kinds))]]
            self._paste(pixels, of_class[int(paste.number * len(of_class))], paste)
        return pixels

    def _paste(self, pixels: Pixels, chosen: RareObject, paste: Paste) -> None:
        mask, part = _turned(
            chosen.mask,
            self._source.read(chosen.tile, chosen.window),
            int(8 * paste.orientation),
        )
        height, width = mask.shape
        free_rows, free_cols = (n - m for n, m in zip(pixels.labels.shape, mask.shape, strict=True))
        if free_rows < 0 or free_cols < 0:
            return
        step = self._source.alignment
        row = int(paste.row * (free_rows // step + 1)) * step
        col = int(paste.col * (free_cols // step + 1)) * step
        paste_part(pixels, part, mask, Window(row, col, height, width), self._source.kinds)


def paste_part(
    pixels: Pixels,
    part: Pixels,
    mask: NDArray[np.bool_],
    window: Window,
    kinds: Sequence[str],
) -> None:
    """Paste the pixels of an object on a window of a crop, in place.

    mask: bool [h, w], the object in `part`, whose other pixels are its surroundings. In a rim
    around it images pass from one into the other, and no label is sure; other inputs have no rim.
    What is not valid in the image stays so, and is not pasted. The window is one of whole cells of
    all inputs; a cell is the object's of which that has half or more.
    """
    here = window.slices
    mask = mask & pixels.valid[0][here] & part.valid[0]
    weight = _feathered(mask)
    rim = (weight > 0) & ~mask & pixels.valid[0][here] & part.valid[0]
    for kind, level, ground, image, valid, pasted in zip(
        kinds, pixels.all_levels, pixels.images, part.images, pixels.valid, part.valid, strict=True
    ):
        if kind == "series":  # the object's place has other dates, and its cells are larger
            continue
        cells = window.coarsened(level).slices
        own = _of_cells(mask, level) >= 0.5
        beside = (_of_cells(rim, level) > 0) & ~own
        taken = pasted & (own | beside & valid[cells] if kind == "image" else own)
        share = np.where(taken, _of_cells(weight, level), 0)
        ground[:, *cells] += share * (image - ground[:, *cells])
        valid[cells] |= taken
    pixels.labels[here][rim] = IGNORE
    pixels.labels[here][mask] = part.labels[mask]


def _of_cells(
    values: NDArray[np.bool_] | NDArray[np.float32], level: int
) -> NDArray[np.bool_] | NDArray[np.float32]:
    """Return the means of values [h, w] over cells of 2^level × 2^level."""
    if level == 0:
        return values
    cell, (height, width) = 1 << level, values.shape
    cells = values.reshape(height // cell, cell, width // cell, cell)
    means: NDArray[np.float32] = cells.mean(axis=(1, 3), dtype=np.float32)
    return means


def _feathered(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the weight of a mask's object, float32 [h, w]: 1 in it, less and less around it."""
    weight = mask.astype(np.float32)
    grown = mask
    for step in range(_RIM):
        wider = ndimage.binary_dilation(grown, _AROUND)
        weight[wider & ~grown] = 1 - (step + 1) / (_RIM + 1)
        grown = wider
    return weight


def _turned(
    mask: NDArray[np.bool_], part: Pixels, orientation: int
) -> tuple[NDArray[np.bool_], Pixels]:
    turned = flip_and_turn(part._replace(valid=(*part.valid, mask)), orientation)
    *valid, mask = turned.valid
    return mask, turned._replace(valid=tuple(valid))


def _rare_codes(tiles: Sequence[IndexedTile], below: float) -> set[int]:
    """Return the codes of classes that occur, but have a share below this."""
    counts: dict[int, int] = {}
    for tile in tiles:
        for code, count in tile.class_counts.items():
            counts[code] = counts.get(code, 0) + count
    total = sum(counts.values())
    return {code for code, count in counts.items() if 0 < count < below * total}


def _objects(
    tile: IndexedTile, where: NDArray[np.bool_], most: int, alignment: int
) -> list[RareObject]:
    """Return the objects of a tile that do not touch its edge, with their rims' windows.

    Sides of the windows are multiples of `alignment`; an object is left out where there is none.
    """
    height, width = where.shape
    numbered, _ = ndimage.label(where)
    objects = []
    for number, slices in enumerate(ndimage.find_objects(numbered), 1):
        (top, bottom), (left, right) = ((s.start, s.stop) for s in slices)
        whole = top > 0 and left > 0 and bottom < height and right < width
        if not whole or max(bottom - top, right - left) > most:
            continue
        window = Window(top, left, bottom - top, right - left).expanded(_RIM)
        window = window.clipped(height, width).aligned(alignment)
        if window.clipped(height, width) != window:
            continue
        mask = numbered[window.slices] == number
        if mask.sum() >= _LEAST_PIXELS:
            objects.append(RareObject(tile, window, mask))
    return objects
