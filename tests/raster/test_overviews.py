"""Overviews of class maps, against those that GDAL makes by mode."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from rasterio.enums import Resampling

from lcmap.errors import CannotWriteError
from lcmap.raster import overviews
from lcmap.raster.classes import ClassTable
from lcmap.raster.grid import Grid
from lcmap.raster.overviews import fill_overviews_by_mode, make_room_for_overviews
from lcmap.raster.writing import RasterFormat, atomic_raster

FACTORS = [2, 4, 8]
TABLE = ClassTable("example", {1: "bâti", 3: "eau"}, {1: (255, 0, 0), 3: (0, 0, 255)})

codes = st.tuples(st.sampled_from(["uint8", "uint16"]), st.integers(1, 5)).flatmap(
    lambda kind: arrays(
        kind[0],
        st.tuples(st.integers(8, 80), st.integers(8, 80)),
        elements=st.integers(0, kind[1]),
    )
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("overviews")


def create(path: Path, values: NDArray[Any]) -> Any:
    height, width = values.shape
    return rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=1, dtype=values.dtype,
        nodata=0, tiled=True, blockxsize=16, blockysize=16, compress="deflate",
        transform=rasterio.Affine(2, 0, 0, 0, -2, 0),
    )  # fmt: skip


def by_gdal(path: Path, values: NDArray[Any], factors: list[int]) -> list[NDArray[Any]]:
    with create(path, values) as dataset:
        dataset.write(values, 1)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews(factors, Resampling.mode)
    return read_overviews(path)


def read_overviews(path: Path) -> list[NDArray[Any]]:
    with rasterio.open(path) as dataset:
        count = len(dataset.overviews(1))
    found = []
    for level in range(count):
        with rasterio.open(path, overview_level=level) as overview:
            found.append(overview.read(1))
    return found


@given(values=codes, block=st.sampled_from([3, 16, 32]))
def test_they_are_those_of_gdal_at_any_size_and_by_any_block(
    folder: Path, values: NDArray[Any], block: int
) -> None:
    expected = by_gdal(folder / "gdal.tif", values, FACTORS)
    path = folder / "map.tif"
    with create(path, values) as dataset:
        make_room_for_overviews(dataset, FACTORS)
        dataset.write(values, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overviews, "_BLOCK", block)
        fill_overviews_by_mode(path, len(FACTORS))
    found = read_overviews(path)
    assert len(found) == len(FACTORS)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(1), values)


def write_map(path: Path, grid: Grid, values: NDArray[Any], *, cog: bool = False) -> None:
    made = RasterFormat(1, "uint8", 0, classes=TABLE, overviews=True, cog=cog)
    with atomic_raster(path, grid, made, overwrite=True) as dataset:
        dataset.write(values, 1)


@pytest.mark.parametrize("cog", [False, True])
def test_those_of_a_map_are_whole_and_have_its_colours(
    tmp_path: Path, grid: Grid, cog: bool
) -> None:
    # half of it nothing, so that whole blocks are
    values = np.random.default_rng(0).choice([0, 1, 3], grid.shape).astype("uint8")
    values[:, :600] = 0
    path = tmp_path / "map.tif"
    write_map(path, grid, values, cog=cog)
    for found, expected in zip(
        read_overviews(path), by_gdal(tmp_path / "gdal.tif", values, [2, 4]), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    for level in (0, 1):
        with rasterio.open(path, overview_level=level) as overview:
            assert overview.colormap(1)[3] == (0, 0, 255, 255)
            assert overview.compression.name == "deflate"


@pytest.mark.parametrize("missing", range(1, 80_000, 9_000))
def test_a_disk_that_is_full_before_they_are_whole_leaves_nothing(
    tmp_path: Path, grid: Grid, missing: int
) -> None:
    noise = np.random.default_rng(0).choice([1, 3], grid.shape).astype("uint8")
    write_map(tmp_path / "whole.tif", grid, noise)
    whole = (tmp_path / "whole.tif").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole - missing, limits[1]))
    try:
        with pytest.raises(CannotWriteError, match=r"map\.tif"):
            write_map(tmp_path / "map.tif", grid, noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.tif"]
