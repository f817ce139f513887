"""Quantiles against numpy.quantile, and their tags."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from rasterio.crs import CRS

from lcmap.errors import AllNodataError
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster
from lcmap.raster.quantile_tags import read_quantiles, write_quantiles
from lcmap.raster.quantiles import QuantileSelection, band_quantiles, select_quantiles
from lcmap.raster.writing import RasterFormat, atomic_raster

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
FLOATS = ("float32", "float64")
PROBABILITIES = (0.0, 0.02, 0.37, 0.5, 0.98, 1.0)


def elements(dtype: str) -> st.SearchStrategy[Any]:
    if dtype in FLOATS:
        width = int(dtype[5:])
        return st.floats(-1e6, 1e6, width=width, allow_subnormal=True)
    info = np.iinfo(dtype)
    # beyond 2**53 a float64 result cannot tell neighbours apart
    return st.integers(max(int(info.min), -(2**52)), min(int(info.max), 2**52))


@st.composite
def images(draw: st.DrawFn) -> NDArray[Any]:
    dtype = draw(st.sampled_from(DTYPES + FLOATS))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 40)))
    return draw(arrays(dtype, shape, elements=elements(dtype)))


@settings(max_examples=300, deadline=None)
@given(images(), st.integers(1, 50))
def test_any_dtype_in_any_portions_equals_numpy(image: NDArray[Any], portion: int) -> None:
    selection = QuantileSelection(len(image), image.dtype, PROBABILITIES)
    while not selection.done:
        for start in range(0, image.shape[1], portion):
            selection.update(image[:, start : start + portion])
        selection.end_pass()
    expected = np.quantile(image.astype("float64"), PROBABILITIES, axis=1).T
    np.testing.assert_allclose(selection.quantiles(), expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("dtype", "passes"),
    [("uint8", 1), ("int16", 1), ("int32", 2), ("float32", 2), ("float64", 4)],
)
def test_passes_depend_on_the_width_alone(dtype: str, passes: int) -> None:
    image = np.arange(1000).reshape(1, 10, 100).astype(dtype)
    calls = 0

    def blocks() -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
        nonlocal calls
        calls += 1
        yield image, np.ones(image.shape[1:], bool)

    select_quantiles(blocks, 1, dtype)
    assert calls == passes


def test_no_value_gives_nan() -> None:
    image = np.ones((2, 3, 3), "float64")
    blocks = [(image, np.zeros((3, 3), bool))]
    assert np.isnan(select_quantiles(lambda: blocks, 2, "float64")).all()


def write(path: Path, values: NDArray[Any], nodata: float | None) -> None:
    grid = Grid(CRS.from_epsg(2154), rasterio.Affine(2, 0, 100, 0, -2, 100), *values.shape[:0:-1])
    with atomic_raster(
        path,
        grid,
        RasterFormat(count=len(values), dtype=str(values.dtype), nodata=nodata),
        overwrite=False,
    ) as dataset:
        dataset.write(values)


@pytest.mark.parametrize(
    ("dtype", "nodata"), [("uint8", None), ("uint16", 0), ("float32", -9999.0), ("float32", None)]
)
def test_file_of_many_blocks_leaves_out_what_is_invalid_in_any_band(
    tmp_path: Path, dtype: str, nodata: float | None
) -> None:
    random = np.random.default_rng(1)
    values = random.integers(1, 200, (3, 1100, 1300)).astype(dtype)
    valid = np.ones(values.shape[1:], bool)
    if nodata is not None or dtype == "float32":
        hole = random.random(values.shape) < 0.05
        values[hole] = np.nan if nodata is None else nodata
        valid = ~hole.any(axis=0)
    path = tmp_path / "image.tif"
    write(path, values, nodata)
    expected = np.quantile(values[:, valid].astype("float64"), (0.02, 0.98), axis=1).T
    assert band_quantiles(path).tolist() == expected.tolist()


def test_all_nodata_is_an_error_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "empty.tif"
    write(path, np.full((1, 4, 4), -1, "int16"), -1)
    with pytest.raises(AllNodataError, match=r"empty\.tif: no pixel is valid"):
        band_quantiles(path)


def test_tags_give_back_the_very_numbers(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    quantiles = np.array([[0.1, 1e300 / 3], [-7.0, np.pi]])
    write(path, np.zeros((2, 4, 4), "uint8"), None)
    with open_raster(path) as dataset:
        assert read_quantiles(dataset) is None
    with rasterio.open(path, "r+") as dataset:
        write_quantiles(dataset, quantiles)
    with open_raster(path) as dataset:
        found = read_quantiles(dataset)
        assert found is not None
        assert found.tolist() == quantiles.tolist()
        assert set(dataset.tags(2)) == {"LCMAP_Q02", "LCMAP_Q98"}


@pytest.mark.parametrize("text", ["nan", "twelve", ""])
def test_tags_that_are_no_numbers_count_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "image.tif"
    write(path, np.zeros((1, 4, 4), "uint8"), None)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(1, LCMAP_Q02=text, LCMAP_Q98="5")
    with open_raster(path) as dataset:
        assert read_quantiles(dataset) is None
