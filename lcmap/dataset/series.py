"""A series: dated rasters or products of one sensor, which are one input of the network."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.dated import BandsAround, Dated, DatedScene, OpenDate, open_dates
from lcmap.dataset.idle_pool import IdlePool
from lcmap.dataset.inputs import LEAST_SHARED, InputOptions, remedy_for_missing
from lcmap.dataset.raster_kind import RasterKind
from lcmap.errors import InputMissingError, OverlapError
from lcmap.paths import PathLike
from lcmap.raster.alignment import footprint, overlaps, shared_ground
from lcmap.raster.grid import Grid
from lcmap.raster.radiometry import NamedRadiometry, Radiometry, common_radiometry
from lcmap.raster.resampling import Known, Surroundings
from lcmap.raster.windows import Window

MOST_OPEN = min(max(48, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 3), 512)
"""Files that stay open for their next use: a product has a dozen or two, slow to open."""

Told = TypeVar("Told")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Series:
    """Dates of one sensor, closed, in the order of their days; each on its own grid.

    `name` is what messages call them. `bands`, `dtype` and `radiometry` are those of every date.
    `files` are all that is read.
    """

    name: str
    dates: tuple[Dated, ...]
    bands: tuple[str, ...]
    dtype: str
    radiometry: tuple[Radiometry, ...]
    files: tuple[str, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The rasters and the folders of products, in the order of their days."""
        return tuple(dict.fromkeys(dated.path for dated in self.dates))

    @property
    def gsds(self) -> tuple[float, ...]:
        """The ground sampling distances in metres of those dates that say theirs."""
        found = (dated.grid.gsd_metres for dated in self.dates)
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

    def check_ground(self, grid: Grid, image: str, *, allow_missing: bool | None = None) -> None:
        """Check that the dates together cover the grid of the image that is called `image`.

        What one covers alone suffices; `allow_missing` as with `check_ground` of one input.

        Raises:
            OverlapError: no date covers any of it, or none as much as `LEAST_SHARED`.
        """
        shares = _of_grids(
            self.dates, lambda own: shared_ground(own, grid) if overlaps(own, grid) else None
        )
        if all(share is None for share in shares):
            raise OverlapError(
                self.name, f"covers no ground of {image}", "give dates of the image's area"
            )
        total = sum(share or 0.0 for share in shares)
        if total < LEAST_SHARED and not allow_missing:
            raise OverlapError(
                self.name,
                f"covers {100 * total:.0f} % of {image} at most, the rest would be no data",
                remedy_for_missing(allow_missing),
            )

    def that_show(self, grid: Grid, image: str, options: InputOptions) -> Series:
        """Return the series without the products that have no valid pixel where a grid is.

        A warning names each, and another tells where no date has one, and all are kept. Messages
        call the image that is on the grid `image`; `options` are those of `open_series`.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        shown = [
            dated
            for dated in self.dates
            if not isinstance(dated, DatedScene) or dated.shows(grid, options)
        ]
        if not any(isinstance(d, DatedScene) or d.shows(grid, options) for d in shown):
            logger.warning("%s: no date has a valid pixel where %s is", self.name, image)
            return self
        for dated in self.dates:
            if dated not in shown:
                text = "%s: has no valid pixel where %s is, and is left out"
                logger.warning(text, dated.name, image)
        return replace(self, dates=tuple(shown))


def open_series(
    paths: Sequence[PathLike],
    name: str,
    options: InputOptions,
    *,
    bands: int | None = None,
    names: Sequence[str] | None = None,
    days: Callable[[date], bool] | None = None,
    check: Callable[[RasterKind, Grid], None] = lambda kind, grid: None,
) -> Series:
    """Open each date of a series once, check that all are of one kind, and close them.

    `bands`, `names` and `days` as with `open_dates`. `check` is given the kind and the grid of
    each.

    Raises:
        InputMissingError, NotARasterError, NoCrsError, ProductError, DataError: as `open_dates`.
        InputMissingError: `days` wants none of the dates.
        InputMismatchError: one is no image, or its bands, their data type or what their values mean
            are not those of the others.
    """
    dates = [
        dated
        for path in paths
        for dated in open_dates(path, options, bands=bands, names=names, days=days)
    ]
    if not dates:
        raise InputMissingError(
            name, f"none of its {len(paths)} dates is of the period", "give another `period`"
        )
    for dated in dates:
        dated.kind.check_as(dates[0].kind)
        check(dated.kind, dated.grid)
    dates.sort(key=lambda dated: (dated.day, dated.name))
    radiometry = common_radiometry([NamedRadiometry(it.name, it.radiometry) for it in dates])
    files = dict.fromkeys(file for dated in dates for file in dated.files)
    kind = dates[0].kind
    return Series(name, tuple(dates), kind.bands, kind.dtype, radiometry, tuple(files))


def mean_quantiles(series: Sequence[tuple[Series, InputOptions]]) -> NDArray[np.float64]:
    """Return the mean of the quantiles of all dates that have a valid pixel, float64 [C, 2].

    Each series has the options that `open_series` had. Scaled by its own quantiles, a date would
    not show the season.

    Raises:
        NotARasterError: pixels cannot be read.
    """
    found = [dated.quantiles(options) for one, options in series for dated in one.dates]
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
    def packed(self) -> NDArray[np.float32]:
        """All in one array, float32 [T, C + 2, h, w]: the bands, where they are valid, the day."""
        valid = self.valid[:, None].astype(np.float32)
        days = np.broadcast_to(self.days[:, None, None, None], valid.shape)
        packed: NDArray[np.float32] = np.concatenate([self.values, valid, days], axis=1)
        return packed


class _Alike(NamedTuple):
    """Dates, by their numbers, of which some bands are interpolated alike: one axis of `pixels`."""

    dates: list[int]
    bands: tuple[int, ...]
    pixels: Surroundings


class SeriesAround:
    """All that a window of a series is interpolated from, of which rows are made as they are asked.

    The dates' own pixels are few where the window's are finer.
    """

    def __init__(
        self,
        found: Sequence[tuple[int, BandsAround]],
        days: NDArray[np.float32],
        bands: int,
        width: int,
    ) -> None:
        """Interpolate the bands that were `found`, each with the number of its date.

        All else is not valid. The window has so many columns.
        """
        self._days = days
        self._shape = len(days), bands, width
        alike: list[list[tuple[int, BandsAround]]] = []
        for number, around in found:
            for others in alike:
                first = others[0][1]
                if first.bands == around.bands and first.pixels.is_like(around.pixels):
                    others.append((number, around))
                    break
            else:
                alike.append([(number, around)])
        self._parts = [
            _Alike(
                [number for number, _ in several],
                several[0][1].bands,
                Surroundings.joined([around.pixels for _, around in several]),
            )
            for several in alike
        ]

    def rows(self, start: int, stop: int) -> SeriesPixels:
        """Return these rows of the window."""
        dates, bands, width = self._shape
        valid = np.zeros((dates, stop - start, width), bool)
        values = np.zeros((dates, bands, stop - start, width), np.float32)
        for part in self._parts:
            valid[part.dates] = True
        for part in self._parts:
            found, where = part.pixels.rows(start, stop)  # [T', C', h, w], [T', h, w]
            if found.shape == values.shape and part.bands == tuple(range(bands)):
                return SeriesPixels(found, where, self._days)
            values[np.ix_(part.dates, part.bands)] = found
            valid[part.dates] &= where
        if any(len(part.bands) < bands for part in self._parts):
            values *= valid[:, None]
        return SeriesPixels(values, valid, self._days)


SeriesPool = IdlePool[tuple[object, int], OpenDate]
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
        self._series = series
        self._grid = grid
        self._quantiles = quantiles
        self._options = options
        self._pool = pool
        self._windows = _of_grids(series.dates, lambda own: _reached(own, grid))

    @property
    def dates(self) -> tuple[str, ...]:
        """The days of the dates, as 2018-07-05."""
        return tuple(dated.day.isoformat() for dated in self._series.dates)

    @property
    def bands(self) -> int:
        """How many bands each date has."""
        return len(self._series.bands)

    def read(self, window: Window) -> SeriesPixels:
        """Return a window of all dates, those too that have no valid pixel in it.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        return self.around(window).rows(0, window.height)

    def around(self, window: Window) -> SeriesAround:
        """Return what a window of all dates is interpolated from.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        found: list[tuple[int, BandsAround]] = []
        known: Known = {}
        for number, (dated, reached) in enumerate(
            zip(self._series.dates, self._windows, strict=True)
        ):
            if reached is not None and window.intersection(reached):
                opening = partial(dated.opened, self._grid, self._quantiles, self._options)
                with self._pool.lent((self, number), opening, dated.open_files) as reader:
                    found += [(number, around) for around in reader.around(window, known)]
        return SeriesAround(found, self._series.days, self.bands, window.width)


def _of_grids(dates: Sequence[Dated], tell: Callable[[Grid], Told]) -> list[Told]:
    """Return what is told of each date's grid, asked once of a grid that many have."""
    told: list[tuple[Grid, Told]] = []
    found = []
    for dated in dates:
        known = [it for grid, it in told if grid == dated.grid]
        if not known:
            known = [tell(dated.grid)]
            told.append((dated.grid, known[0]))
        found.append(known[0])
    return found


def _reached(source: Grid, grid: Grid) -> Window | None:
    """Return the window of a grid that a raster may have pixels in, None where in none."""
    return footprint(grid, source) if overlaps(grid, source) else None


def unpacked(packed: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """Return what a graph takes of a series that is packed, [T, C + 2, h, w].

    They are [T, C, h, w], where valid, [T, 1, h, w], and the days, [T, 1, 1, 1].
    """
    return packed[:, :-2], packed[:, -2:-1], packed[:, -1:].max(axis=(2, 3), keepdims=True)
