"""Where overlapping rasters lie on one grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.merge import merge
from support import write_raster

from lcmap.errors import GridMismatchError, NoCrsError, OverlapError, UsageError
from lcmap.raster import mosaic
from lcmap.raster.grid import Grid
from lcmap.raster.mosaic import Mosaic, mosaic_of
from lcmap.raster.windows import Window

LAMBERT = CRS.from_epsg(2154)
WINDOWS = st.lists(
    st.builds(
        Window, st.integers(-30, 30), st.integers(-30, 30), st.integers(1, 25), st.integers(1, 25)
    ),
    min_size=1,
    max_size=8,
)


def grid(row: int = 0, col: int = 0, height: int = 20, width: int = 30, gsd: float = 0.8) -> Grid:
    transform = Affine(gsd, 0, 700_000.4 + col * 0.8, 0, -gsd, 6_300_000.8 - row * 0.8)
    return Grid(LAMBERT, transform, width, height)


@given(WINDOWS)
def test_every_pixel_is_where_it_was(windows: list[Window]) -> None:
    grids = [grid(*window) for window in windows]
    found = mosaic_of(grids, [f"{i}.tif" for i in range(len(grids))])
    for window, own in zip(found.windows, grids, strict=True):
        assert found.grid.subgrid(window).matches(own)
        assert window.clipped(*found.grid.shape) == window
    # no smaller grid holds all
    assert min(w.row for w in found.windows) == min(w.col for w in found.windows) == 0
    assert max(w.stop_row for w in found.windows) == found.grid.height
    assert max(w.stop_col for w in found.windows) == found.grid.width


@given(WINDOWS, st.integers(0, 3))
def test_the_raster_that_makes_the_grid_large_is_named(windows: list[Window], apart: int) -> None:
    windows = [*windows, windows[0].shifted(200 * apart, 70 * apart)]
    names = [f"{i}.tif" for i in range(len(windows))]
    area = sum(w.height * w.width for w in windows)

    def side(some: list[Window]) -> int:
        tall = max(w.stop_row for w in some) - min(w.row for w in some)
        return tall * (max(w.stop_col for w in some) - min(w.col for w in some))

    with_logs = pytest.MonkeyPatch()
    said: list[str] = []
    with with_logs.context() as patch:
        patch.setattr(mosaic.logger, "warning", lambda text, *values: said.append(text % values))
        grids = [grid(*window) for window in windows]
        if area < 1e-4 * side(windows):
            with pytest.raises(OverlapError, match="lies so far"):
                mosaic_of(grids, names)
            return
        mosaic_of(grids, names)
    left = [side(windows[:i] + windows[i + 1 :]) for i in range(len(windows))]
    if 4 * area < side(windows) and 2 * min(left) < side(windows):
        (line,) = said
        assert line == (
            f"{names[left.index(min(left))]}: lies far from the other images: the map is "
            f"{side(windows) / 1e6:.3g} megapixels, {min(left) / 1e6:.3g} without it"
        )
    else:
        assert not said


@pytest.mark.parametrize("covered", [False, True])
def test_how_many_rasters_a_block_shows(covered: bool) -> None:
    # 20 x 20 rasters of 64 px, each of which covers a quarter of the next
    windows = tuple(Window(48 * r, 48 * c, 64, 64) for r in range(20) for c in range(20))
    size = 48 * 19 + 64
    made = Mosaic(Grid(LAMBERT, grid().transform, size, size), windows)
    order = np.random.default_rng(0).permutation(len(windows)) + 1
    for side in (16, 48, 200, 2000):
        owners = np.zeros((size, size), int)
        for number in order[::-1]:
            owners[windows[number - 1].slices] = number
        blocks = [
            Window(row, col, side, side).clipped(size, size)
            for row in range(0, size, side)
            for col in range(0, size, side)
        ]
        if covered:
            counts = [len(list(made.meeting(block, order))) for block in blocks]
        else:
            counts = [len(np.unique(owners[block.slices])) for block in blocks]
        found = made.seen_in_block(side, [*order], covered=covered)
        assert found == pytest.approx(np.mean(counts), rel=0.2)


def test_a_raster_at_another_place_of_the_earth_is_refused() -> None:
    with pytest.raises(OverlapError, match=r"b\.tif: lies so far .* 6e-10 % of a map of 3.04e"):
        mosaic_of([grid(), grid(row=9_000_000, col=33_800_000), grid(row=20)], ["a", "b.tif", "c"])
    mosaic_of([grid(), grid(row=1000, col=1000)], ["a.tif", "b.tif"])


@given(WINDOWS, st.randoms())
def test_what_meets_a_window_and_how_many_lie_on_a_pixel(windows: list[Window], random) -> None:
    counts = np.zeros((120, 120), int)
    for window in windows:
        counts[window.shifted(40, 40).slices] += 1
    made = Mosaic(grid(), tuple(windows))
    assert made.depth == counts.max()
    order = random.sample(range(1, len(windows) + 1), len(windows))
    wanted = Window(-10, 5, 12, 9)
    pixels = {(r, c) for r in range(-10, 2) for c in range(5, 14)}
    assert list(made.meeting(wanted, order)) == [
        number
        for number in order
        if any(
            w.row <= r < w.stop_row and w.col <= c < w.stop_col
            for r, c in pixels
            for w in [windows[number - 1]]
        )
    ]


@pytest.mark.filterwarnings("ignore:Use `@`:PendingDeprecationWarning")  # rasterio's own
def test_the_grid_is_that_of_gdal_s_merge(tmp_path: Path) -> None:
    paths = [
        write_raster(tmp_path / f"{i}.tif", np.ones((1, *shape), np.uint8), corner=(x, y))
        for i, (shape, x, y) in enumerate(
            [((20, 30), 700_000, 6_200_000), ((40, 10), 699_992, 6_200_008)]
        )
    ]
    opened = [rasterio.open(path) for path in paths]
    found = mosaic_of([Grid.of(dataset) for dataset in opened], ["a", "b"])
    pixels, transform = merge(opened)
    assert found.grid.shape == pixels.shape[1:]
    assert found.grid.transform.almost_equals(transform)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (grid(gsd=1.6), "does not lie on the pixels of a.tif.*-tr 0.8 0.8 -tap"),
        (grid(row=0.5), "does not lie on the pixels of a.tif"),
        (Grid(CRS.from_epsg(32631), grid().transform, 5, 5), "another coordinate reference"),
    ],
)
def test_rasters_between_the_pixels_are_refused(other: Grid, message: str) -> None:
    with pytest.raises(GridMismatchError, match=f"b.tif: .*{message}"):
        mosaic_of([grid(), other], ["a.tif", "b.tif"])


def test_a_raster_without_a_place_is_refused() -> None:
    nowhere = Grid(None, grid().transform, 5, 5)
    for grids, name in (([grid(), nowhere], "b.tif"), ([nowhere, grid()], "a.tif")):
        with pytest.raises(NoCrsError, match=f"{name}: has no coordinate reference system"):
            mosaic_of(grids, ["a.tif", "b.tif"])


def test_more_rasters_than_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosaic, "MOST_RASTERS", 2)
    with pytest.raises(UsageError, match="3 images: are more than 2"):
        mosaic_of([grid()] * 3, ["a", "b", "c"])
