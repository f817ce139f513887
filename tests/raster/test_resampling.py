"""Windows against the whole, and the whole against single points and GDAL's own warp."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from support import write_raster

from lcmap.raster import interpolation
from lcmap.raster.alignment import to_pixels
from lcmap.raster.centres import Centres
from lcmap.raster.grid import Grid
from lcmap.raster.interpolation import bilinear
from lcmap.raster.resampling import AlignedRaster, Known, Surroundings
from lcmap.raster.windows import Window

LAMBERT, UTM = CRS.from_epsg(2154), CRS.from_epsg(32631)
SOURCE = Grid(LAMBERT, Affine(10, 0, 721_104, 0, -10, 6_249_288), width=60, height=50)
WEST, _, _, NORTH = transform_bounds(LAMBERT, UTM, *SOURCE.bounds)
TARGETS = {
    "finer": Grid(LAMBERT, Affine(1.7, 0, 721_150.3, 0, -1.7, 6_249_200.1), 210, 180),
    "coarser": Grid(LAMBERT, Affine(31.3, 0, 721_104, 0, -31.3, 6_249_288), 19, 15),
    "beyond": Grid(LAMBERT, Affine(7.3, 0, 720_990.7, 0, -7.3, 6_249_366.2), 110, 90),
    "turned": Grid(LAMBERT, Affine(4, 2.2, 721_200.2, 2.1, -4, 6_249_100.9), 90, 80),
    "reprojected": Grid(UTM, Affine(6.1, 0, WEST + 40.4, 0, -6.1, NORTH - 60.7), 80, 70),
    "same": SOURCE,
}
NODATA = -9


def noise(hole: bool = False) -> NDArray[np.int16]:
    image = np.random.default_rng(4).integers(0, 256, (3, *SOURCE.shape)).astype(np.int16)
    if hole:
        image[:, 11:19, 20:33] = NODATA
        image[1, 40, 44] = NODATA  # a pixel that one band lacks is not valid
    return image


def as_floats(pixels: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(valid, pixels, 0).astype(np.float32)


@contextmanager
def aligned(folder: Path, image: NDArray[Any], target: Grid) -> Iterator[AlignedRaster]:
    path = write_raster(folder / "input.tif", image, pixel=10, nodata=NODATA)
    with rasterio.open(path) as dataset:
        yield AlignedRaster(dataset, target, "input.tif")


def whole(target: Grid) -> Window:
    return Window(0, 0, *target.shape)


@pytest.mark.parametrize("hole", [False, True])
@pytest.mark.parametrize("name", TARGETS)
def test_a_window_is_the_same_bits_as_in_the_whole(tmp_path: Path, name: str, hole: bool) -> None:
    target = TARGETS[name]
    with aligned(tmp_path, noise(hole), target) as raster:
        values, valid = raster.read(whole(target), as_floats)
        assert values.shape == (3, *target.shape) and values.dtype == np.float32
        assert valid.any()

        @settings(max_examples=30, deadline=None)
        @given(st.data())
        def compare(data: st.DataObject) -> None:
            row = data.draw(st.integers(0, target.height - 1))
            col = data.draw(st.integers(0, target.width - 1))
            height = data.draw(st.integers(1, target.height - row))
            width = data.draw(st.integers(1, target.width - col))
            window = Window(row, col, height, width)
            part, here = raster.read(window, as_floats)
            assert part.tobytes() == values[:, *window.slices].tobytes()
            assert (here == valid[window.slices]).all()

        compare()


@pytest.mark.parametrize("name", TARGETS)
def test_rows_of_rasters_that_are_joined_are_those_of_each(tmp_path: Path, name: str) -> None:
    target, window = TARGETS[name], whole(TARGETS[name])
    found, each = [], []
    for hole in (False, True):
        with aligned(tmp_path, noise(hole), target) as raster:
            around = raster.surroundings(window, as_floats)
            assert around is not None
            found.append(around)
            each.append(raster.read(window, as_floats))
    assert found[0].is_like(found[1])
    joined = Surroundings.joined(found)
    for start in range(0, target.height, 7):
        rows = slice(start, min(start + 7, target.height))
        values, valid = joined.rows(rows.start, rows.stop)
        for number, (of_one, where) in enumerate(each):
            assert values[number].tobytes() == of_one[:, rows].tobytes()
            assert (valid[number] == where[rows]).all()


def test_rasters_that_lie_otherwise_are_not_alike(tmp_path: Path) -> None:
    found = []
    for target in (TARGETS["finer"], TARGETS["turned"], SOURCE):
        with aligned(tmp_path, noise(), target) as raster:
            found.append(raster.surroundings(Window(0, 0, 40, 50), as_floats))
    for number, one in enumerate(found):
        for other, another in enumerate(found):
            assert one is not None and another is not None
            assert one.is_like(another) == (number == other)


@pytest.mark.parametrize("hole", [False, True])
@pytest.mark.parametrize("name", TARGETS)
def test_it_does_not_depend_on_how_much_is_in_work_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, hole: bool
) -> None:
    target = TARGETS[name]
    with aligned(tmp_path, noise(hole), target) as raster:
        values, valid = raster.read(whole(target), as_floats)
        monkeypatch.setattr(interpolation, "_AT_ONCE", 3000)
        again, here = raster.read(whole(target), as_floats)
    assert again.tobytes() == values.tobytes()
    assert (here == valid).all()


def test_where_a_window_is_is_found_once_for_rasters_of_one_grid(tmp_path: Path) -> None:
    target, window = TARGETS["reprojected"], Window(3, 5, 40, 30)
    known: Known = {}
    found = []
    for number, image in enumerate((noise(), noise(hole=True), noise()[:, 1:])):
        (tmp_path / str(number)).mkdir()
        with aligned(tmp_path / str(number), image, target) as raster:
            found.append(raster.surroundings(window, as_floats, known))
            alone = raster.surroundings(window, as_floats)
            assert found[-1] is not None and alone is not None
            assert found[-1].is_like(alone)
    one, other, on_another_grid = found
    assert one is not None and other is not None and on_another_grid is not None
    assert one.centres is other.centres
    assert one.centres is not on_another_grid.centres
    assert len(known) == 2


def points(target: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where every pixel centre is in the source, [rows, columns], each projected by itself."""
    rows, cols = np.mgrid[: target.height, : target.width] + 0.5
    found = to_pixels(SOURCE, target, cols.ravel(), rows.ravel())
    return found[0].reshape(target.shape), found[1].reshape(target.shape)


@pytest.mark.parametrize("name", ["finer", "beyond", "turned", "reprojected"])
def test_values_are_those_of_a_slow_interpolation(tmp_path: Path, name: str) -> None:
    target = TARGETS[name]
    image = noise(hole=True)
    with aligned(tmp_path, image, target) as raster:
        values, valid = raster.read(whole(target), as_floats)
    source_valid = (image != NODATA).all(axis=0)
    cols, rows = points(target)
    random = np.random.default_rng(0)
    for _ in range(400):
        row, col = random.integers(target.height), random.integers(target.width)
        x, y = cols[row, col], rows[row, col]
        if min(abs(x - round(x)), abs(y - round(y))) < 1e-3:
            continue  # at a pixel's edge rounding decides whose it is
        inside = 0 <= x < SOURCE.width and 0 <= y < SOURCE.height
        assert valid[row, col] == (inside and source_valid[int(y), int(x)])
        if not valid[row, col]:
            assert (values[:, row, col] == 0).all()
            continue
        total, weights = np.zeros(3), 0.0
        for j in (int(np.floor(y - 0.5)), int(np.floor(y - 0.5)) + 1):
            for i in (int(np.floor(x - 0.5)), int(np.floor(x - 0.5)) + 1):
                j_in, i_in = min(max(j, 0), SOURCE.height - 1), min(max(i, 0), SOURCE.width - 1)
                if source_valid[j_in, i_in]:
                    weight = (1 - abs(y - 0.5 - j)) * (1 - abs(x - 0.5 - i))
                    total += weight * image[:, j_in, i_in]
                    weights += weight
        np.testing.assert_allclose(values[:, row, col], total / weights, atol=0.05)


@pytest.mark.parametrize("name", ["finer", "turned", "reprojected"])
def test_gdal_agrees(tmp_path: Path, name: str) -> None:
    target = TARGETS[name]
    with aligned(tmp_path, noise(), target) as raster:
        values, valid = raster.read(whole(target), as_floats)
    # as floats and without nodata, so that GDAL neither rounds nor avoids values
    path = write_raster(tmp_path / "floats.tif", noise().astype(np.float32), pixel=10)
    with (
        rasterio.open(path) as dataset,
        WarpedVRT(
            dataset, crs=target.crs, transform=target.transform, width=target.width,
            height=target.height, resampling=Resampling.bilinear, tolerance=1e-12,
        ) as warped,
    ):  # fmt: skip
        expected = warped.read()
    cols, rows = points(target)
    inner = (cols > 1) & (cols < SOURCE.width - 1) & (rows > 1) & (rows < SOURCE.height - 1)
    assert inner.sum() > 1000 and valid[inner].all()
    np.testing.assert_allclose(values[:, inner], expected[:, inner], atol=0.1)


def test_pixels_without_data_have_no_weight(tmp_path: Path) -> None:
    image = np.full((1, *SOURCE.shape), 77, np.int16)
    image[:, 10:30, 15:40] = NODATA
    target = TARGETS["beyond"]
    with aligned(tmp_path, image, target) as raster:
        values, valid = raster.read(whole(target), as_floats)
    assert not valid.all()
    np.testing.assert_allclose(values[0][valid], 77, rtol=1e-6)
    assert (values[0][~valid] == 0).all()


def test_larger_pixels_are_means_of_whole_squares(tmp_path: Path) -> None:
    target = Grid(LAMBERT, Affine(50, 0, 721_104, 0, -50, 6_249_288), 12, 10)
    image = noise()
    image[:, :15, :5] = NODATA  # of three squares all is missing
    image[:, 20:22, 20:25] = NODATA  # of one less than half
    with aligned(tmp_path, image, target) as raster:
        values, valid = raster.read(whole(target), as_floats)
    squares = np.where(image == NODATA, np.nan, image.astype(float)).reshape(3, 10, 5, 12, 5)
    assert valid.tolist() == np.isfinite(squares).any(axis=(0, 2, 4)).tolist()
    means = np.nanmean(squares[:, :, :, 1:], axis=(2, 4))
    np.testing.assert_allclose(values[:, :, 1:], means, rtol=1e-5)


def test_what_is_outside_is_not_valid(tmp_path: Path) -> None:
    target = Grid(LAMBERT, Affine(10, 0, 750_000, 0, -10, 6_249_288), 9, 7)
    with aligned(tmp_path, noise(), target) as raster:
        values, valid = raster.read(whole(target), as_floats)
    assert values.shape == (3, 7, 9)
    assert not (valid.any() or values.any())


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_parallel_grids_give_what_turned_ones_do(height: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    valid = random.random((3, height, width)) < 0.8
    values = random.random((3, 2, height, width)).astype(np.float32) * valid[:, None]
    cols = random.uniform(-1, width + 1, (1, 6))
    rows = random.uniform(-1, height + 1, (4, 1))
    spread = np.broadcast_arrays(cols, rows)
    one, here = bilinear(values, valid, Centres(cols, rows, True))
    other, there = bilinear(values, valid, Centres(*spread, False))
    assert (here == there).all()
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
