"""A series as a network takes it: its dates pooled pixel by pixel, a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.series import SeriesPixels, SeriesReader
from lcmap.engines.choice import LoadedGraph
from lcmap.graph.outputs import of_size
from lcmap.graph.series import Pooling
from lcmap.model_file.graph import input_tensors
from lcmap.raster.windows import Window

_PIXELS = 1 << 15
"""Pixels of all dates together that are pooled at a time: few enough for the processor's cache."""

_AROUND = 1 << 20
"""Pixels of all dates together that the dates' own pixels are in memory for."""


class DatePooling:
    """What pools the dates of a series, by an engine."""

    def __init__(self, name: str, pooling: Pooling, load: Callable[[bytes], LoadedGraph]) -> None:
        """Pool the series that a network calls `name`, by the graph that `load` makes ready."""
        self.features = pooling.features
        self._entries = input_tensors(name, is_series=True)
        self._graph = pooling.graph
        self._load = load
        self._loaded: dict[tuple[int, int], LoadedGraph] = {}

    def __call__(self, series: SeriesPixels) -> NDArray[np.float32]:
        """Return the features of the pixels of a series, float32 [features, h, w]."""
        dates, bands, height, width = series.values.shape
        pixels = height * width
        given = (
            series.values.reshape(dates, bands, 1, pixels),
            series.valid.reshape(dates, 1, 1, pixels).astype(np.float32),
            series.days.reshape(dates, 1, 1, 1),
        )
        (found,) = self._of(dates, pixels).run(dict(zip(self._entries, given, strict=True)))
        features: NDArray[np.float32] = found.reshape(self.features, height, width)
        return features

    def of_nothing(self) -> NDArray[np.float32]:
        """Return the features of a pixel that no date is valid in, float32 [features]."""
        bands = self._graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value
        nowhere = SeriesPixels(
            np.zeros((1, bands, 1, 1), np.float32),
            np.zeros((1, 1, 1), bool),
            np.ones(1, np.float32),
        )
        return self(nowhere)[:, 0, 0]

    def _of(self, dates: int, pixels: int) -> LoadedGraph:
        key = dates, pixels
        if key not in self._loaded:
            sizes = [(dates, 1, pixels), (dates, 1, pixels), (dates, 1, 1)]
            graph = of_size(self._graph, 1, pixels, dict(zip(self._entries, sizes, strict=True)))
            self._loaded[key] = self._load(graph.SerializeToString())
        return self._loaded[key]


class PooledSeries:
    """Reads the features of a series, as `InputReader` reads a raster; from one thread."""

    encoding = None

    def __init__(self, reader: SeriesReader, pooling: DatePooling) -> None:
        """Pool the dates that a reader reads."""
        self.level = reader.level
        self.dates = reader.dates
        self._reader = reader
        self._pooling = pooling

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return a window, float32 [features, h, w], and where any date is valid, bool [h, w].

        Raises:
            NotARasterError: pixels cannot be read.
        """
        size = window.height, window.width
        features = np.empty((self._pooling.features, *size), np.float32)
        valid = np.empty(size, bool)
        for part in strips(*size, len(self.dates)):
            rows = Window(window.row + part.start, window.col, part.stop - part.start, window.width)
            around = self._reader.around(rows)
            for start in part.starts:
                found = around.rows(start, start + part.rows)
                here = slice(part.start + start, part.start + start + part.rows)
                features[:, here] = self._pooling(found)
                valid[here] = found.any_valid
        return features, valid


class Strips(NamedTuple):
    """The rows from `start` to `stop` of a window, pooled `rows` at a time.

    `starts` are counted from the first. All are of one length, and so the last may begin in the one
    before it.
    """

    start: int
    stop: int
    rows: int
    starts: tuple[int, ...]


def strips(height: int, width: int, dates: int) -> Iterator[Strips]:
    """Yield the parts of a window, for which the dates' own pixels are read, in strips."""
    of_row = width * dates
    rows = min(max(_PIXELS // of_row, 1), height)
    most = max(_AROUND // of_row, rows)
    for start in range(0, height, most):
        # the last part is not shorter than a strip
        start = min(start, height - rows)
        stop = min(start + most, height)
        starts = [min(row, stop - start - rows) for row in range(0, stop - start, rows)]
        yield Strips(start, stop, rows, tuple(starts))
