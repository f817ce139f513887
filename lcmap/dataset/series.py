"""A series: dated rasters of one sensor, which are one input of the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.encoding import Dates, Encoding
from lcmap.dataset.idle_pool import IdlePool
from lcmap.dataset.input_reader import InputReader
from lcmap.dataset.inputs import (
    LEAST_SHARED,
    InputOptions,
    RasterInput,
    open_input,
    reopened_input,
)
from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.raster_kind import RasterKind
from lcmap.errors import DataError, InputMismatchError, OverlapError
from lcmap.paths import PathLike
from lcmap.raster.acquisition_day import acquisition_day
from lcmap.raster.alignment import footprint, overlaps, shared_ground
from lcmap.raster.grid import Grid
from lcmap.raster.radiometry import NamedRadiometry, Radiometry, common_radiometry, radiometry_of
from lcmap.raster.windows import Window

MOST_OPEN = 48
"""Dates that stay open for their next use."""

_IMAGE = RasterContent("image")


class DatedRaster(NamedTuple):
    """A raster of a series, closed, and the day on which it was taken."""

    source: RasterInput
    day: date


@dataclass(frozen=True)
class Series:
    """Dated rasters of one sensor, closed, in the order of their days; each on its own grid.

    `name` is what messages call them. `bands`, `dtype` and `radiometry` are those of every date.
    `files` are all that is read.
    """

    name: str
    dates: tuple[DatedRaster, ...]
    bands: tuple[str, ...]
    dtype: str
    radiometry: tuple[Radiometry, ...]
    files: tuple[str, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The rasters, in the order of their days."""
        return tuple(dated.source.path for dated in self.dates)

    @property
    def gsds(self) -> tuple[float, ...]:
        """The ground sampling distances in metres of those dates that say theirs."""
        found = (dated.source.grid.gsd_metres for dated in self.dates)
        return tuple(gsd for gsd in found if gsd is not None)

    @property
    def gsd(self) -> float | None:
        """The smallest of them, None where there is none."""
        return min(self.gsds, default=None)

    @property
    def days(self) -> NDArray[np.float32]:
        """The days of the year, float32 [T], from 1.

        On the circle of 365.25 days the last day of a leap year, 366, is less than a day from the
        first of the next.
        """
        return np.array([dated.day.timetuple().tm_yday for dated in self.dates], np.float32)

    def check_ground(self, grid: Grid, image: str, *, allow_missing: bool = False) -> None:
        """Check that the dates together cover the grid of the image that is called `image`.

        What one covers alone suffices; with `allow_missing` any part of it will do.

        Raises:
            OverlapError: no date covers any of it, or none as much as `LEAST_SHARED`.
        """
        shares = [
            shared_ground(dated.source.grid, grid)
            for dated in self.dates
            if overlaps(dated.source.grid, grid)
        ]
        if not shares:
            raise OverlapError(
                self.name, f"covers no ground of {image}", "give dates of the image's area"
            )
        if sum(shares) < LEAST_SHARED and not allow_missing:
            raise OverlapError(
                self.name,
                f"covers {100 * sum(shares):.0f} % of {image} at most, the rest would be no data",
                "crop the image to their common ground, or `allow_missing`",
            )


def open_series(
    paths: Sequence[PathLike],
    name: str,
    options: InputOptions,
    *,
    bands: int | None = None,
    check: Callable[[RasterInput], None] = lambda _: None,
) -> Series:
    """Open each date of a series once, check that all are of one kind, and close them.

    `bands` as with `open_input`. `check` is given each date while it is open.

    Raises:
        InputMissingError, NotARasterError, NoCrsError: as `open_input`.
        DataError: a raster says nowhere when it was taken.
        InputMismatchError: one is no image, or its bands, their data type or what their values mean
            are not those of the others.
    """
    dates: list[DatedRaster] = []
    files: dict[str, None] = {}
    meant: list[NamedRadiometry] = []
    kinds: list[RasterKind] = []
    for path in paths:
        with open_input(path, options, bands=bands) as source:
            source.require_crs()
            kinds.append(_kind(source))
            kinds[-1].check_as(kinds[0])
            check(source)
            dates.append(DatedRaster(source, _day(source)))
            files |= dict.fromkeys(source.files)
            of_date = radiometry_of(source.dataset, source.name)
            meant.append(NamedRadiometry(source.name, of_date))
    dates.sort(key=lambda dated: (dated.day, dated.source.name))
    kind, radiometry = kinds[0], common_radiometry(meant)
    return Series(name, tuple(dates), kind.bands, kind.dtype, radiometry, tuple(files))


def _kind(source: RasterInput) -> RasterKind:
    if source.content.kind != "image":
        raise InputMismatchError(
            source.name, f"is {source.content.title}, not an image", "leave it out of the series"
        )
    return RasterKind.of(source.dataset, source.name)


def _day(source: RasterInput) -> date:
    day = acquisition_day(source.dataset, source.name)
    if day is None:
        raise DataError(
            source.name,
            "neither its tags nor its name say when it was taken",
            "put the day into its name, as in s2_2018-07-05.tif",
        )
    return day


def mean_quantiles(series: Sequence[Series], options: InputOptions) -> NDArray[np.float64]:
    """Return the mean of the quantiles of all dates that have a valid pixel, float64 [C, 2].

    Scaled by its own quantiles, a date would not show the season.

    Raises:
        NotARasterError: pixels cannot be read.
    """
    found = []
    for dated in (dated for one in series for dated in one.dates):
        with open_input(dated.source.path, options) as source:
            found.append(source.quantiles(one_of_many=True))
    known = [quantiles for quantiles in found if quantiles.any()] or found
    mean: NDArray[np.float64] = np.mean(known, axis=0)
    return mean


class SeriesPixels(NamedTuple):
    """A window of a series: float32 [T, C, h, w], where valid, bool [T, h, w], and the days.

    What is not valid is 0. `days` are of the year, float32 [T].
    """

    values: NDArray[np.float32]
    valid: NDArray[np.bool_]
    days: NDArray[np.float32]

    @property
    def any_valid(self) -> NDArray[np.bool_]:
        """Where any date is valid, bool [h, w]."""
        return np.logical_or.reduce(self.valid, axis=0)  # type: ignore[no-any-return]

    @property
    def tensors(self) -> tuple[NDArray[np.float32], ...]:
        """What a graph takes: [T, C, h, w], [T, 1, h, w] and [T, 1, 1, 1]."""
        return self.values, self.valid[:, None].astype(np.float32), self.days[:, None, None, None]

    @property
    def packed(self) -> NDArray[np.float32]:
        """All in one array, float32 [T, C + 2, h, w]: the bands, where they are valid, the day."""
        values, valid, days = self.tensors
        days = np.broadcast_to(days, valid.shape)
        packed: NDArray[np.float32] = np.concatenate([values, valid, days], axis=1)
        return packed


SeriesPool = IdlePool[tuple[object, int], InputReader]
"""The dates that are open, of one reader of series or several."""


class SeriesReader:
    """Reads a series on any grid, each date as `InputReader` reads an image; from any thread.

    Windows are counted in the cells of its `level`.
    """

    def __init__(
        self,
        series: Series,
        grid: Grid,
        quantiles: NDArray[np.float64],
        options: InputOptions,
        pool: SeriesPool,
        level: int = 0,
    ) -> None:
        """Bring a series onto the cells of 2^`level` pixels of a grid.

        All dates are scaled by the same `quantiles` [C, 2]. They are opened with the `options` that
        `open_series` had, and kept open in a pool that is the caller's to close.
        """
        self.level = level
        grid = grid.coarsened(level) if level else grid
        self.encoding = Dates(len(series.dates))
        """How `read_encoded` returns it."""
        self._series = series
        self._grid = grid
        self._quantiles = quantiles
        self._options = options
        self._pool = pool
        self._windows = [_reached(dated.source.grid, grid) for dated in series.dates]

    @property
    def dates(self) -> tuple[str, ...]:
        """The days of the dates, as 2018-07-05."""
        return tuple(dated.day.isoformat() for dated in self._series.dates)

    def read(self, window: Window) -> SeriesPixels:
        """Return a window of all dates, those too that have no valid pixel in it.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        dates, size = self._series.dates, (window.height, window.width)
        values = np.zeros((len(dates), len(self._series.bands), *size), np.float32)
        valid = np.zeros((len(dates), *size), bool)
        for number, (dated, reached) in enumerate(zip(dates, self._windows, strict=True)):
            if reached is not None and window.intersection(reached):
                opening = partial(self._opened, dated.source)
                with self._pool.lent((self, number), opening) as reader:
                    values[number], valid[number] = reader.read(window)
        return SeriesPixels(values, valid, self._series.days)

    def read_encoded(
        self, window: Window, encoding: Encoding
    ) -> tuple[tuple[NDArray[np.float32], ...], NDArray[np.bool_]]:
        """Return a window as a graph takes it, see `input_tensors`, and where any date is valid.

        The latter is bool [h, w]; `encoding` is the reader's own.

        Raises:
            NotARasterError: as `read`.
        """
        assert encoding == self.encoding
        found = self.read(window)
        return found.tensors, found.any_valid

    @contextmanager
    def _opened(self, source: RasterInput) -> Iterator[InputReader]:
        with reopened_input(source, self._options, len(self._series.bands)) as dataset:
            yield InputReader(dataset, self._grid, _IMAGE, self._quantiles, source.name)


def _reached(source: Grid, grid: Grid) -> Window | None:
    """Return the window of a grid that a raster may have pixels in, None where in none."""
    return footprint(grid, source) if overlaps(grid, source) else None


def unpacked(packed: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """Return what a graph takes, see `SeriesPixels.tensors`, of a series [T, C + 2, h, w]."""
    return packed[:, :-2], packed[:, -2:-1], packed[:, -1:].max(axis=(2, 3), keepdims=True)
