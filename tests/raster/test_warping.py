"""Alignment against GDAL's own warp of whole images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.warp import reproject, transform_bounds
from small_imagery import bands_in

from lcmap.imagery.raster_bands import data_vrt
from lcmap.raster.alignment import pixel_size
from lcmap.raster.grid import Grid
from lcmap.raster.warping import lazily_aligned
from lcmap.raster.writing import RasterFormat, atomic_raster

LAMBERT, UTM = CRS.from_epsg(2154), CRS.from_epsg(32631)
SOURCE = Grid(LAMBERT, Affine(10, 0, 721_104, 0, -10, 6_249_288), width=60, height=50)
# (name, grid): finer, coarser, shifted and reaching beyond, turned, in another CRS
TARGETS = {
    "finer": Grid(LAMBERT, Affine(1.7, 0, 721_150.3, 0, -1.7, 6_249_200.1), 210, 180),
    "coarser": Grid(LAMBERT, Affine(31.3, 0, 721_104, 0, -31.3, 6_249_288), 19, 15),
    "beyond": Grid(LAMBERT, Affine(7.3, 0, 720_990.7, 0, -7.3, 6_249_366.2), 110, 90),
    "turned": Grid(LAMBERT, Affine(4, 2.2, 721_200.2, 2.1, -4, 6_249_100.9), 90, 80),
}


WEST, _, _, NORTH = transform_bounds(LAMBERT, UTM, *SOURCE.bounds)
TARGETS["reprojected"] = Grid(UTM, Affine(6.1, 0, WEST + 40.4, 0, -6.1, NORTH - 60.7), 80, 70)
# of values 0 to 255: where the CRS differs, reproject() interpolates coordinates, by about 1e-4 px
ROUNDING = 0.02
METHODS = [Resampling.cubic, Resampling.bilinear, Resampling.average, Resampling.nearest]


def write(path: Path, image: NDArray[Any], nodata: float | None = None) -> Path:
    with atomic_raster(
        path,
        SOURCE,
        RasterFormat(count=len(image), dtype=str(image.dtype), nodata=nodata),
        overwrite=False,
    ) as dataset:
        dataset.write(image)
    return path


def noise(dtype: str) -> NDArray[Any]:
    random = np.random.default_rng(4)
    return random.integers(0, 256, (2, *SOURCE.shape)).astype(dtype)


def aligned(path: Path, target: Grid, method: Resampling, chunk: int) -> NDArray[Any]:
    source = bands_in(path)
    array = lazily_aligned(
        data_vrt(source), source.grid, target, method, nodata=source.nodata, chunk=chunk
    )
    assert array.chunks is not None  # nothing is computed yet
    values: NDArray[Any] = array.compute(scheduler="synchronous").values
    array.close()
    return values


def warped_whole(image: NDArray[Any], target: Grid, method: Resampling, **options: Any) -> Any:
    x, y = pixel_size(SOURCE, target)
    result = np.zeros((len(image), *target.shape), image.dtype)
    reproject(
        image,
        result,
        src_transform=SOURCE.transform,
        src_crs=SOURCE.crs,
        dst_transform=target.transform,
        dst_crs=target.crs,
        resampling=method,
        XSCALE=1 / x,
        YSCALE=1 / y,
        **options,
    )
    return result


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("name", TARGETS)
def test_blocks_equal_the_whole_and_gdals_own_warp(
    tmp_path: Path, name: str, method: Resampling
) -> None:
    image = noise("float32")
    path = write(tmp_path / "image.tif", image, nodata=-9999)
    whole = aligned(path, TARGETS[name], method, chunk=4096)
    blocks = aligned(path, TARGETS[name], method, chunk=37)
    assert np.array_equal(blocks, whole)
    expected = warped_whole(
        image, TARGETS[name], method, src_nodata=-9999, dst_nodata=-9999, init_dest_nodata=True
    )
    np.testing.assert_allclose(whole, expected, rtol=0, atol=ROUNDING)
    assert len(np.unique(whole)) > 100


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16"])
@pytest.mark.parametrize("name", ["finer", "coarser", "reprojected"])
def test_integers_are_the_rounded_floats(tmp_path: Path, name: str, dtype: str) -> None:
    path = write(tmp_path / "image.tif", noise(dtype))
    values = aligned(path, TARGETS[name], Resampling.bilinear, chunk=37)
    assert values.dtype == dtype
    exact = warped_whole(noise("float64"), TARGETS[name], Resampling.bilinear)
    assert np.abs(values - exact).max() <= 0.5 + ROUNDING


def test_same_grid_passes_through(tmp_path: Path) -> None:
    path = write(tmp_path / "image.tif", noise("uint8"))
    assert np.array_equal(aligned(path, SOURCE, Resampling.cubic, chunk=37), noise("uint8"))


def test_reduction_by_average_equals_block_means(tmp_path: Path) -> None:
    image = noise("float64")
    path = write(tmp_path / "image.tif", image)
    target = Grid(LAMBERT, SOURCE.transform @ Affine.scale(5), 12, 10)
    values = aligned(path, target, Resampling.average, chunk=5)
    means = image.reshape(2, 10, 5, 12, 5).mean(axis=(2, 4))
    np.testing.assert_allclose(values, means, rtol=1e-9)


@pytest.mark.parametrize("spread", [0.6, 0.8, 1.1])
def test_spread_kernel_passes_what_a_b_spline_of_that_width_does(
    tmp_path: Path, spread: float
) -> None:
    """Of waves two target pixels long, by the Fourier transform of the B-spline."""
    target = TARGETS["coarser"]
    x, _ = pixel_size(SOURCE, target)
    first = (target.transform.c - SOURCE.transform.c) / SOURCE.transform.a
    wave = np.cos(np.pi / x * (np.arange(SOURCE.width) + 0.5 - first - x / 2))
    image = np.broadcast_to(wave, (1, *SOURCE.shape)).astype("float32")
    source = bands_in(write(tmp_path / "image.tif", image))
    array = lazily_aligned(
        data_vrt(source), SOURCE, target, Resampling.cubic_spline, nodata=None, spread=spread
    )
    inside = array.values[0, 4:-4, 4:-4]
    array.close()
    assert np.abs(inside).max() == pytest.approx(np.sinc(spread / 2) ** 4, abs=0.02)
