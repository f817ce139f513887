"""Labels on another grid, in other classes, against the obvious way to do it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.warp import transform
from support import write_raster

from lcmap.dataset.inputs import open_input
from lcmap.errors import LabelBandError, OverlapError, UnknownLabelError, UsageError
from lcmap.imagery.labels import align_labels, label_classes
from lcmap.imagery.options import LabelOptions
from lcmap.nomenclature import Crosswalk, Nomenclature, load_crosswalk, load_nomenclature
from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window
from lcmap.raster.writing import RasterFormat, atomic_raster

TO_FLAIR7 = load_crosswalk("flair19:flair7")
FLAIR19 = load_nomenclature("flair19")
LAMBERT = CRS.from_epsg(2154)
CORNER = (721_104.0, 6_249_288.0)


def grid(height: int, width: int, pixel: float) -> Grid:
    return Grid(LAMBERT, Affine(pixel, 0, CORNER[0], 0, -pixel, CORNER[1]), width, height)


def codes(height: int = 24, width: int = 36, highest: int = 19) -> NDArray[np.uint8]:
    random = np.random.default_rng(5)
    return random.integers(0, highest + 1, (height, width)).astype("uint8")


def write(path: Path, labels: NDArray[Any], **options: Any) -> Path:
    return write_raster(path, labels[None], pixel=1.0, **options)


def aligned(path: Path, target: Grid, classes: Any = FLAIR19) -> NDArray[np.uint8]:
    with open_input(path) as labels:
        on_grid = align_labels(labels, classes, target)
        return on_grid.read(Window(0, 0, target.height, target.width))


def classes_of(options: LabelOptions) -> Nomenclature | Crosswalk:
    with open_input(options.path) as labels:
        return label_classes(labels, options)


def test_on_their_own_grid_they_are_as_they_were(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.tif", codes())
    assert np.array_equal(aligned(path, grid(24, 36, 1.0)), codes())


def test_crosswalk_is_that_of_the_nomenclature(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.tif", codes())
    values = aligned(path, grid(24, 36, 1.0), TO_FLAIR7)
    assert np.array_equal(values, TO_FLAIR7.apply(codes()))
    assert values.max() == 7


def test_finer_grid_takes_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.tif", codes())
    values = aligned(path, grid(72, 108, 1 / 3))
    assert np.array_equal(values, codes().repeat(3, axis=0).repeat(3, axis=1))


def test_coarser_grid_takes_the_majority_of_the_classes_wanted(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.tif", codes())
    values = aligned(path, grid(6, 9, 4.0), TO_FLAIR7)
    single_majority = 0
    for row, col in np.ndindex(6, 9):
        block = codes()[4 * row : 4 * row + 4, 4 * col : 4 * col + 4]
        votes = np.bincount(TO_FLAIR7.apply(block).ravel(), minlength=8)
        assert votes[values[row, col]] == votes.max()
        single_majority += int((votes == votes.max()).sum() == 1)
    assert single_majority > 20


def test_mostly_unlabelled_pixel_stays_so(tmp_path: Path) -> None:
    labels = np.zeros((4, 8), "uint8")
    labels[0, :4] = 1
    labels[:, 4:] = 1
    labels[0, 4:] = 0
    path = write(tmp_path / "labels.tif", labels, nodata=0)
    assert aligned(path, grid(1, 2, 4.0)).tolist() == [[0, 1]]


def test_ground_without_labels_is_zero(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.tif", np.full((4, 4), 3, "uint8"))
    values = aligned(path, grid(6, 8, 1.0))
    assert values[:4, :4].tolist() == [[3] * 4] * 4
    assert values.sum() == 48


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("uint8", 255), ("int16", -9999), ("int32", 77), ("float32", np.nan), ("float32", None)],
)
def test_nodata_of_any_kind_is_no_label(tmp_path: Path, dtype: str, nodata: float | None) -> None:
    labels = codes().astype(dtype)
    labels[3:9, 5:7] = np.nan if nodata is None else nodata
    path = write(tmp_path / "labels.tif", labels, nodata=nodata)
    expected = codes()
    expected[3:9, 5:7] = 0
    assert np.array_equal(aligned(path, grid(24, 36, 1.0)), expected)
    assert np.array_equal(
        aligned(path, grid(48, 72, 0.5)), expected.repeat(2, axis=0).repeat(2, axis=1)
    )


def test_masked_pixels_are_no_labels(tmp_path: Path) -> None:
    shown = np.ones((24, 36), bool)
    shown[3:9, 5:7] = False
    path = write(tmp_path / "labels.tif", codes(), mask=shown)
    assert np.array_equal(aligned(path, grid(24, 36, 1.0)), np.where(shown, codes(), 0))


def test_all_unknown_codes_are_named_with_the_file(tmp_path: Path) -> None:
    labels = codes()
    labels[0, 0], labels[20, 30] = 40, 21
    path = write(tmp_path / "labels.tif", labels)
    with pytest.raises(UnknownLabelError, match=r"labels\.tif: .*flair19.*: 21, 40"):
        aligned(path, grid(24, 36, 1.0))


def test_unknown_codes_are_found_though_the_majority_hides_them(tmp_path: Path) -> None:
    labels = np.ones((24, 36), "uint8")
    labels[5, 5] = 99
    path = write(tmp_path / "labels.tif", labels)
    with pytest.raises(UnknownLabelError, match="99"):
        aligned(path, grid(3, 4, 8.0))


def test_codes_on_other_ground_do_not_matter(tmp_path: Path) -> None:
    labels = codes()
    labels[20, 30] = 99
    path = write(tmp_path / "labels.tif", labels)
    assert np.array_equal(aligned(path, grid(10, 10, 1.0)), codes()[:10, :10])


@pytest.mark.parametrize("value", [300, 2.5])
def test_values_that_are_no_codes_are_refused(tmp_path: Path, value: float) -> None:
    labels = codes().astype("float32")
    labels[1, 1] = value
    path = write(tmp_path / "labels.tif", labels)
    with pytest.raises(UnknownLabelError, match=r"labels\.tif: .*" + f"{value:g}"):
        aligned(path, grid(24, 36, 1.0))


def test_image_given_for_labels_is_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "image.tif", np.ones((3, 4, 4), "uint8"))
    with pytest.raises(LabelBandError, match=r"image\.tif: has 3 bands, labels have one"):
        aligned(path, grid(4, 4, 1.0))


def test_labels_of_elsewhere_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.tif", codes(), corner=(100_000.0, 6_000_000.0))
    with pytest.raises(OverlapError, match=r"labels\.tif: covers no ground of the image"):
        aligned(path, grid(4, 4, 1.0))


def test_labels_in_another_crs_come_to_the_same_place(tmp_path: Path) -> None:
    degrees = Grid(CRS.from_epsg(4326), Affine(1e-4, 0, 3.26, 0, -1e-4, 43.34), 60, 50)
    x, y = 0.5 * (3.26 + 3.266), 0.5 * (43.34 + 43.335)
    (east,), (north,) = transform("EPSG:4326", LAMBERT, [x], [y])
    labels = np.full((100, 100), 2, "uint8")
    labels[:, 50:] = 4
    path = write_raster(
        tmp_path / "labels.tif", labels[None], pixel=4.0, corner=(east - 200, north + 200)
    )
    values = aligned(path, degrees)
    assert values[25, 20] == 2
    assert values[25, 40] == 4


def test_raster_that_says_its_classes_needs_no_name(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    flair7 = load_nomenclature("flair7")
    with atomic_raster(
        path,
        grid(24, 36, 1.0),
        RasterFormat(count=1, dtype="uint8", nodata=0, classes=flair7.class_table()),
        overwrite=False,
    ) as dataset:
        dataset.write(codes(highest=7), 1)
    assert classes_of(LabelOptions(path)) == flair7
    plain = write(tmp_path / "plain.tif", codes())
    with pytest.raises(UsageError, match=r"plain\.tif: does not say what its codes mean"):
        classes_of(LabelOptions(plain))
    assert classes_of(LabelOptions(plain, nomenclature="flair19")) == FLAIR19
    with pytest.raises(UsageError, match="drop one"):
        LabelOptions(plain, "flair19", "flair19:flair7").check()
