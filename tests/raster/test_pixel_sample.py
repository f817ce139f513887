"""The sample of an image is the same however it is read, and another where pixels differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from support import write_raster

from lcmap.raster.pixel_sample import PixelSample, sample_windows
from lcmap.raster.windows import iter_blocks

sizes = st.integers(1, 300)


@given(sizes, sizes, st.integers(8, 200))
def test_the_sample_does_not_depend_on_the_blocks(height: int, width: int, block: int) -> None:
    image = np.random.default_rng(height * width).integers(0, 255, (2, height, width), np.uint8)
    whole, parts = (PixelSample(2, height, width, "uint8") for _ in range(2))
    (everything,) = iter_blocks(height, width, max(height, width))
    whole.update(image, everything)
    for window in iter_blocks(height, width, block):
        parts.update(image[:, *window.slices], window)
    assert parts.digest() == whole.digest()
    expected = [image[:, *window.slices].reshape(2, -1) for window in sample_windows(height, width)]
    np.testing.assert_array_equal(parts.values(), np.concatenate(expected, axis=1))


@given(sizes, sizes)
def test_windows_lie_inside_and_reach_all_corners(height: int, width: int) -> None:
    windows = list(sample_windows(height, width))
    assert all(window.clipped(height, width) == window for window in windows)
    assert min(window.row for window in windows) == min(window.col for window in windows) == 0
    assert max(window.stop_row for window in windows) == height
    assert max(window.stop_col for window in windows) == width


def test_the_digest_is_of_the_pixels_and_their_type(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (4, 600, 500), np.uint8)
    digests = set()
    for name, pixels in (
        ("a", image), ("b", image // 2), ("c", image[:3]), ("d", image.astype(np.uint16)),
        ("e", image[:, :-1]),
    ):  # fmt: skip
        path = write_raster(tmp_path / f"{name}.tif", pixels)
        with rasterio.open(path) as dataset:
            digests.add(PixelSample.of(dataset).digest())
    assert len(digests) == 5
    tiled = write_raster(
        tmp_path / "tiled.tif", image, tiled=True, blockxsize=64, blockysize=64, compress="deflate"
    )
    with rasterio.open(tiled) as dataset:
        assert PixelSample.of(dataset).digest() in digests
