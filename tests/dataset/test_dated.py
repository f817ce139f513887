"""Sentinel-2 products as dates of a series, against the same products prepared as stacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from small_sentinel2 import (
    CORNER,
    EPSG,
    SIZE,
    TEN,
    write_l1c,
    write_l2a,
    write_old_l1c,
    write_theia,
)
from support import run_lcmap, write_raster

from lcmap.dataset.dated import OpenDate
from lcmap.dataset.idle_pool import IdlePool
from lcmap.dataset.inputs import InputOptions
from lcmap.dataset.series import MOST_OPEN, SeriesPool, SeriesReader, mean_quantiles, open_series
from lcmap.errors import InputMismatchError, InputMissingError, ProductError
from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window
from lcmap.sentinel2.product import product_bands

OPTIONS = InputOptions()
FINE, COARSE = ("B2", "B4", "B8"), ("B5", "B8A", "B12")


def random_mask(n: int, seed: int) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((n, n)) < 0.2


def clouded_l2a(folder: Path) -> Path:
    classes = np.where(random_mask(SIZE // 2, 1), 9, 4).astype("uint8")
    extra = {"B4": {(7, 9): 65_535}, "B8A": {(30, 31): 0}}
    return write_l2a(folder, scene_classes=classes, extra=extra)


def clouded_l1c(folder: Path) -> Path:
    classes = np.stack([random_mask(SIZE // 6, seed) for seed in (1, 2, 3)]).astype("uint8")
    return write_l1c(folder, classes=classes)


def old_l1c(folder: Path) -> Path:
    classes = np.stack([random_mask(SIZE // 6, seed) for seed in (1, 2, 3)]).astype("uint8")
    return write_l1c(folder, baseline="02.06", classes=classes)


def clouded_theia(folder: Path) -> Path:
    masks = {
        "CLM_R1": random_mask(SIZE, 1).astype("uint8"),
        "CLM_R2": random_mask(SIZE // 2, 1).astype("uint8"),
    }
    return write_theia(folder, masks=masks)


@pytest.fixture
def pool() -> Iterator[SeriesPool]:
    with IdlePool[tuple[object, int], OpenDate](MOST_OPEN) as pool:
        yield pool


def grid_of(pixel: float = 4.0, width: int = 80, height: int = 70) -> Grid:
    x, y = CORNER
    transform = rasterio.Affine(pixel, 0, x - 33, 0, -pixel, y + 21)
    return Grid(rasterio.CRS.from_epsg(EPSG), transform, width, height)


@pytest.mark.parametrize("bands", [FINE, COARSE], ids=["10 m", "20 m"])
@pytest.mark.parametrize("write", [clouded_l2a, clouded_l1c, old_l1c, clouded_theia])
def test_in_place_equals_the_prepared_product(
    tmp_path: Path, pool: SeriesPool, write: Callable[[Path], Path], bands: tuple[str, ...]
) -> None:
    """Pixel by pixel, where the stack keeps the bands' own grid; so do the quantiles."""
    product = write(tmp_path / "products")
    metres = 10 if bands == FINE else 20
    n = SIZE * 10 // metres
    own = write_raster(
        tmp_path / "grid.tif", np.zeros((1, n, n), "u1"),
        corner=CORNER, pixel=metres, epsg=EPSG,
    )  # fmt: skip
    stack = tmp_path / "stack.tif"
    run = run_lcmap("prepare", product, "--bands", ",".join(bands), "--like", own, "-o", stack)
    assert run.exit_code == 0, run.stderr
    pairs = [
        open_series([path], "s2", OPTIONS, bands=len(bands), names=bands)
        for path in (product, stack)
    ]
    quantiles = [mean_quantiles([(series, OPTIONS)]) for series in pairs]
    assert np.array_equal(quantiles[0], quantiles[1])
    in_place, prepared = pairs
    for name in ("bands", "dtype", "radiometry", "gsds"):
        assert getattr(in_place, name) == getattr(prepared, name), name
    assert in_place.dates[0].day == prepared.dates[0].day == date(2018, 7, 5)
    for pixel, level, window in ((4.0, 0, Window(3, 5, 60, 70)), (6.0, 1, Window(0, 0, 30, 31))):
        found, expected = (
            SeriesReader(series, grid_of(pixel), quantiles[0], OPTIONS, pool, level).read(window)
            for series in pairs
        )
        assert 0 < found.valid.mean() < 1
        assert np.array_equal(found.valid, expected.valid)
        assert np.array_equal(found.values, expected.values)


def test_bands_of_both_sizes_are_one_image(tmp_path: Path, pool: SeriesPool) -> None:
    """Each as if alone; a pixel is valid where all are, and windows are those of the whole."""
    product = clouded_l2a(tmp_path)
    quantiles = np.array([[0.0, 10_000.0]] * 10)
    whole = Window(0, 0, 70, 80)
    series = open_series([product], "s2", OPTIONS)
    assert series.bands == TEN == product_bands(None)
    reader = SeriesReader(series, grid_of(), quantiles, OPTIONS, pool)
    found = reader.read(whole)
    valid = np.ones((70, 80), bool)
    for place, band in enumerate(TEN):
        one = open_series([product], "s2", OPTIONS, bands=1, names=(band,))
        alone = SeriesReader(one, grid_of(), quantiles[:1], OPTIONS, pool).read(whole)
        valid &= alone.valid[0]
        both = found.valid[0] & alone.valid[0]
        # a missing pixel of one band weighs nothing in the others of its size either
        assert (found.values[0, place][both] == alone.values[0, 0][both]).mean() > 0.99
    assert np.array_equal(found.valid[0], valid)
    assert (found.values[:, :, ~valid] == 0).all()
    for row in range(0, 70, 23):
        part = reader.read(Window(row, 11, 13, 40).clipped(70, 80))
        rows = slice(row, min(row + 13, 70))
        assert np.array_equal(part.values, found.values[:, :, rows, 11:51])
        assert np.array_equal(part.valid, found.valid[:, rows, 11:51])


def test_offsets_of_baselines_are_read_alike(tmp_path: Path, pool: SeriesPool) -> None:
    quantiles = np.array([[0.0, 10_000.0]] * 10)
    old, new = (
        SeriesReader(
            open_series([write_l2a(tmp_path / baseline, baseline=baseline)], "s2", OPTIONS),
            grid_of(), quantiles, OPTIONS, pool,
        ).read(Window(0, 0, 70, 80))
        for baseline in ("02.12", "05.00")
    )  # fmt: skip
    assert np.array_equal(old.values, new.values) and old.values.any()


def test_granules_are_dates_of_one_product(tmp_path: Path) -> None:
    x, y = CORNER
    product = write_old_l1c(tmp_path, tiles={"T31TFJ": CORNER, "T31TGJ": (x + 1200, y)})
    series = open_series([product], "s2", OPTIONS, names=("B2", "B8A"))
    assert [dated.day for dated in series.dates] == [date(2016, 9, 5)] * 2
    assert [dated.name.rpartition("_")[0][-6:] for dated in series.dates] == ["T31TFJ", "T31TGJ"]
    assert series.paths == (product,)


def test_files_are_all_that_is_read(tmp_path: Path) -> None:
    product = write_l2a(tmp_path)
    series = open_series([product], "s2", OPTIONS)
    found = {Path(file) for file in series.files}
    assert found == {path for path in product.rglob("*") if path.is_file()}
    assert series.dates[0].open_files == len(found)


def test_a_product_of_clouds_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clouds = np.full((SIZE // 2,) * 2, 9, "uint8")
    clear = write_l2a(tmp_path, day="2018-07-05")
    hidden = write_l2a(tmp_path, day="2018-08-05", scene_classes=clouds)
    x, y = CORNER
    beside = write_l2a(tmp_path, day="2018-09-05", corner=(x + 50_000, y))
    series = open_series([clear, hidden, beside], "s2", OPTIONS)
    assert series.that_show(grid_of(), "spot.tif", OPTIONS).paths == (clear,)
    for product in (hidden, beside):
        said = f"{product}: has no valid pixel where spot.tif is, and is left out"
        assert said in caplog.messages
    none = open_series([hidden, beside], "s2", OPTIONS)
    assert none.that_show(grid_of(), "spot.tif", OPTIONS) == none
    assert caplog.messages[-1] == "s2: no date has a valid pixel where spot.tif is"


def test_rasters_of_clouds_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given: dict[str, Any] = {"nodata": 0, "corner": CORNER, "pixel": 10.0, "epsg": EPSG}
    image = np.zeros((2, 60, 60), "uint16")
    path = write_raster(tmp_path / "s2_20180705.tif", image, **given)
    series = open_series([path], "s2", OPTIONS)
    assert series.that_show(grid_of(), "spot.tif", OPTIONS) == series
    assert caplog.messages == ["s2: no date has a valid pixel where spot.tif is"]
    image[:, 20, 20] = 5
    series = open_series([write_raster(path, image, **given)], "s2", OPTIONS)
    series.that_show(grid_of(), "spot.tif", OPTIONS)
    assert len(caplog.messages) == 1


def test_a_product_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    product = write_l2a(tmp_path)
    with pytest.raises(InputMismatchError, match="which has no nir, red"):
        open_series([product], "s2", OPTIONS, bands=2, names=("red", "nir"))
    with pytest.raises(InputMissingError, match="s2: none of its 1 dates is of the period"):
        open_series([product], "s2", OPTIONS, days=lambda day: day.year == 2019)
    (band,) = product.glob("GRANULE/*/IMG_DATA/R20m/*_B11_20m.jp2")
    band.unlink()
    with pytest.raises(ProductError, match=r"has no IMG_DATA/R20m/\*_B11_20m.jp2; unpack the"):
        open_series([product], "s2", OPTIONS)
    archive = tmp_path / "S2A.zip"
    archive.write_bytes(b"PK")
    with pytest.raises(ProductError, match="is an archive; unpack it"):
        open_series([archive], "s2", OPTIONS)
