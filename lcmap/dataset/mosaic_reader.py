"""Overlapping rasters as one input of the network, of which only a few are open at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.input_reader import InputReader
from lcmap.dataset.inputs import InputOptions, RasterInput, reopened_input
from lcmap.dataset.raster_content import RasterContent
from lcmap.raster.grid import Grid
from lcmap.raster.mosaic import Mosaic
from lcmap.raster.windows import Window

MOST_OPEN = 48
"""Rasters of one mosaic that are open at the same time: those that a row of tiles crosses."""


@dataclass(frozen=True)
class MosaicPart:
    """A raster of a mosaic, closed: how to open it, and how to read it.

    `grid` is what it is brought onto, and `corner` the row and column of that grid's first cell in
    the mosaic; cells are those of the level of its content. `bands`, `content` and `quantiles` are
    as with `open_input` and `InputReader`.
    """

    source: RasterInput
    bands: int | None
    content: RasterContent
    quantiles: NDArray[np.float64] | None
    grid: Grid
    corner: tuple[int, int] = (0, 0)


class PartPixels(NamedTuple):
    """A window of one raster as the network takes it: its number, float32 [C, h, w], bool [h, w].

    Pixels that are not valid are 0 in every channel, as are those beside the raster.
    """

    number: int
    values: NDArray[np.float32]
    valid: NDArray[np.bool_]


class MosaicReader:
    """Reads rasters on one grid; where several have data, the first in the order counts.

    One thread at a time may read. A context manager: in the end it closes what is open.
    """

    def __init__(
        self,
        parts: Sequence[MosaicPart],
        mosaic: Mosaic,
        order: Sequence[int],
        channels: int,
        options: InputOptions,
    ) -> None:
        """Read rasters in the `order` of their numbers, which begin at 1.

        `channels` is how many the network takes of them.
        """
        self._parts = parts
        self._mosaic = mosaic
        self._order = tuple(order)
        self._channels = channels
        self.level = parts[0].content.level
        self._options = options
        self._open: OrderedDict[int, tuple[InputReader, ExitStack]] = OrderedDict()

    def __enter__(self) -> MosaicReader:
        """Return the reader itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every raster."""
        while self._open:
            self._close_oldest()

    def parts(self, window: Window) -> Iterator[PartPixels]:
        """Yield what the rasters have of a window, in order; none of those that do not meet it.

        Raises:
            NotARasterError: pixels cannot be read.
            UnknownLabelError: a label map holds codes that its nomenclature does not have.
        """
        for number in self._mosaic.meeting(window, self._order):
            part = window.intersection(self._mosaic.windows[number - 1])
            assert part is not None
            row, col = self._parts[number - 1].corner
            found, where = self._reader(number).read(part.shifted(-row, -col))
            if part == window:
                yield PartPixels(number, found, where)
                continue
            values, valid = self.nothing(window)
            inside = part.shifted(-window.row, -window.col).slices
            values[:, *inside], valid[inside] = found, where
            yield PartPixels(number, values, valid)

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return a window of the mosaic, as `InputReader.read` does of a raster.

        Raises:
            NotARasterError, UnknownLabelError: as `parts`.
        """
        values, valid = self.nothing(window)
        for part in self.parts(window):
            fill(values, valid, part)
            if valid.all():
                break
        return values, valid

    def nothing(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return a window of which nothing is valid, float32 [C, h, w] and bool [h, w]."""
        size = window.height, window.width
        return np.zeros((self._channels, *size), np.float32), np.zeros(size, bool)

    def _reader(self, number: int) -> InputReader:
        """Return the reader of a raster, which is opened unless it is one of the last used."""
        if number not in self._open:
            while len(self._open) >= MOST_OPEN:
                self._close_oldest()
            part = self._parts[number - 1]
            with ExitStack() as stack:
                dataset = stack.enter_context(
                    reopened_input(part.source, self._options, part.bands)
                )
                reader = InputReader(
                    dataset, part.grid, part.content, part.quantiles, part.source.name
                )
                self._open[number] = reader, stack.pop_all()
        self._open.move_to_end(number)
        return self._open[number][0]

    def _close_oldest(self) -> None:
        _, (_, stack) = self._open.popitem(last=False)
        stack.close()


def fill(values: NDArray[np.float32], valid: NDArray[np.bool_], part: PartPixels) -> None:
    """Fill the pixels of a window that are not valid yet with those that a raster has."""
    new = part.valid & ~valid
    values[:, new] = part.values[:, new]
    valid |= new
