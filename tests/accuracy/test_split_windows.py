from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.warp import transform, transform_bounds
from small_labels import WriteLabels

from lcmap.accuracy.label_raster import open_labels
from lcmap.accuracy.split_windows import (
    SplitTiles,
    mask_of,
    window_by_centres,
    window_that_covers,
)
from lcmap.dataset.tile_index import IndexedTile, TileIndex
from lcmap.errors import InputMissingError
from lcmap.nomenclature import load_nomenclature
from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window

CODES = np.ones((8, 8), np.uint8)


def tile(image: Path, labels: Path | None, window: Window, split: str = "test") -> IndexedTile:
    return IndexedTile(image, labels, (), window, split, 1.0, {})  # type: ignore[arg-type]


def index(*tiles: IndexedTile) -> TileIndex:
    return TileIndex(Path("t.geojson"), load_nomenclature("topo6"), (), tiles, 4, "blocks", 0, 0)


def test_only_the_split_that_was_asked_for(write_labels: WriteLabels) -> None:
    path = write_labels("ref.tif", CODES)
    windows = {split: Window(i, 0, 4, 4) for i, split in enumerate(("train", "validation", "test"))}
    tiles = index(*(tile(path, path, window, split) for split, window in windows.items()))
    with open_labels(path) as reference:
        for split, window in windows.items():
            assert SplitTiles([tiles], split).windows(reference) == [window]
        assert SplitTiles([tiles], "all").windows(reference) == list(windows.values())


def test_tiles_that_name_the_reference_count_alone(write_labels: WriteLabels) -> None:
    """Two images of one place, each with its own index and labels."""
    first, second = write_labels("2018.tif", CODES), write_labels("2019.tif", CODES)
    tiles = [
        index(tile(first, first, Window(0, 0, 2, 2))),
        index(tile(second, second, Window(4, 4, 2, 2))),
    ]
    with open_labels(second) as reference:
        assert SplitTiles(tiles, "test").windows(reference) == [Window(4, 4, 2, 2)]


def test_on_another_grid_a_tile_holds_the_pixels_whose_centres_it_holds(
    write_labels: WriteLabels,
) -> None:
    image = write_labels("image.tif", np.ones((40, 40), np.uint8), gsd=0.5)
    path = write_labels("ref.tif", CODES, gsd=2.0)
    tiles = index(tile(image, None, Window(6, 0, 10, 10)), tile(image, None, Window(0, 0, 1, 1)))
    with open_labels(path) as reference:
        # rows 3.0 to 8.0 m hold the centres at 3, 5 and 7 m; columns 0 to 5 m those at 1 and 3 m
        assert SplitTiles([tiles], "test").windows(reference) == [Window(1, 0, 3, 2)]


def test_tiles_of_another_place_or_crs_do_not_count(write_labels: WriteLabels) -> None:
    away = write_labels("away.tif", CODES, west=900_000.0)
    other = write_labels("other.tif", CODES, crs="EPSG:32631")
    tiles = index(*(tile(image, None, Window(0, 0, 4, 4)) for image in (away, other)))
    with open_labels(write_labels("ref.tif", CODES)) as reference:
        assert SplitTiles([tiles], "test").windows(reference) == []


def test_an_image_that_is_gone_is_named(write_labels: WriteLabels, tmp_path: Path) -> None:
    tiles = index(tile(tmp_path / "gone.tif", None, Window(0, 0, 4, 4)))
    with (
        open_labels(write_labels("ref.tif", CODES)) as reference,
        pytest.raises(InputMissingError, match=r"gone\.tif"),
    ):
        SplitTiles([tiles], "test").windows(reference)


@given(
    st.builds(Window, *[st.integers(0, 20)] * 2, *[st.integers(1, 20)] * 2),
    st.sampled_from([0.3, 1.0, 2.5]),
    st.floats(-9, 9),
)
def test_window_by_centres_agrees_with_a_test_of_each_centre(
    window: Window, gsd: float, shift: float
) -> None:
    crs = CRS.from_epsg(2154)
    source = Grid(crs, Affine(1, 0, 100, 0, -1, 200), 40, 40)
    target = Grid(crs, Affine(gsd, 0, 100 + shift, 0, -gsd, 200 - shift / 2), 30, 25)
    expected = np.zeros(target.shape, bool)
    near_edge = False
    for row, col in np.ndindex(*target.shape):
        x, y = ~source.transform @ (target.transform @ (col + 0.5, row + 0.5))
        expected[row, col] = window.col <= x < window.stop_col and window.row <= y < window.stop_row
        near_edge |= min(abs(x - round(x)), abs(y - round(y))) < 1e-5
    if near_edge:
        return  # where rounding decides
    found = np.zeros(target.shape, bool)
    inside = window_by_centres(source, window, target)
    if inside:
        found[inside.slices] = True
    assert (found == expected).all()


def test_tiles_of_one_image_side_by_side_share_no_pixel() -> None:
    """Edges that fall on pixel centres belong to one tile only, whatever the rounding."""
    crs = CRS.from_epsg(2154)
    source = Grid(crs, Affine(1, 0, 0.1, 0, -1, 0.1), 8, 8)
    target = Grid(crs, Affine(2, 0, 0.1, 0, -2, 0.1), 4, 4)
    times = np.zeros(target.shape, int)
    for row in range(0, 8, 3):
        for col in range(0, 8, 3):
            window = window_by_centres(source, Window(row, col, 3, 3).clipped(8, 8), target)
            if window:
                times[window.slices] += 1
    assert (times == 1).all()


@pytest.mark.parametrize("code", [2154, 32631, 3035, 4326])
def test_the_window_that_covers_holds_every_centre_in_it_in_any_system(code: int) -> None:
    lambert, other = CRS.from_epsg(2154), CRS.from_epsg(code)
    source = Grid(lambert, Affine(10, 0, 150_000, 0, -10, 6_800_000), 900, 900)  # far from 3° E
    left, bottom, right, top = transform_bounds(lambert, other, *source.bounds)
    target = Grid(other, Affine((right - left) / 500, 0, left, 0, (bottom - top) / 400, top),
                  500, 400)  # fmt: skip
    window = Window(200, 300, 256, 256)
    cols, rows = np.meshgrid(np.arange(500) + 0.5, np.arange(400) + 0.5)
    x, y = target.transform @ (cols.ravel(), rows.ravel())
    x, y = (np.array(v) for v in transform(other, lambert, x, y))
    col, row = ~source.transform @ (x, y)
    expected = (
        (row >= window.row) & (row < window.stop_row)
        & (col >= window.col) & (col < window.stop_col)
    ).reshape(target.shape)  # fmt: skip
    found = window_that_covers(source, window, target)
    assert found is not None
    held = np.zeros(target.shape, bool)
    held[found.slices] = True
    assert held[expected].all()
    rows_in, cols_in = np.nonzero(expected)
    assert found.height <= np.ptp(rows_in) + 1 + 4 and found.width <= np.ptp(cols_in) + 1 + 4


def test_centres_on_the_edge_of_a_window_are_covered() -> None:
    """Whichever way a grid is turned, so that what is drawn outside is outside for all."""
    crs = CRS.from_epsg(2154)
    source = Grid(crs, Affine(1, 0, 0, 0, -1, 0), 9, 9)
    target = Grid(crs, Affine(2, 0, 0, 0, -2, 0), 4, 4)
    assert window_that_covers(source, Window(3, 3, 2, 2), target) == Window(1, 1, 2, 2)
    assert window_that_covers(source, Window(8, 8, 1, 1), target) is None


def test_a_mask_holds_the_pixels_of_all_windows() -> None:
    whole = np.zeros((12, 12), bool)
    windows = [Window(0, 0, 3, 5), Window(2, 4, 4, 4), Window(8, 8, 4, 4), Window(11, 0, 1, 1)]
    for window in windows:
        whole[window.slices] = True
    area = Window(2, 3, 8, 7)
    assert (mask_of(area, np.array(windows)) == whole[area.slices]).all()
    assert not mask_of(area, np.zeros((0, 4), np.int64)).any()
