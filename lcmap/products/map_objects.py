"""The objects of a whole map, streamed: found by block, joined over the borders of blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.products.objects import Numbers, find_objects
from lcmap.products.outlines import groups, outlines
from lcmap.progress import Progress
from lcmap.raster.pixel_areas import PixelAreas
from lcmap.raster.windows import Window

BLOCK = 2048
"""Edge, in pixels, of the blocks whose objects are found at once."""

Read = Callable[[Window], NDArray[np.uint8]]
"""What reads a window of a map."""


@dataclass(frozen=True)
class MapObjects:
    """Objects of a map, or parts of them, N each.

    codes: uint8 [N].
    outlines: for each the polygons that make it, in pixels of the map.
    sums: float64 [3, N]: the area in m², the pixels that have a confidence, the sum of these.
    """

    codes: NDArray[np.uint8]
    outlines: list[list[Any]]
    sums: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of objects, N."""
        return len(self.codes)

    def only(self, chosen: NDArray[np.bool_]) -> MapObjects:
        """Return the objects that are `chosen`, bool [N]."""
        numbers = np.flatnonzero(chosen)
        outlines = [self.outlines[number] for number in numbers.tolist()]
        return MapObjects(self.codes[numbers], outlines, self.sums[:, numbers])

    def followed_by(self, others: MapObjects) -> MapObjects:
        """Return these objects and others after them."""
        return MapObjects(
            np.concatenate([self.codes, others.codes]),
            self.outlines + others.outlines,
            np.concatenate([self.sums, others.sums], axis=1),
        )

    def joined(self, count: int, of_parts: Numbers) -> MapObjects:
        """Return so many objects, of which each part, int32 [N], belongs to one."""
        codes = np.empty(count, np.uint8)
        codes[of_parts] = self.codes
        outlines: list[list[Any]] = [[] for _ in range(count)]
        for number, parts in zip(of_parts.tolist(), self.outlines, strict=True):
            outlines[number] += parts
        sums = [np.bincount(of_parts, values, count) for values in self.sums]
        return MapObjects(codes, outlines, np.array(sums))


NO_OBJECTS = MapObjects(np.zeros(0, np.uint8), [], np.zeros((3, 0)))


@dataclass(frozen=True)
class _Line:
    """A row or column of a map: the code of each pixel, and the number of its object."""

    codes: NDArray[np.uint8]
    numbers: Numbers

    def shared(self, other: _Line) -> tuple[Numbers, Numbers]:
        """Return the objects that this line and the one beside it show to be the same."""
        same = np.flatnonzero(self.codes == other.codes)
        return self.numbers[same], other.numbers[same]


def iter_objects(
    read: Read, areas: PixelAreas, confidence: Read | None, progress: Progress
) -> Iterator[MapObjects]:
    """Yield the objects of a map, those of no class among them, by the row of blocks they end in.

    `read` returns the codes of any window of the map, `confidence` percentages, 0 where there are
    none. What is kept are the outlines of the objects that go on below.
    """
    height, width = areas.grid.shape
    kept, bottom = NO_OBJECTS, None
    for row in range(0, height, BLOCK):
        rows = min(BLOCK, height - row)
        found, first, last, same = _row_of_blocks(
            read, areas, confidence, Window(row, 0, rows, width), len(kept)
        )
        kept = kept.followed_by(found)
        if bottom is not None:
            same.append(bottom.shared(first))
        ones, others = (np.concatenate(numbers) for numbers in zip(*same, strict=True))
        count, of_parts = groups(len(kept), ones, others)
        kept = kept.joined(count, of_parts)
        goes_on = np.zeros(count, bool)
        numbers = of_parts[last.numbers]
        if row + rows < height:
            goes_on[numbers] = True
        yield kept.only(~goes_on)
        kept = kept.only(goes_on)
        renumbered = np.cumsum(goes_on, dtype=np.int32) - np.int32(1)
        bottom = _Line(last.codes, renumbered[numbers])
        progress(row // BLOCK + 1, math.ceil(height / BLOCK), "polygons")


def _row_of_blocks(
    read: Read, areas: PixelAreas, confidence: Read | None, row: Window, number: int
) -> tuple[MapObjects, _Line, _Line, list[tuple[Numbers, Numbers]]]:
    """Return the objects of a row of blocks, numbered from `number` on.

    With them its first and its last line, and which objects of neighbouring blocks are the same.
    """
    objects = NO_OBJECTS
    top: list[_Line] = []
    bottom: list[_Line] = []
    same: list[tuple[Numbers, Numbers]] = [(np.zeros(0, np.int32),) * 2]
    right: _Line | None = None
    for col in range(0, row.width, BLOCK):
        window = Window(row.row, col, row.height, min(BLOCK, row.width - col))
        around = _read_around(read, window, *areas.grid.shape)
        codes = around[1:-1, 1:-1]
        found, numbers = _objects_of(around, window, areas, confidence)
        numbers += np.int32(number + len(objects))
        if right is not None:
            same.append(right.shared(_Line(codes[:, 0], numbers[:, 0])))
        right = _Line(codes[:, -1], numbers[:, -1])
        top.append(_Line(codes[0], numbers[0]))
        bottom.append(_Line(codes[-1], numbers[-1]))
        objects = objects.followed_by(found)
    return objects, _chained(top), _chained(bottom), same


def _chained(lines: list[_Line]) -> _Line:
    return _Line(
        np.concatenate([line.codes for line in lines]),
        np.concatenate([line.numbers for line in lines]),
    )


def _read_around(read: Read, window: Window, height: int, width: int) -> NDArray[np.uint8]:
    """Return the codes of a window and of the pixels around it, repeated at the end of the map."""
    wide = window.expanded(1)
    inside = wide.clipped(height, width)
    missing = (
        (inside.row - wide.row, wide.stop_row - inside.stop_row),
        (inside.col - wide.col, wide.stop_col - inside.stop_col),
    )
    return np.pad(read(inside), missing, mode="edge")


def _objects_of(
    around: NDArray[np.uint8], window: Window, areas: PixelAreas, confidence: Read | None
) -> tuple[MapObjects, Numbers]:
    """Return the objects of a block, and the number of each of its pixels, [height, width]."""
    objects = find_objects(around[1:-1, 1:-1])
    numbers: Numbers = objects.spread(np.arange(len(objects), dtype=np.int32))
    row_areas = areas.of_rows(window.row, window.height)
    sums = np.zeros((3, len(objects)))
    sums[0] = objects.areas(row_areas)
    if confidence is not None:
        percent = confidence(window).ravel()
        sums[1] = np.bincount(numbers.ravel(), percent > 0, len(objects))
        sums[2] = np.bincount(numbers.ravel(), percent, len(objects))
    shapes = [[polygon] for polygon in outlines(numbers, around, window)]
    return MapObjects(objects.codes, shapes, sums), numbers
