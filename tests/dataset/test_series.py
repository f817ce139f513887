"""Series of dates, against each date read by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from support import write_raster

from lcmap.dataset import series as series_module
from lcmap.dataset.dated import OpenDate
from lcmap.dataset.idle_pool import IdlePool
from lcmap.dataset.input_reader import InputReader
from lcmap.dataset.inputs import InputOptions
from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.series import (
    Series,
    SeriesReader,
    mean_quantiles,
    open_series,
)
from lcmap.errors import DataError, InputMismatchError, NoCrsError, OverlapError
from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window

CORNER = (721_104.0, 6_249_288.0)
QUANTILES = np.array([[100.0, 4000.0], [50.0, 3000.0]])
OPTIONS = InputOptions()

WriteDate = Callable[..., Path]


@pytest.fixture
def write_date(tmp_path: Path) -> WriteDate:
    random = np.random.default_rng(3)

    def write(day: str, size: int = 12, **changes: Any) -> Path:
        image = random.integers(1, 5000, (2, size, size)).astype(np.uint16)
        image[:, random.random((size, size)) < 0.2] = 0
        given: dict[str, Any] = {
            "pixel": 10.0,
            "names": ("B4", "B8"),
            "nodata": 0,
            "corner": CORNER,
        } | changes
        return write_raster(tmp_path / f"s2_{day}.tif", given.pop("image", image), **given)

    return write


@pytest.fixture
def pool() -> Iterator[series_module.SeriesPool]:
    with IdlePool[tuple[object, int], OpenDate](series_module.MOST_OPEN) as pool:
        yield pool


def grid_of(width: int = 31, height: int = 27, pixel: float = 4.0) -> Grid:
    x, y = CORNER
    transform = rasterio.Affine(pixel, 0, x - 8, 0, -pixel, y + 8)
    return Grid(rasterio.CRS.from_epsg(2154), transform, width, height)


def opened(*paths: Path) -> Series:
    return open_series(paths, "s2", OPTIONS)


def test_window_is_that_of_each_date_in_the_order_of_days(
    write_date: WriteDate, pool: series_module.SeriesPool
) -> None:
    x, y = CORNER
    paths = [
        write_date("20190301"),
        write_date("20180705", corner=(x + 37, y - 21), pixel=9.0),
        write_date("2020-12-31", corner=(x + 90_000, y)),
    ]
    grid, window = grid_of(), Window(3, 5, 20, 22)
    reader = SeriesReader(opened(*paths), grid, QUANTILES, OPTIONS, pool)
    found = reader.read(window)
    assert found.days.tolist() == [186, 60, 366]
    assert found.values.shape == (3, 2, 20, 22)
    assert found.values.dtype == np.float32
    for place, path in enumerate([paths[1], paths[0], paths[2]]):
        with rasterio.open(path) as dataset:
            alone = InputReader(dataset, grid, RasterContent("image"), QUANTILES, str(path))
            values, valid = alone.read(window)
        assert (found.values[place] == values).all()
        assert (found.valid[place] == valid).all()
    assert [bool(valid.any()) for valid in found.valid] == [True, True, False]


def test_no_window_misses_a_pixel_of_a_date(
    write_date: WriteDate, pool: series_module.SeriesPool
) -> None:
    """A date far coarser than the grid, in another system: what it reaches is never left out."""
    image = np.full((2, 3, 3), 700, np.uint16)
    corner = (2.989, 43.335)
    paths = [write_date("20180705", image=image, epsg=4326, corner=corner, pixel=0.0005)]
    x, y = 721_104.0, 6_249_288.0
    with rasterio.open(paths[0]) as dataset:
        west, _, _, north = rasterio.warp.transform_bounds("EPSG:4326", 2154, *dataset.bounds)
    grid = Grid(rasterio.CRS.from_epsg(2154), rasterio.Affine(5, 0, west - 50, 0, -5, north + 50),
                60, 60)  # fmt: skip
    assert abs(west - x) < 50_000 and abs(north - y) < 50_000
    reader = SeriesReader(opened(*paths), grid, QUANTILES, OPTIONS, pool)
    whole = reader.read(Window(0, 0, 60, 60)).valid[0]
    assert 0 < whole.sum() < whole.size
    for row in range(60):
        for col in range(0, 60, 20):
            part = reader.read(Window(row, col, 1, 20)).valid[0]
            assert (part == whole[row : row + 1, col : col + 20]).all()


def test_two_files_of_a_day_are_two_dates(write_date: WriteDate) -> None:
    x, y = CORNER
    series = opened(write_date("20180705_b", corner=(x + 60, y)), write_date("20180705_a"))
    assert series.days.tolist() == [186, 186]
    assert [path.name for path in series.paths] == ["s2_20180705_a.tif", "s2_20180705_b.tif"]


def test_the_day_in_the_tags_counts_before_the_name(write_date: WriteDate) -> None:
    path = write_date("20180705")
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="IMAGERY", ACQUISITIONDATETIME="2019-01-02 10:40:21")
    assert opened(path).dates[0].day == date(2019, 1, 2)


def test_quantiles_are_the_mean_of_all_dates_with_pixels(write_date: WriteDate) -> None:
    clear = [write_date("20180705"), write_date("20180905")]
    other = write_date("20190905", image=np.full((2, 4, 4), 9000, np.uint16))
    clouded = write_date("20180805", image=np.zeros((2, 4, 4), np.uint16))
    expected = []
    for path in (*clear, other):
        with rasterio.open(path) as dataset:
            values = dataset.read().astype(float)
        expected.append(np.quantile(values[:, (values != 0).all(axis=0)], (0.02, 0.98), axis=1).T)
    found = mean_quantiles([(opened(*clear, clouded), OPTIONS), (opened(other), OPTIONS)])
    assert found == pytest.approx(np.mean(expected, axis=0))


def test_few_files_are_open_and_any_thread_reads(
    write_date: WriteDate, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [date(2018, 1, 1) + timedelta(days=10 * i) for i in range(30)]
    series = opened(*(write_date(f"{day:%Y%m%d}") for day in days))
    windows = [Window(row, 0, 9, 31) for row in (0, 9, 18)] * 4
    before = len(os.listdir("/proc/self/fd"))
    with IdlePool[tuple[object, int], OpenDate](5) as pool:
        reader = SeriesReader(series, grid_of(), QUANTILES, OPTIONS, pool)
        alone = [reader.read(window) for window in windows]
        assert len(os.listdir("/proc/self/fd")) <= before + 5
        with ThreadPoolExecutor(4) as threads:
            together = list(threads.map(reader.read, windows))
        assert len(os.listdir("/proc/self/fd")) <= before + 5
    assert len(os.listdir("/proc/self/fd")) == before
    for one, other in zip(alone, together, strict=True):
        assert (one.values == other.values).all()
        assert (one.valid == other.valid).all()


@pytest.mark.parametrize(
    ("changes", "problem", "remedy"),
    [
        ({"names": ("B4", "B3")}, "its bands are B4, B3, those of", "the same bands"),
        ({"image": np.ones((1, 4, 4), np.uint16), "names": ("B4",)}, "its bands are B4", "bands"),
        ({"image": np.ones((2, 4, 4), np.float32)}, "is float32", "images of one kind"),
    ],
)
def test_dates_are_of_one_kind(
    write_date: WriteDate, changes: dict[str, Any], problem: str, remedy: str
) -> None:
    with pytest.raises(InputMismatchError) as caught:
        opened(write_date("20180705"), write_date("20180805", **changes))
    assert os.path.basename(str(caught.value.subject)) == "s2_20180805.tif"
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def test_dates_are_of_one_level(write_date: WriteDate) -> None:
    paths = write_date("MSIL1C_20180705"), write_date("MSIL2A_20180805")
    with pytest.raises(InputMismatchError, match="surface reflectance"):
        opened(*paths)


def test_file_without_a_day_is_refused(write_date: WriteDate) -> None:
    with pytest.raises(DataError, match="say when it was taken; put the day into its name"):
        opened(write_date("summer"))


def test_file_without_a_place_is_refused(write_date: WriteDate) -> None:
    with pytest.raises(NoCrsError):
        opened(write_date("20180705", epsg=None))


def test_ground_is_that_of_all_dates_together(write_date: WriteDate) -> None:
    x, y = CORNER
    halves = opened(
        write_date("20180705", corner=(x - 60, y + 8), size=12),
        write_date("20180806", corner=(x + 60, y + 8), size=12),
    )
    halves.check_ground(grid_of(), "image")
    one = opened(write_date("20190705", corner=(x + 60, y + 8), size=3))
    with pytest.raises(OverlapError, match="covers 7 % of image at most"):
        one.check_ground(grid_of(), "image")
    one.check_ground(grid_of(), "image", allow_missing=True)
    far = opened(write_date("20200705", corner=(x + 60_000, y)))
    with pytest.raises(OverlapError, match="covers no ground of image"):
        far.check_ground(grid_of(), "image", allow_missing=True)


@pytest.mark.data
def test_slovenia_as_a_series(
    data_folder: Path, pool: series_module.SeriesPool, tmp_path: Path
) -> None:
    """Three real dates, each under clouds of its own, on cells of an image of 2.5 m beside them."""
    cloudy = np.random.default_rng(3).integers(0, 4, (11, 10)).repeat(10, 0).repeat(10, 1)[:101]
    paths, whole = [], []
    for place, (number, month) in enumerate(((2, 6), (3, 7), (4, 8))):
        with rasterio.open(data_folder / f"sentinel2_slovenia/s2_l1c_{number}.tif") as dataset:
            profile, names, image = dataset.profile, dataset.descriptions, dataset.read()
        whole.append(image.copy())
        image[:, cloudy == place] = 0
        paths.append(tmp_path / f"s2_2015{month:02d}15.tif")
        with rasterio.open(paths[-1], "w", **(profile | {"nodata": 0})) as dataset:
            dataset.write(image)
            dataset.descriptions = names
    transform = profile["transform"] @ rasterio.Affine.scale(0.25)
    grid = Grid(profile["crs"], transform, 400, 404)
    series = open_series(paths, "Slovenia", OPTIONS)
    quantiles = mean_quantiles([(series, OPTIONS)])
    reader = SeriesReader(series, grid, quantiles, OPTIONS, pool, level=2)
    found = reader.read(Window(20, 30, 60, 50))
    here = np.s_[20:80, 30:80]
    assert found.days.tolist() == [166, 196, 227]
    assert np.array_equal(found.valid, [cloudy[here] != place for place in range(3)])
    low, high = quantiles.T[:, None, :, None, None]
    expected = (np.stack(whole)[:, :, *here] - low) / (high - low)
    np.testing.assert_allclose(
        found.values, np.where(found.valid[:, None], expected, 0), rtol=0, atol=1e-5
    )
