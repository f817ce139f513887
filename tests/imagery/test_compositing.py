"""Composite over dates against slow, obvious references, pixel by pixel."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lcmap.imagery import compositing as module
from lcmap.imagery.compositing import (
    Composite,
    Method,
    Mosaic,
    interpolated,
    median_over_dates,
    neighbours_in_time,
)
from lcmap.imagery.stack import GridImage
from lcmap.raster.grid import Grid
from lcmap.raster.radiometry import Radiometry
from lcmap.raster.windows import Window

SHAPE = (5, 7)


@st.composite
def series(
    draw: st.DrawFn,
) -> tuple[NDArray[Any], NDArray[np.bool_], list[int], float]:
    """Values and clear pixels [dates, 5, 7], ascending days, and a moment."""
    days = sorted(draw(st.sets(st.integers(100, 140), min_size=1, max_size=9)))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    dtype = draw(st.sampled_from(["int16", "uint16", "uint8", "float32"]))
    low, high = (0, 256) if dtype == "uint8" else (0, 32_768)
    values = rng.integers(low, high, (len(days), *SHAPE)).astype(dtype)
    clear = rng.random(values.shape) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    return values, clear, days, draw(st.integers(190, 290)) / 2


def slow_linear(
    values: Sequence[float], clear: Sequence[bool], days: Sequence[int], moment: float
) -> float | None:
    """One pixel: on the line between the clear dates next to the moment; at the ends, flat."""
    known = [(day, v) for day, v, there in zip(days, values, clear, strict=True) if there]
    if not known:
        return None
    # numpy's own interpolation is flat beyond the ends
    return float(np.interp(moment, [day for day, _ in known], [v for _, v in known]))


@given(series())
def test_median_is_that_of_the_clear_dates(
    drawn: tuple[NDArray[Any], NDArray[np.bool_], list[int], float],
) -> None:
    values, clear, _, _ = drawn
    found, there = median_over_dates(values, clear)
    for row, col in np.ndindex(*SHAPE):
        known = [float(v) for v in values[clear[:, row, col], row, col]]
        assert there[row, col] == bool(known)
        if known:
            assert found[row, col] == statistics.median(known)


@given(series())
def test_interpolation_is_linear_between_the_nearest_clear_dates(
    drawn: tuple[NDArray[Any], NDArray[np.bool_], list[int], float],
) -> None:
    values, clear, days, moment = drawn
    found, there = interpolated(values, neighbours_in_time(clear, days, moment))
    for row, col in np.ndindex(*SHAPE):
        pixel = (slice(None), row, col)
        expected = slow_linear(values[pixel].tolist(), clear[pixel].tolist(), days, moment)
        assert there[row, col] == (expected is not None)
        if expected is not None:
            assert found[row, col] == pytest.approx(expected, abs=1e-6)


@dataclass(frozen=True)
class Array(GridImage):
    """An image that is there already."""

    image: NDArray[Any]
    valid: NDArray[np.bool_]

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        rows, cols = window.slices
        image, valid = self.image[:, rows, cols].copy(), self.valid[rows, cols].copy()
        image[:, ~valid] = self.nodata
        return image, valid

    def close(self) -> None:
        pass


GRID = Grid(None, Affine.identity(), 60, 50)
KIND = (GRID, ("a", "b"), "int16", -10_000.0, False, (Radiometry(),) * 2)
WHOLE = Window(0, 0, 50, 60)


def dates(share: float = 0.4) -> tuple[tuple[Array, ...], tuple[int, ...]]:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 9000, (6, 2, 50, 60)).astype("int16")
    clear = rng.random((6, 50, 60)) < share
    images = tuple(Array(*KIND, v, c) for v, c in zip(values, clear, strict=True))
    return images, (100, 105, 110, 120, 122, 140)


def composite(method: Method, *, strict: bool = False) -> Composite:
    images, days = dates()
    inside = tuple(104 <= day <= 122 for day in days)
    return Composite(*KIND, images, days, inside, 113.0, method, strict)


@pytest.mark.parametrize("method", ["median", "linear"])
@pytest.mark.parametrize("strict", [False, True])
def test_every_pixel_of_a_period(method: Method, strict: bool) -> None:
    made = composite(method, strict=strict)
    image, valid = made.read(WHOLE)
    images, days = dates()
    filled = 0
    for row, col in np.ndindex(50, 60):
        clear = [bool(one.valid[row, col]) for one in images]
        known = [c and i for c, i in zip(clear, made.inside, strict=True)]
        expected_valid = any(known) or (any(clear) and not strict)
        assert valid[row, col] == expected_valid
        filled += expected_valid and not any(known)
        for band in range(2):
            values = [float(one.image[band, row, col]) for one in images]
            if not expected_valid:
                assert image[band, row, col] == -10_000
            elif method == "median" and any(known):
                inside = [v for v, k in zip(values, known, strict=True) if k]
                assert image[band, row, col] == round(statistics.median(inside))
            else:
                line = slow_linear(values, clear, days, 113.0)
                assert line is not None
                assert abs(image[band, row, col] - line) <= 0.5 + 1e-6
    assert sum(made.filled.values()) == filled
    assert (filled > 0) != strict


@pytest.mark.parametrize("method", ["median", "linear"])
@pytest.mark.parametrize(("dtype", "nodata"), [("int16", 0.0), ("float32", 0.0), ("uint8", 10.0)])
def test_no_valid_pixel_holds_the_nodata_value(method: Method, dtype: str, nodata: float) -> None:
    """As the mean of -1 and 1 would, where 0 is nodata."""
    values = np.array([nodata - 1, nodata + 1]).astype(dtype)
    there = np.ones((50, 60), bool)
    there[:7] = False
    kind = (GRID, ("a", "b"), dtype, nodata, False, (Radiometry(),) * 2)
    images = tuple(Array(*kind, np.full((2, 50, 60), value), there) for value in values)
    made = Composite(*kind, images, (110, 116), (True, True), 113.0, method, strict=False)
    image, valid = made.read(WHOLE)
    assert np.array_equal(valid, there)
    assert np.array_equal(image[0] != nodata, there)
    assert np.abs(image - nodata).max() <= 1


@pytest.mark.parametrize("method", ["median", "linear"])
def test_pixels_do_not_depend_on_blocks(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, valid = composite(method).read(WHOLE)
    # one row at a time
    monkeypatch.setattr(module, "_BYTES", 1)
    made = composite(method)
    for window in (Window(0, 0, 31, 17), Window(0, 17, 31, 43), Window(31, 0, 19, 60)):
        rows, cols = window.slices
        part, part_valid = made.read(window)
        assert np.array_equal(part, whole[:, rows, cols])
        assert np.array_equal(part_valid, valid[rows, cols])
    filled = sum(made.filled.values())
    once = composite(method)
    once.read(WHOLE)
    assert filled == sum(once.filled.values())
    # computed again, as for the quantiles of floats, a window counts once
    made.read(Window(0, 0, 31, 17))
    assert sum(made.filled.values()) == filled


def test_first_valid_of_a_day_counts() -> None:
    images, _ = dates(share=0.5)
    image, valid = Mosaic(*KIND, images[:3]).read(WHOLE)
    for row, col in np.ndindex(50, 60):
        first = next((one for one in images[:3] if one.valid[row, col]), None)
        assert valid[row, col] == (first is not None)
        if first is not None:
            assert image[:, row, col].tolist() == first.image[:, row, col].tolist()
