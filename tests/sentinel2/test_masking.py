"""Masks on the grids of bands, against reading every pixel's ground; and numbers to reflectance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from rasterio.crs import CRS
from small_sentinel2 import EPSG

from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window
from lcmap.sentinel2.masking import (
    NODATA,
    mask_window,
    polygon_window,
    reflectance,
)
from lcmap.sentinel2.scene import (
    BandFile,
    PolygonMask,
    RasterMask,
    bits_masked,
    values_masked,
)

GROUND = 12
"""Cells of 60 m along the ground of the property tests."""


class Memory:
    """A raster of one band in memory, read as rasterio reads."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values
        self.height, self.width = values.shape

    def read(self, index: int, window: tuple[tuple[int, int], tuple[int, int]]) -> NDArray[Any]:
        (row, stop_row), (col, stop_col) = window
        assert 0 <= row < stop_row <= self.height
        assert 0 <= col < stop_col <= self.width
        return self.values[row:stop_row, col:stop_col]


@st.composite
def windows(draw: st.DrawFn, size: int) -> Window:
    row, col = (draw(st.integers(0, size - 1)) for _ in range(2))
    return Window(row, col, draw(st.integers(1, size - row)), draw(st.integers(1, size - col)))


@given(st.data(), st.sampled_from([10, 20, 60]), st.sampled_from([10, 20, 60]))
def test_mask_of_any_resolution_hides_its_ground(
    data: st.DataObject, pixel: int, mask_pixel: int
) -> None:
    """A pixel is hidden where any 10 m cell of its ground is under a masked one."""
    size, mask_size = GROUND * 60 // pixel, GROUND * 60 // mask_pixel
    seed = data.draw(st.integers(0, 1000))
    values = np.random.default_rng(seed).integers(0, 8, (mask_size, mask_size)).astype("uint8")
    window = data.draw(windows(size))
    grid = Grid(None, Affine(pixel, 0, 0, 0, -pixel, 0), size, size)
    mask = RasterMask(Path("mask"), 1, values_masked(3))
    found = mask_window(mask, Memory(values), grid, window)
    cells = (values == 3).repeat(mask_pixel // 10, axis=0).repeat(mask_pixel // 10, axis=1)
    n = pixel // 10
    for row in range(window.height):
        for col in range(window.width):
            top, left = (window.row + row) * n, (window.col + col) * n
            assert found[row, col] == cells[top : top + n, left : left + n].any()


@given(
    arrays(np.uint16, 20),
    st.sampled_from([0.0, -1000.0]),
    st.sampled_from([1000.0, 10_000.0]),
)
def test_reflectance_of_any_number(
    numbers: NDArray[np.uint16], offset: float, quantification: float
) -> None:
    file = BandFile(Path("b"), 0, 65_535, offset, quantification)
    masked = np.arange(20) % 5 == 0
    found = reflectance(numbers, file, masked)
    for number, hidden, value in zip(numbers.tolist(), masked, found.tolist(), strict=True):
        if hidden or number in (0, 65_535):
            assert value == NODATA
        else:
            exact = round((number + offset) / quantification * 10_000)
            assert value == min(max(exact, NODATA + 1), 32_767)


def test_tables() -> None:
    assert np.flatnonzero(values_masked(0, 9)).tolist() == [0, 9]
    assert np.flatnonzero(bits_masked(1 << 7 | 1)).tolist() == [
        v for v in range(256) if v % 2 or v >= 128
    ]


def test_polygons_hide_pixels_by_their_centres() -> None:
    """A hole in a polygon is clear."""
    square = [(0, 0), (60, 0), (60, -60), (0, -60), (0, 0)]
    hole = [(20, -20), (40, -20), (40, -40), (20, -40), (20, -20)]
    mask = PolygonMask(Path("m"), ({"type": "Polygon", "coordinates": [square, hole]},))
    grid = Grid(CRS.from_epsg(EPSG), Affine(10, 0, 0, 0, -10, 0), 10, 10)
    expected = np.zeros((10, 10), bool)
    expected[:6, :6] = True
    expected[2:4, 2:4] = False
    assert np.array_equal(polygon_window(mask, grid, Window(0, 0, 10, 10)), expected)
    part = polygon_window(mask, grid, Window(3, 1, 4, 6))
    assert np.array_equal(part, expected[3:7, 1:7])
    nothing = polygon_window(PolygonMask(Path("m"), ()), grid, Window(0, 0, 4, 6))
    assert nothing.shape == (4, 6)
    assert not nothing.any()
