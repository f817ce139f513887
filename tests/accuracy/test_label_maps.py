"""Label rasters on the grid of another, held against GDAL's nearest neighbour."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import reproject
from small_labels import WriteLabels

from lcmap.accuracy import label_maps
from lcmap.accuracy.label_maps import (
    LabelMap,
    describe_resampling,
    open_parts,
)
from lcmap.accuracy.label_raster import LabelFile, open_labels
from lcmap.accuracy.label_views import View, classes_of
from lcmap.dataset.inputs import InputOptions
from lcmap.errors import (
    GridMismatchError,
)
from lcmap.nomenclature import load_nomenclature
from lcmap.raster.windows import iter_blocks

AS_IT_IS = classes_of(load_nomenclature("topo6"))  # which has no code for no label
WEST, NORTH = 700_000.0, 6_250_000.0


def random_codes(rows: int, cols: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(1, 255, (rows, cols)).astype(np.uint8)


def read_all(
    parts: list[Path], reference: Path, block: int = 7, view: View = AS_IT_IS
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    with ExitStack() as stack:
        target = stack.enter_context(open_labels(reference))
        label_map = open_parts(
            [LabelFile(path) for path in parts], target, stack, InputOptions(), view
        )
        codes = np.zeros(target.grid.shape, np.uint8)
        covered = np.zeros(target.grid.shape, bool)
        for window in iter_blocks(*target.grid.shape, block):
            codes[window.slices], covered[window.slices] = label_map.read(window)
    return codes, covered


def test_the_same_grid_is_read_as_it_is(write_labels: WriteLabels) -> None:
    codes = random_codes(20, 30)
    path = write_labels("map.tif", codes)
    found, covered = read_all([path], path)
    assert (found == codes).all()
    assert covered.all()


def test_a_map_shifted_by_whole_pixels_is_read_where_it_is(write_labels: WriteLabels) -> None:
    codes = random_codes(20, 30)
    path = write_labels("map.tif", codes, west=WEST + 5, north=NORTH + 3)
    reference = write_labels("ref.tif", random_codes(20, 30))
    found, covered = read_all([path], reference)
    assert (found[:17, 5:] == codes[3:, :25]).all()
    assert covered[:17, 5:].all()
    assert covered.sum() == 17 * 25
    assert not found[~covered].any()


@pytest.mark.parametrize("gsd", [0.21, 0.73, 1.7, 10.0])
@pytest.mark.parametrize("pixels_at_once", [8, 1 << 24])
def test_another_pixel_size_is_read_as_gdals_nearest_neighbour(
    write_labels: WriteLabels, monkeypatch: pytest.MonkeyPatch, gsd: float, pixels_at_once: int
) -> None:
    monkeypatch.setattr(label_maps, "_PIXELS_AT_ONCE", pixels_at_once)
    size = int(40 / gsd) + 1
    codes = random_codes(size, size)
    path = write_labels("map.tif", codes, gsd=gsd, west=WEST + 3.217, north=NORTH - 2.133)
    reference = write_labels("ref.tif", random_codes(41, 33))
    found, covered = read_all([path], reference)
    expected = np.zeros((41, 33), np.uint8)
    with rasterio.open(path) as source, rasterio.open(reference) as target:
        reproject(
            rasterio.band(source, 1),
            expected,
            dst_transform=target.transform,
            dst_crs=target.crs,
            resampling=Resampling.nearest,
        )
    assert (found == expected).all()
    assert (covered == (expected > 0)).all()


def test_parts_make_one_map_and_the_first_counts_where_they_overlap(
    write_labels: WriteLabels,
) -> None:
    reference = write_labels("ref.tif", random_codes(10, 30))
    left = write_labels("left.tif", np.full((10, 12), 1, np.uint8))
    right = write_labels("right.tif", np.full((10, 12), 2, np.uint8), west=WEST + 10)
    away = write_labels("away.tif", np.full((10, 12), 3, np.uint8), west=WEST + 500)
    found, covered = read_all([left, right, away], reference)
    assert (found[:, :12] == 1).all()
    assert (found[:, 12:22] == 2).all()
    assert not covered[:, 22:].any()


def test_what_is_no_label_in_a_part_is_left_to_the_others(write_labels: WriteLabels) -> None:
    reference = write_labels("ref.tif", random_codes(1, 3))
    first = write_labels("first.tif", np.array([[255, 254, 255]], np.uint8))
    second = write_labels("second.tif", np.array([[2, 3, 255]], np.uint8))
    view = classes_of(load_nomenclature("oso23"))
    found, covered = read_all([first, second], reference, view=view)
    assert found.tolist() == [[2, 254, 0]], "a code that is unknown is not hidden"
    assert covered.all()


def test_another_crs_is_refused_with_the_remedy(write_labels: WriteLabels) -> None:
    with (
        open_labels(write_labels("ref.tif", random_codes(2, 2))) as reference,
        open_labels(write_labels("map.tif", random_codes(2, 2), crs="EPSG:32631")) as part,
        pytest.raises(GridMismatchError, match=r"map\.tif: is in EPSG:32631, .* in EPSG:2154"),
    ):
        LabelMap([part], reference)


def test_a_crs_that_no_code_names_is_shown_in_short(write_labels: WriteLabels) -> None:
    local = "+proj=tmerc +lon_0=1.234 +ellps=GRS80"
    with (
        open_labels(write_labels("ref.tif", random_codes(2, 2))) as reference,
        open_labels(write_labels("map.tif", random_codes(2, 2), crs=local)) as part,
        pytest.raises(GridMismatchError) as caught,
    ):
        LabelMap([part], reference)
    assert "map.tif: is in unknown, the reference" in str(caught.value)


def test_a_rotated_map_is_refused(write_labels: WriteLabels) -> None:
    turned = rasterio.Affine(1, 0.2, WEST, 0.2, -1, NORTH)
    with (
        open_labels(write_labels("ref.tif", random_codes(20, 20))) as reference,
        open_labels(write_labels("map.tif", random_codes(20, 20), transform=turned)) as part,
        pytest.raises(GridMismatchError, match=r"map\.tif: is rotated against"),
    ):
        LabelMap([part], reference)


def test_a_south_up_map_is_read_where_it_is(write_labels: WriteLabels) -> None:
    codes = random_codes(6, 5)
    upside_down = rasterio.Affine(1, 0, WEST, 0, 1, NORTH - 6)
    path = write_labels("map.tif", codes[::-1], transform=upside_down)
    found, covered = read_all([path], write_labels("ref.tif", random_codes(6, 5)))
    assert (found == codes).all()
    assert covered.all()


def test_resampling_is_described_only_where_there_is_some(write_labels: WriteLabels) -> None:
    reference_path = write_labels("ref.tif", random_codes(20, 20))
    same = write_labels("same.tif", random_codes(9, 9), west=WEST + 4)
    coarse = write_labels("coarse.tif", random_codes(9, 9), gsd=10)
    askew = write_labels("askew.tif", random_codes(9, 9), west=WEST + 0.4)
    with open_labels(reference_path) as reference:
        for path, text in ((same, ""), (coarse, "pixel size 10 and 1"), (askew, "another grid")):
            with open_labels(path) as part:
                line = describe_resampling(part, reference)
                assert text in line
                assert bool(line) == bool(text)
