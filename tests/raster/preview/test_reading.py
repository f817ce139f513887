"""What a preview reads of a raster: as much as the picture shows, and the pixels of each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from support import write_raster

from lcmap.raster.grid import Grid
from lcmap.raster.preview.reading import (
    SourceImage,
    count_codes,
    picture_bands,
    read_codes,
    read_image,
    shown_shape,
)

WEST, NORTH = 721_104.0, 6_249_288.0


def grid_of(path: Path) -> Grid:
    with rasterio.open(path) as dataset:
        return Grid.of(dataset)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_the_picture_is_bounded_and_in_proportion(height: int, width: int) -> None:
    grid = Grid(None, rasterio.Affine(1, 0, 0, 0, -1, 0), width, height)
    rows, cols = shown_shape(grid, 1200)
    assert 1 <= rows <= min(height, 1200) and 1 <= cols <= min(width, 1200)
    if min(rows, cols) > 20:
        assert rows / cols == pytest.approx(height / width, rel=0.03)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_all_pixels_are_counted(tmp_path: Path, dtype: str) -> None:
    codes = np.random.default_rng(0).integers(0, 250, (1, 70, 90)).astype(dtype)
    with rasterio.open(write_raster(tmp_path / "map.tif", codes)) as dataset:
        counts = count_codes(dataset)
    found, times = np.unique(codes, return_counts=True)
    assert counts.sum() == codes.size
    assert counts[found].tolist() == times.tolist()


def test_a_reduced_map_has_the_classes_of_most_ground(tmp_path: Path) -> None:
    blocks = np.random.default_rng(1).integers(1, 8, (10, 12))
    codes = blocks.repeat(5, 0).repeat(5, 1).astype("uint8")
    codes[::5, ::5] = 9  # of each block one pixel: nearest neighbours may see no other
    with rasterio.open(write_raster(tmp_path / "map.tif", codes[None])) as dataset:
        assert (read_codes(dataset, (10, 12)) == blocks).all()


def test_an_image_has_no_data_where_its_mask_or_its_nodata_value_says_so(tmp_path: Path) -> None:
    pixels = np.full((3, 40, 40), 90, np.uint8)
    pixels[:, :20] = 0
    seen = np.tile(np.arange(40) >= 20, (40, 1))
    path = write_raster(tmp_path / "image.tif", pixels, nodata=0, mask=seen)
    read = read_image(SourceImage((path,)), grid_of(path), (20, 20), own=False)
    assert read.valid[10:, 10:].all() and read.valid.sum() == 100


def test_bands_of_a_picture(tmp_path: Path) -> None:
    image = np.zeros((4, 2, 2), "uint8")
    named = write_raster(tmp_path / "a.tif", image, names=["nir", "blue", "green", "red"])
    told = write_raster(tmp_path / "b.tif", image)
    with rasterio.open(told, "r+") as dataset:
        dataset.colorinterp = [
            ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined,
        ]  # fmt: skip
    plain = write_raster(tmp_path / "c.tif", image)
    grey = write_raster(tmp_path / "d.tif", image[:2])
    found = []
    for path in (named, told, plain, grey):
        with rasterio.open(path) as dataset:
            found.append(picture_bands(dataset))
    assert found == [(4, 3, 2), (3, 2, 1), (1, 2, 3), (1,)]


def test_an_image_is_stretched_where_it_has_data(tmp_path: Path) -> None:
    ramp = np.arange(1, 101, dtype="float32").reshape(10, 10) * 50
    ramp[0, 0] = np.nan
    image = np.stack([ramp, ramp, ramp[::-1]])
    path = write_raster(tmp_path / "i.tif", image, names=["red", "green", "blue"])
    shown = read_image(SourceImage((path,)), grid_of(path), (10, 10), own=True)
    # of 99 values from 100 to 5000
    low, high = np.percentile(image[0][np.isfinite(image).all(axis=0)], (2, 98))
    expected = np.clip(255 * (ramp - low) / (high - low), 0, 255)
    assert shown.bands == ("red", "green", "blue")
    assert (~shown.valid).sum() == 2
    inside = shown.valid
    assert np.abs(shown.pixels[..., 0][inside] - expected[inside]).max() <= 1
    assert shown.pixels[..., 0][inside].min() == 0 and shown.pixels[..., 0].max() == 255


def test_images_are_put_together_where_they_lie(tmp_path: Path) -> None:
    whole = np.random.default_rng(2).integers(1, 255, (1, 40, 60)).astype("uint8")
    map_ = write_raster(tmp_path / "map.tif", whole)
    a = whole[:, :, :30].copy()
    a[:, :5, :5] = 0
    first = write_raster(tmp_path / "a.tif", a, nodata=0)
    second = write_raster(
        tmp_path / "b.tif", whole[:, 10:, 20:], corner=(WEST + 20 * 0.8, NORTH - 10 * 0.8)
    )
    outside = write_raster(tmp_path / "c.tif", whole, corner=(WEST + 500, NORTH))
    other = write_raster(tmp_path / "d.tif", whole, pixel=3)
    shown = read_image(
        SourceImage((first, second, outside, other)), grid_of(map_), (40, 60), own=True
    )
    expected = np.zeros((40, 60), bool)
    expected[:, :30] = True
    expected[:5, :5] = False
    expected[10:, 20:] = True
    assert (shown.valid == expected).all()
    values = whole[0][expected].astype(float)
    low, high = np.percentile(values, (2, 98))
    stretched = np.clip(255 * (values - low) / (high - low), 0, 255)
    assert np.abs(shown.pixels[..., 1][expected] - stretched).max() <= 1


def test_a_value_may_be_named_as_no_data(tmp_path: Path) -> None:
    image = np.full((3, 4, 4), 7, "uint8")
    image[:, 0] = 0
    path = write_raster(tmp_path / "i.tif", image)
    shown = read_image(SourceImage((path,), nodata=0), grid_of(path), (4, 4), own=True)
    assert shown.valid.sum() == 12
    assert SourceImage.of([path, "-"]) is None
