"""Labels on other grids: against the rule applied part by part, counts by hand, and GDAL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.warp import reproject, transform_bounds
from support import write_raster

from lcmap.raster import label_resampling
from lcmap.raster.alignment import to_pixels
from lcmap.raster.grid import Grid
from lcmap.raster.label_resampling import LabelsOnGrid, majority, parts_of_a_pixel
from lcmap.raster.windows import Window

LAMBERT, UTM = CRS.from_epsg(2154), CRS.from_epsg(32631)
X, Y = 721_104, 6_249_288
SOURCE = Grid(LAMBERT, Affine(10, 0, X, 0, -10, Y), width=120, height=100)
WEST, _, _, NORTH = transform_bounds(LAMBERT, UTM, *SOURCE.bounds)
TARGETS = {
    "finer": Grid(LAMBERT, Affine(1.7, 0, X + 46.3, 0, -1.7, Y - 87.9), 210, 180),
    "coarser": Grid(LAMBERT, Affine(31.3, 0, X, 0, -31.3, Y), 37, 31),
    "slightly coarser": Grid(LAMBERT, Affine(13.7, 0, X + 3.1, 0, -13.7, Y - 4.4), 80, 70),
    "beyond": Grid(LAMBERT, Affine(23, 0, X - 113.3, 0, -23, Y + 78.2), 70, 60),
    "turned": Grid(LAMBERT, Affine(14, 8.2, X + 96.2, 8.1, -14, Y - 187.1), 50, 40),
    "reprojected": Grid(UTM, Affine(26.1, 0, WEST + 40.4, 0, -26.1, NORTH - 60.7), 40, 36),
    "same": SOURCE,
}
NO_DATA = 200


@cache
def patches() -> NDArray[np.uint8]:
    """Labels 0 to 4 in patches of two sizes, with a hole of no data: [100, 120]."""
    random = np.random.default_rng(4)
    small = random.integers(0, 5, (100, 120))
    large = random.integers(0, 5, (20, 24)).repeat(5, 0).repeat(5, 1)
    labels = np.where(random.random((20, 24)).repeat(5, 0).repeat(5, 1) < 0.5, small, large)
    labels[30:41, 50:63] = NO_DATA
    return labels.astype(np.uint8)


@cache
def valid_labels() -> NDArray[np.uint8]:
    return np.where(patches() == NO_DATA, 0, patches()).astype(np.uint8)


def unchanged(pixels: NDArray[Any], name: str) -> NDArray[np.uint8]:
    return pixels.astype(np.uint8)


@contextmanager
def on_grid(
    folder: Path, target: Grid, labels: NDArray[Any] | None = None, to_codes: Any = unchanged
) -> Iterator[LabelsOnGrid]:
    labels = patches() if labels is None else labels
    path = write_raster(folder / "labels.tif", labels[None], pixel=10, nodata=NO_DATA)
    with rasterio.open(path) as dataset:
        yield LabelsOnGrid(dataset, target, "labels.tif", to_codes)


def read(folder: Path, target: Grid, **options: Any) -> NDArray[np.uint8]:
    with on_grid(folder, target, **options) as labels:
        return labels.read(Window(0, 0, *target.shape))


def scaled(down: float, across: float) -> Grid:
    return Grid(
        LAMBERT,
        SOURCE.transform @ Affine.scale(across, down),
        round(SOURCE.width / across),
        round(SOURCE.height / down),
    )


@pytest.mark.parametrize("name", TARGETS)
def test_a_window_is_the_same_part_of_the_whole(tmp_path: Path, name: str) -> None:
    target = TARGETS[name]
    with on_grid(tmp_path, target) as labels:
        expected = labels.read(Window(0, 0, *target.shape))
        assert expected.dtype == np.uint8 and len(np.unique(expected)) == 5

        @settings(max_examples=40, deadline=None)
        @given(st.data())
        def compare(data: st.DataObject) -> None:
            row = data.draw(st.integers(0, target.height - 1))
            col = data.draw(st.integers(0, target.width - 1))
            height = data.draw(st.integers(1, target.height - row))
            width = data.draw(st.integers(1, target.width - col))
            window = Window(row, col, height, width)
            assert np.array_equal(labels.read(window), expected[window.slices])

        compare()


def test_it_does_not_depend_on_how_much_is_held_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read(tmp_path, TARGETS["reprojected"])
    monkeypatch.setattr(label_resampling, "_PARTS_AT_ONCE", 300)
    (tmp_path / "again").mkdir()
    assert np.array_equal(read(tmp_path / "again", TARGETS["reprojected"]), expected)


def label_at(x: float, y: float) -> int | None:
    """Return the label of a point in label pixels; None on an edge, where rounding decides."""
    if min(abs(x - round(x)), abs(y - round(y))) < 1e-3:
        return None
    if not (0 <= x < SOURCE.width and 0 <= y < SOURCE.height):
        return 0
    return int(valid_labels()[int(y), int(x)])


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "same"])
def test_it_is_the_rule_applied_to_one_pixel_after_the_other(tmp_path: Path, name: str) -> None:
    target = TARGETS[name]
    values = read(tmp_path, target)
    down, across = parts_of_a_pixel(SOURCE, target)
    random = np.random.default_rng(0)
    pixels = random.integers(target.shape, size=(300, 2))
    places = np.array([
        (row + (i + 0.5) / down, col + (j + 0.5) / across)
        for row, col in pixels
        for i in range(down)
        for j in range(across)
    ])  # fmt: skip
    xs, ys = to_pixels(SOURCE, target, places[:, 1], places[:, 0])
    parts = np.stack([xs, ys], axis=1).reshape(len(pixels), -1, 2)
    checked = 0
    for (row, col), of_pixel in zip(pixels, parts, strict=True):
        labels = [label_at(x, y) for x, y in of_pixel]
        if None in labels:
            continue
        assert values[row, col] == min(set(labels), key=lambda code: (-labels.count(code), code))  # type: ignore[type-var]
        checked += 1
    assert checked > 150


@pytest.mark.parametrize("name", ["coarser", "slightly coarser", "beyond", "turned", "reprojected"])
def test_coarser_pixels_get_the_class_that_covers_most_of_them(tmp_path: Path, name: str) -> None:
    target = TARGETS[name]
    values = read(tmp_path, target)
    n = 40  # a dense sample measures areas
    rows, cols = (np.mgrid[: n * target.height, : n * target.width] + 0.5) / n
    xs, ys = to_pixels(SOURCE, target, cols.ravel(), rows.ravel())
    inside = (xs >= 0) & (xs < SOURCE.width) & (ys >= 0) & (ys < SOURCE.height)
    at = np.where(inside, ys, 0).astype(int), np.where(inside, xs, 0).astype(int)
    labels = np.where(inside, valid_labels()[at], 0).reshape(target.height, n, target.width, n)
    shares = np.stack([(labels == code).mean(axis=(1, 3)) for code in range(5)])
    first, second = np.sort(shares, axis=0)[[-1, -2]]
    clear = first - second > 0.2
    assert clear.mean() > 0.2
    assert np.array_equal(values[clear], shares.argmax(axis=0)[clear])


@pytest.mark.parametrize(("down", "across"), [(2, 2), (3, 3), (5, 5), (10, 10), (2, 5), (1, 4)])
def test_whole_numbers_of_label_pixels_are_counted(tmp_path: Path, down: int, across: int) -> None:
    target = scaled(down, across)
    values = read(tmp_path, target)
    for row, col in np.ndindex(target.shape):
        cell = valid_labels()[row * down : (row + 1) * down, col * across : (col + 1) * across]
        votes = np.bincount(cell.ravel(), minlength=256)[: cell.shape[0] * across + 5]
        assert values[row, col] == votes.argmax()  # the first, so the lowest, of the most


def warped(target: Grid, resampling: Resampling) -> NDArray[np.uint8]:
    result = np.zeros(target.shape, np.uint8)
    reproject(
        valid_labels() + 1,  # so that GDAL has 0 for what no source covers
        result,
        src_transform=SOURCE.transform,
        src_crs=SOURCE.crs,
        dst_transform=target.transform,
        dst_crs=target.crs,
        resampling=resampling,
    )
    return result


@pytest.mark.parametrize("ratio", [2, 4, 5])
def test_gdals_mode_agrees_where_one_class_has_the_most(tmp_path: Path, ratio: int) -> None:
    target = scaled(ratio, ratio)
    values = read(tmp_path, target)
    cells = valid_labels().reshape(target.height, ratio, target.width, ratio)
    votes = np.sort([(cells == code).sum(axis=(1, 3)) for code in range(5)], axis=0)
    single = votes[-1] > votes[-2]
    assert single.mean() > 0.5
    assert np.array_equal(values[single] + 1, warped(target, Resampling.mode)[single])


@pytest.mark.parametrize("ratio", [0.5, 0.2, 1.0])
def test_gdals_nearest_agrees_where_the_grid_is_no_coarser(tmp_path: Path, ratio: float) -> None:
    target = scaled(ratio, ratio)
    assert np.array_equal(read(tmp_path, target) + 1, warped(target, Resampling.nearest))


def test_classes_that_merge_vote_together(tmp_path: Path) -> None:
    labels = np.array([[1, 1, 2], [2, 3, 3], [3, 1, 3]], np.uint8)
    target = Grid(LAMBERT, SOURCE.transform @ Affine.scale(3), 1, 1)
    assert read(tmp_path, target, labels=labels).tolist() == [[3]]
    (tmp_path / "merged").mkdir()
    merged = np.array([0, 5, 5, 7], np.uint8)
    values = read(
        tmp_path / "merged", target, labels=labels, to_codes=lambda pixels, name: merged[pixels]
    )
    assert values.tolist() == [[5]]


def test_no_label_is_a_class_like_others_and_wins_ties(tmp_path: Path) -> None:
    labels = np.full((4, 8), NO_DATA, np.uint8)
    labels[:2, :4] = 3
    labels[:2, 4:], labels[2:, 4:] = 2, 1
    labels[0, 4] = 9
    target = Grid(LAMBERT, SOURCE.transform @ Affine.scale(4), 3, 1)
    # half no label; half 1 and a little less than half 2; beyond the raster
    assert read(tmp_path, target, labels=labels).tolist() == [[0, 1, 0]]


def test_labels_of_any_dtype_reach_the_conversion(tmp_path: Path) -> None:
    labels = np.full((100, 120), -5, np.int16)
    labels[3, 4] = NO_DATA
    seen = set()

    def convert(pixels: NDArray[Any], name: str) -> NDArray[np.uint8]:
        seen.update((pixels.dtype.name, name, *np.unique(pixels).tolist()))
        return np.where(pixels == -5, 8, 0).astype(np.uint8)

    values = read(tmp_path, TARGETS["beyond"], labels=labels, to_codes=convert)
    assert seen == {"int16", "labels.tif", -5, 0}
    assert np.unique(values).tolist() == [0, 8]


@pytest.mark.parametrize(
    ("size", "parts"), [(0.3, 1), (1, 1), (1.005, 1), (1.5, 6), (2, 6), (3, 6), (4, 8), (6.7, 7)]
)
def test_parts_are_few_and_fit_the_label_pixels(size: float, parts: int) -> None:
    assert parts_of_a_pixel(SOURCE, scaled(size, 1)) == (parts, 1)
    assert parts_of_a_pixel(SOURCE, scaled(1, size)) == (1, parts)


def test_turned_pixels_are_measured_along_their_own_sides() -> None:
    turned = SOURCE.transform @ Affine.rotation(90) @ Affine.scale(4, 0.5)
    assert parts_of_a_pixel(SOURCE, Grid(LAMBERT, turned, 9, 9)) == (1, 8)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 20), st.integers(1, 20), st.data())
def test_majority_is_the_commonest_code(
    height: int, width: int, down: int, across: int, data: st.DataObject
) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 999)))
    codes = random.choice([0, 1, 7, 255], (height * down, width * across)).astype(np.uint8)
    spread = np.arange(len(codes)), np.arange(codes.shape[1])
    found = majority(codes, *spread, down, across)
    for row, col in np.ndindex(height, width):
        cell = codes[row * down : (row + 1) * down, col * across : (col + 1) * across]
        assert found[row, col] == np.bincount(cell.ravel()).argmax()
