"""One image of a period from images of several dates, pixel by pixel over the clear dates.

`median`: the median of the clear dates in the period. `linear`: interpolated linearly between the
nearest clear dates before and after the middle of the period, as OSO's time series are (Inglada et
al. 2017, Remote Sensing 9, 95). Where no date in the period is clear, both take the latter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.imagery.stack import GridImage, as_dtype
from lcmap.raster.windows import Window

Method = Literal["median", "linear"]

_BYTES = 1 << 27
"""Held at once of all dates and bands; a window of many dates is read in strips."""


def median_over_dates(
    values: NDArray[Any], clear: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the median [h, w] of the clear among values [dates, h, w], and where there is one.

    `clear` is bool [dates, h, w]. Between an even number of values it is their mean.
    """
    count = np.count_nonzero(clear, axis=0)
    last = np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).max
    # what is not clear goes behind all that is
    ranked = np.sort(np.where(clear, values, np.asarray(last, values.dtype)), axis=0)
    low = np.take_along_axis(ranked, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
    high = np.take_along_axis(ranked, np.minimum(count // 2, len(values) - 1)[None], axis=0)[0]
    # halves before the sum, which large floats would not survive
    median = low.astype(np.float64) / 2 + high.astype(np.float64) / 2
    there = count > 0
    median[~there] = 0.0
    return median, there


class Neighbours(NamedTuple):
    """By pixel [h, w]: the nearest clear dates up to a moment and after it, and their weights.

    `before` and `after` are indexes of dates; the weights sum to 1, or are 0 where no date is
    clear. Where only one side has a clear date, its weight is 1.
    """

    before: NDArray[np.intp]
    after: NDArray[np.intp]
    weight_before: NDArray[np.float64]
    weight_after: NDArray[np.float64]


def neighbours_in_time(
    clear: NDArray[np.bool_], days: Sequence[float], moment: float
) -> Neighbours:
    """Return the clear dates around a moment; `clear` [dates, h, w] and days ascend in time."""
    shape = clear.shape[1:]
    before = np.full(shape, -1, np.intp)
    after = np.full(shape, -1, np.intp)
    for i in range(len(days)):
        if days[i] <= moment:
            before[clear[i]] = i
    for i in reversed(range(len(days))):
        if days[i] > moment:
            after[clear[i]] = i
    times = np.asarray(days, np.float64)
    gap_before, gap_after = moment - times[before], times[after] - moment
    both = (before >= 0) & (after >= 0)
    weight_after = np.zeros(shape)
    np.divide(gap_before, gap_before + gap_after, out=weight_after, where=both)
    weight_after[(before < 0) & (after >= 0)] = 1.0
    weight_before = np.where(before >= 0, 1.0 - weight_after, 0.0)
    return Neighbours(before, after, weight_before, weight_after)


def interpolated(
    values: NDArray[Any], neighbours: Neighbours
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return values [dates, h, w] interpolated in time, [h, w], and where any date is clear."""
    result = np.zeros(values.shape[1:])
    for index, weight in (
        (neighbours.before, neighbours.weight_before),
        (neighbours.after, neighbours.weight_after),
    ):
        chosen = np.take_along_axis(values, np.maximum(index, 0)[None], axis=0)[0]
        # what has no weight may be anything, infinite too
        np.add(result, chosen * weight, out=result, where=weight > 0)
    return result, (neighbours.before >= 0) | (neighbours.after >= 0)


@dataclass(frozen=True)
class Mosaic(GridImage):
    """Images of one day: where several are valid, the first counts."""

    parts: tuple[GridImage, ...]
    day: date | None = None

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Compute a window from as many parts as it takes."""
        image, valid = self.parts[0].read(window)
        for part in self.parts[1:]:
            if valid.all():
                break
            other, there = part.read(window)
            new = there & ~valid
            image[:, new] = other[:, new]
            valid |= new
        return image, valid

    def close(self) -> None:
        """Close the files of all parts."""
        for part in self.parts:
            part.close()


@dataclass(frozen=True)
class Composite(GridImage):
    """An image of a period from images of several days, [days] in ascending order.

    `inside` tells which days, ordinals, are in the period, whose middle is the ordinal `middle`.
    Where `clear_dates`, a raster open for writing, is not None, computing a window writes into it
    how many dates of the period are clear. `filled` counts, by window computed, the pixels that
    come from dates outside the period.
    """

    dates: tuple[GridImage, ...]
    days: tuple[int, ...]
    inside: tuple[bool, ...]
    middle: float
    method: Method
    strict: bool
    clear_dates: Any = None
    filled: dict[Window, int] = field(default_factory=dict)

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Compute a window, in strips where there are many dates."""
        image = np.empty((len(self.names), window.height, window.width), self.dtype)
        valid = np.empty((window.height, window.width), bool)
        filled = 0
        row_bytes = len(self.dates) * len(image) * window.width * image.itemsize
        for start in range(0, window.height, max(1, _BYTES // row_bytes)):
            place = slice(start, min(start + max(1, _BYTES // row_bytes), window.height))
            strip = Window(window.row + start, window.col, place.stop - start, window.width)
            filled += self._compute(strip, image[:, place], valid[place])
        self.filled[window] = filled
        image[:, ~valid] = 0 if self.nodata is None else self.nodata
        return image, valid

    def close(self) -> None:
        """Close the files of all dates."""
        for one in self.dates:
            one.close()

    def _compute(self, window: Window, image: NDArray[Any], valid: NDArray[np.bool_]) -> int:
        """Compute a strip into image [bands, h, w] and valid [h, w]; return the pixels filled."""
        shape = (len(self.dates), window.height, window.width)
        values = np.empty((len(image), *shape), image.dtype)  # [bands, dates, h, w]
        clear = np.empty(shape, bool)
        for i, one in enumerate(self.dates):
            values[:, i], clear[i] = one.read(window)
        inside = np.array(self.inside)
        count = np.count_nonzero(clear[inside], axis=0)
        if self.clear_dates is not None:
            dtype = self.clear_dates.dtypes[0]
            self.clear_dates.write(count.astype(dtype), 1, window=window.ranges)
        around = neighbours_in_time(clear, self.days, self.middle)
        for band, over_dates in enumerate(values):
            result, there = interpolated(over_dates, around)
            if self.method == "median":
                median, known = median_over_dates(over_dates[inside], clear[inside])
                result = np.where(known, median, result)
            image[band] = as_dtype(result, self.dtype, self.nodata)
        valid[...] = there & (count > 0) if self.strict else there
        return int(np.count_nonzero(valid & (count == 0)))
