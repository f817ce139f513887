"""Overviews of class maps, by mode: GDAL's pixels, in less time.

GDAL counts every cell, and of a raster with colours in one thread. Here cells are compared as
arrays, in several threads, and only those of several codes are counted. The overviews are put into
the file while it is empty, so that none of their blocks is written twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from lcmap.overlap import overlapped
from lcmap.raster.threads import available_threads
from lcmap.raster.windows import Window, iter_blocks

_BLOCK = 1024
"""Edge, in pixels of an overview, of the blocks that are computed at once."""

Codes = TypeVar("Codes", bound=np.generic)


def overview_factors(shape: Sequence[int], largest: int) -> list[int]:
    """Return by how much overviews are reduced: 2, 4, … until none is larger than `largest`."""
    factors = []
    factor = 2
    while max(shape) / factor > largest:
        factors.append(factor)
        factor *= 2
    return factors


def make_room_for_overviews(dataset: Any, factors: Sequence[int]) -> None:
    """Give a GeoTIFF that is open to write, and still empty, overviews without pixels."""
    if factors:
        # an empty image makes empty blocks, which need not be in the file
        with rasterio.Env(SPARSE_OK_OVERVIEW=True):
            dataset.build_overviews(list(factors), Resampling.nearest)


def fill_overviews_by_mode(path: Path, count: int) -> None:
    """Write the pixels of so many overviews of a GeoTIFF of one band, whose nodata is 0.

    Each is made of the one before, as `halved` does it.
    """
    for level in range(count):
        before = {"overview_level": level - 1} if level else {}
        with (
            rasterio.open(path, **before) as source,
            rasterio.open(path, "r+", overview_level=level) as overview,
        ):
            _fill(source, overview)


def _fill(source: Any, overview: Any) -> None:
    height, width = source.shape

    def read(window: Window) -> NDArray[Any]:
        (top, bottom), (left, right) = (
            (2 * start - length % 2, 2 * stop)
            for start, stop, length in (
                (window.row, window.stop_row, height),
                (window.col, window.stop_col, width),
            )
        )
        wide = Window(top, left, bottom - top, right - left)
        inside = wide.clipped(height, width)
        missing = (
            (inside.row - top, bottom - inside.stop_row),
            (inside.col - left, right - inside.stop_col),
        )
        return np.pad(source.read(1, window=inside.ranges), missing)

    overlapped(
        iter_blocks(overview.height, overview.width, _BLOCK),
        read,
        lambda _, codes: halved(codes),
        lambda window, codes: overview.write(codes, 1, window=window.ranges),
        at_once=available_threads(),
    )


def halved(codes: NDArray[Codes]) -> NDArray[Codes]:
    """Return the mode of each cell of codes, where 0 does not count; of the same dtype.

    Along a side of 2 N codes there are N cells of two. Along one of 2 N + 1 codes there are N cells
    of three, of which neighbours share one: GDAL's cells of a side of an odd length, which has
    nothing (0) beyond both ends here. Of codes that are as frequent, the first that gets to its
    number in reading order is taken, as by GDAL.
    """
    rows, cols = (range(2 + length % 2) for length in codes.shape)
    height, width = ((length - length % 2) // 2 for length in codes.shape)
    members = [
        np.ascontiguousarray(codes[row::2, col::2][:height, :width]) for row in rows for col in cols
    ]
    modes = members[0]
    uneven = np.zeros(modes.shape, bool)
    for member in members[1:]:
        uneven |= member != modes
    # most cells are of one code: the others are counted alone
    some = np.flatnonzero(uneven)
    modes.ravel()[some] = _first_to_lead([member.ravel().take(some) for member in members])
    return modes


def _first_to_lead(members: Sequence[NDArray[Codes]]) -> NDArray[Codes]:
    """Return the code that most members of each cell have, the first to be as many; all [N]."""
    best = members[0].copy()
    most = (best != 0).astype(np.int8)
    for place, member in enumerate(members[1:], start=1):
        count = np.ones(len(member), np.int8)
        for earlier in members[:place]:
            count += earlier == member
        count *= member != 0
        np.copyto(best, member, where=count > most)
        np.maximum(most, count, out=most)
    return best
