"""Which blocks show what a map is like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from support import write_raster

from lcmap.accuracy.places import choose_places, read_picture
from lcmap.dataset.inputs import InputOptions
from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window


def margins(right: int, pixels: int) -> np.ndarray:
    """Margins of two maps and two classes; the second map has all wrong."""
    first = [[right, 0], [pixels, 0], [pixels, 0]]
    return np.array([first, [[0, 0], [pixels, 0], [0, pixels]]])


@given(st.lists(st.integers(0, 100), min_size=1, max_size=30))
def test_the_best_the_median_and_the_worst_of_the_first_map(rights: list[int]) -> None:
    blocks = {(0, 0, n): margins(right, 100) for n, right in enumerate(rights)}
    places = choose_places(blocks)
    shares = {place.title: place.agreement for place in places}
    assert shares["best"] == max(rights) / 100
    if "worst" in shares:
        assert shares["worst"] == min(rights) / 100
    if "typical" in shares:
        assert shares["typical"] == sorted(rights)[(len(rights) - 1) // 2] / 100
    assert len({place[1:4] for place in places}) == len(places) == min(len(rights), 3)


def test_blocks_of_few_pixels_are_left_out() -> None:
    blocks = {(0, 0, 0): margins(1, 1), (0, 0, 1): margins(60, 100), (1, 2, 3): margins(80, 90)}
    places = choose_places(blocks)
    assert [(place.title, place.agreement) for place in places] == [
        ("best", 80 / 90),
        ("typical", 0.6),
    ]
    assert (places[0].reference, places[0].row, places[0].col) == (1, 2, 3)
    assert choose_places({}) == []


@pytest.mark.parametrize("by", ["value", "mask", "alpha", "NaN", "value and mask", "NaN and mask"])
@pytest.mark.parametrize("step", [1, 2])
def test_a_picture_is_white_without_data_however_the_file_says_so(
    tmp_path: Path, by: str, step: int
) -> None:
    """Also beside the image: GDAL's warper fills with 0, which would show as black."""
    pixels = np.random.default_rng(0).integers(50, 200, (3, 40, 40)).astype(np.uint8)
    pixels[:, :20] = 0
    there = np.where(pixels[:1] > 0, 255, 0).astype(np.uint8)
    mask = there.copy()
    if "and" in by:
        # each hides half of the columns
        mask[..., 20:], pixels[:, :20, :20] = 255, 7
    path = tmp_path / "image.tif"
    if by == "alpha":
        write_raster(path, np.concatenate([pixels, there]), photometric="RGB", alpha="YES")
    elif "NaN" in by:
        write_raster(path, np.where(pixels > 0, pixels, np.nan).astype(np.float32))
    else:
        write_raster(path, pixels, nodata=0 if "value" in by else None)
    with rasterio.open(path, "r+") as dataset:
        grid = Grid.of(dataset)
        if "mask" in by:
            dataset.write_mask(mask[0])
    picture = read_picture([path], grid, Window(-10, -10, 40, 40), step, InputOptions())
    assert picture is not None
    hole, data = picture[: 28 // step], picture[32 // step :, 12 // step :]
    assert (hole == 255).all() and (picture[:, : 8 // step] == 255).all()
    assert data.min() < 100 and len(np.unique(data)) > 20
