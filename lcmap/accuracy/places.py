"""Places that show what a map is like: blocks of the reference, read with maps and image."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.warp import transform as transform_coordinates

from lcmap.accuracy.confusion import state_table
from lcmap.accuracy.inputs import Comparison
from lcmap.accuracy.label_maps import open_parts
from lcmap.accuracy.label_raster import LabelRaster
from lcmap.accuracy.split_windows import BlockGrid
from lcmap.accuracy.tally import BlockKey
from lcmap.dataset.inputs import InputOptions, RasterInput, open_input
from lcmap.paths import PathLike
from lcmap.raster.alignment import overlaps
from lcmap.raster.grid import Grid
from lcmap.raster.opening import read_reduced, reading
from lcmap.raster.resampling import AlignedRaster
from lcmap.raster.windows import Window, iter_blocks

logger = logging.getLogger(__name__)

_FULL = 0.5
"""Of the most pixels that any block has scored: places have at least this share of them."""

_LONGEST = 512
"""Pixels along a side of a picture; of larger blocks every so many are shown."""

_AT_ONCE = 64
"""Pixels along a side of what is read at once of a picture: those of an image may be smaller."""

_COLORS = ("red", "green", "blue")


class Place(NamedTuple):
    """A block of a reference, and the share of its pixels that the first map has right."""

    title: str
    reference: int
    row: int
    col: int
    agreement: float


@dataclass(frozen=True)
class PlaceView:
    """A place as arrays of one shape [height, width], its pixels perhaps thinned out.

    where: its ground, in words. image: uint8 [height, width, 3], None where no image covers it.
    reference, maps: states, K without a class. names: of the maps.
    """

    place: Place
    where: str
    image: NDArray[np.uint8] | None
    reference: NDArray[np.uint8]
    maps: tuple[NDArray[np.uint8], ...]
    names: tuple[str, ...]


def choose_places(blocks: Mapping[BlockKey, NDArray[np.integer]]) -> list[Place]:
    """Return the best, a typical and the worst of blocks by the agreement of the first map.

    `blocks` are margins [maps, 3, K] as `measures.scores` takes them. Blocks of few scored pixels
    are left out; a typical one is at the median.
    """
    found = []
    for (number, row, col), margins in blocks.items():
        agreed, reference = int(margins[0, 0].sum()), int(margins[0, 1].sum())
        found.append((reference, agreed / reference, (number, row, col)))
    most = max((pixels for pixels, _, _ in found), default=0)
    ranked = sorted((share, key) for pixels, share, key in found if pixels >= _FULL * most)
    if not ranked:
        return []
    wanted = {"best": len(ranked) - 1, "typical": (len(ranked) - 1) // 2, "worst": 0}
    places: dict[BlockKey, Place] = {}
    for title, rank in wanted.items():
        share, key = ranked[rank]
        places.setdefault(key, Place(title, *key, share))
    return list(places.values())


def read_places(
    places: Sequence[Place],
    grids: Mapping[int, BlockGrid],
    comparison: Comparison,
    images: Sequence[PathLike],
    inputs: InputOptions,
) -> list[PlaceView]:
    """Return what maps, references and images show at places, blocks of each reference's grid.

    Raises:
        LcmapError: as those that open and read the files.
    """
    views = []
    for place in places:
        with ExitStack() as stack:
            file = comparison.reference.files[place.reference]
            reference = stack.enter_context(file.opened(inputs))
            edge, row, col = grids[place.reference]
            window = Window(row + place.row * edge, col + place.col * edge, edge, edge)
            window = window.clipped(*reference.grid.shape)
            step = math.ceil(max(window.height, window.width) / _LONGEST)
            table = state_table(comparison.target, comparison.reference.crosswalk, comparison.only)
            maps = []
            for item in comparison.maps:
                view = item.view(comparison.target)
                codes, _ = open_parts(item.files, reference, stack, inputs, view).read(window)
                states = state_table(comparison.target, item.crosswalk)[codes]
                maps.append(states[::step, ::step])
            views.append(
                PlaceView(
                    place,
                    _where(reference, window),
                    read_picture(images, reference.grid, window, step, inputs),
                    table[reference.read(window)][::step, ::step],
                    tuple(maps),
                    tuple(item.name for item in comparison.maps),
                )
            )
    if images and all(view.image is None for view in views):
        logger.warning("no image shows the places of the page: name one of their ground")
    return views


def _where(reference: LabelRaster, window: Window) -> str:
    """Return where a window is: its middle on earth, and its size in metres."""
    grid = reference.grid
    x, y = grid.transform @ (window.col + window.width / 2, window.row + window.height / 2)
    (longitude,), (latitude,) = transform_coordinates(grid.crs, "EPSG:4326", [x], [y])[:2]
    north, east = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
    text = f"{abs(latitude):.4f}° {north}, {abs(longitude):.4f}° {east}"
    gsd = grid.gsd_metres
    size = "" if gsd is None else f", {window.width * gsd:.0f} × {window.height * gsd:.0f} m"
    return text + size


def read_picture(
    images: Sequence[PathLike], grid: Grid, window: Window, step: int, inputs: InputOptions
) -> NDArray[np.uint8] | None:
    """Return a window of the first image that has pixels there, [height, width, 3]."""
    height, width = -(-window.height // step), -(-window.width // step)
    transform = grid.transform @ type(grid.transform).translation(window.col, window.row)
    transform = transform @ type(grid.transform).scale(step)
    here = Grid(grid.crs, transform, width, height)
    for given in images:
        with open_input(given, inputs) as source:
            source.require_crs()
            if not overlaps(source.grid, here):
                continue
            low, high, bands = _stretch(source)
            values, there = _on_grid(source, bands, here)
            if not there.any():
                continue
            scaled = (values - low[:, None, None]) / np.maximum(high - low, 1e-6)[:, None, None]
            shown = np.where(there, scaled.clip(0, 1), 1.0)  # white without data
            picture = (255 * shown).astype(np.uint8)
            return (
                np.repeat(picture, 3, axis=0)[:3].transpose(1, 2, 0)
                if len(bands) < 3
                else (picture.transpose(1, 2, 0))
            )
    return None


def _on_grid(
    source: RasterInput, bands: Sequence[int], grid: Grid
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return bands of an image on a grid, float32 [bands, h, w], and where it has data, [h, w]."""
    aligned = AlignedRaster(source.dataset, grid, source.name)
    values = np.empty((len(bands), *grid.shape), np.float32)
    there = np.empty(grid.shape, bool)
    chosen = [band - 1 for band in bands]

    def convert(pixels: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        return np.where(valid, pixels[chosen], 0).astype(np.float32)

    for window in iter_blocks(*grid.shape, _AT_ONCE):
        around = (..., *window.slices)
        values[around], there[around] = aligned.read(window, convert)
    return values, there


def _stretch(source: RasterInput) -> tuple[NDArray[np.float64], NDArray[np.float64], list[int]]:
    """Return the 2 % and 98 % quantiles of the bands to show, by a thinned-out read, and these."""
    dataset = source.dataset
    names = [(name or "").lower() for name in dataset.descriptions]
    bands = [names.index(color) + 1 for color in _COLORS if color in names]
    if len(bands) < 3:
        bands = [1, 2, 3] if dataset.count >= 3 else [1]
    factor = max(1, math.ceil(max(dataset.height, dataset.width) / _LONGEST))
    shape = max(dataset.height // factor, 1), max(dataset.width // factor, 1)
    with reading(source.name):
        values, valid = read_reduced(dataset, bands, shape)
    flat = [band[seen].astype(np.float64) for band, seen in zip(values, valid, strict=True)]
    ends = [np.quantile(band, (0.02, 0.98)) if band.size else (0.0, 1.0) for band in flat]
    low, high = np.array(ends, np.float64).T
    return low, high, bands
