"""Stacks: which pixels are valid, what they hold, and which bands are taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from small_imagery import bands_in
from support import write_raster

from lcmap.errors import DataError, NoCrsError, OverlapError, UsageError
from lcmap.imagery.stack import as_dtype, choose_bands, name_bands, stack
from lcmap.raster.windows import Window

SHAPE = (20, 30)
METHODS = ["nearest", "cubic", "bilinear", "average"]


def noise(bands: int, dtype: str = "uint8", low: int = 1) -> NDArray[Any]:
    return np.random.default_rng(7).integers(low, 200, (bands, *SHAPE)).astype(dtype)


def compute(*paths: Path, like: Path | None = None, method: str = "nearest") -> tuple[Any, ...]:
    """Return the stack of files on the first one's grid, or like's; its image; its valid pixels."""
    sources = [bands_in(path) for path in paths]
    grid = bands_in(like or paths[0]).grid
    stacked = stack(sources, grid, Resampling[method])
    image, valid = stacked.read(Window(0, 0, grid.height, grid.width))
    stacked.close()
    return stacked, image, valid


def test_bands_of_files_follow_one_another(tmp_path: Path) -> None:
    a = write_raster(tmp_path / "a.tif", noise(2), names=("red", "green"))
    b = write_raster(tmp_path / "b.tif", noise(1) + 20, names=("nir",))
    stacked, image, valid = compute(a, b)
    assert stacked.names == ("red", "green", "nir")
    assert (stacked.dtype, stacked.nodata, stacked.masked) == ("uint8", None, False)
    assert np.array_equal(image, np.concatenate([noise(2), noise(1) + 20]))
    assert valid.all()


def test_pixel_is_invalid_where_any_band_is(tmp_path: Path) -> None:
    image = noise(2, "int16")
    image[0, 3, 4] = image[1, 5, 6] = -1
    stacked, out, valid = compute(write_raster(tmp_path / "a.tif", image, nodata=-1))
    assert stacked.nodata == -1
    assert np.argwhere(~valid).tolist() == [[3, 4], [5, 6]]
    assert (out[:, ~valid] == -1).all()
    assert np.array_equal(out[:, valid], image[:, valid])


@pytest.mark.parametrize("method", ["cubic", "bilinear", "average"])
@pytest.mark.parametrize(
    ("dtype", "nodata", "declared"),
    [("int16", -10_000, True), ("uint8", 0, True), ("float32", -9999, True),
     ("float32", np.nan, True), ("float64", np.nan, False)],
)  # fmt: skip
@pytest.mark.parametrize("with_mask", [False, True])
def test_what_one_band_lacks_is_in_no_bands_kernel(
    tmp_path: Path, dtype: str, nodata: float, declared: bool, with_mask: bool, method: str
) -> None:
    """The same as GDAL's warp of bands that were masked together before."""
    image = noise(3, dtype)
    image[1, 6:11] = image[0, 3, 4] = image[2, :, 20] = image[:, 15, 2] = nodata
    shown = np.ones(SHAPE, bool)
    shown[:, 10:12] = not with_mask
    path = write_raster(
        tmp_path / "a.tif",
        image,
        nodata=nodata if declared else None,
        mask=shown if with_mask else None,
    )
    lacking = (np.isnan(image) | (image == nodata)).any(axis=0) | ~shown
    together = write_raster(
        tmp_path / "b.tif", np.where(lacking, np.array(nodata, dtype), image), nodata=nodata
    )
    like = write_raster(tmp_path / "like.tif", np.zeros((1, 40, 60), "uint8"), pixel=0.4)
    _, out, valid = compute(path, like=like, method=method)
    with (
        rasterio.open(like) as grid,
        rasterio.open(together) as dataset,
        WarpedVRT(
            dataset, crs=grid.crs, transform=grid.transform, width=60, height=40,
            resampling=Resampling[method], src_nodata=nodata, nodata=nodata,
            tolerance=1e-12, XSCALE="2", YSCALE="2",
        ) as warped,
    ):  # fmt: skip
        expected = warped.read()
    assert np.array_equal(out, expected, equal_nan=True)
    assert 0 < valid.sum() < valid.size
    assert np.array_equal(~valid, (np.isnan(expected) | (expected == nodata)).any(axis=0))


def test_zero_stays_a_value_where_nothing_says_otherwise(tmp_path: Path) -> None:
    dark = np.zeros((1, *SHAPE), "uint8")
    path = write_raster(tmp_path / "a.tif", dark)
    like = write_raster(tmp_path / "like.tif", noise(1), pixel=0.5)
    for method in ("nearest", "cubic", "bilinear", "average"):
        stacked, image, valid = compute(path, like=like, method=method)
        assert not stacked.masked
        assert valid.all()
        assert (image == 0).all()


def test_image_reaching_beyond_gets_a_mask_and_keeps_its_zeros(tmp_path: Path) -> None:
    image = noise(1, low=0)
    image[0, :4] = 0
    path = write_raster(tmp_path / "a.tif", image)
    # shifted by 10 px to the right and 5 down
    like = write_raster(tmp_path / "like.tif", noise(1), corner=(721_112.0, 6_249_284.0))
    stacked, out, valid = compute(path, like=like)
    assert (stacked.dtype, stacked.nodata, stacked.masked) == ("uint8", None, True)
    expected = np.zeros(SHAPE, bool)
    expected[:15, :20] = True
    assert np.array_equal(valid, expected)
    assert np.array_equal(out[0, :15, :20], image[0, 5:, 10:])


def test_values_are_not_mixed_with_nodata(tmp_path: Path) -> None:
    image = np.full((1, *SHAPE), 100, "int16")
    image[0, :, :15] = -9999
    path = write_raster(tmp_path / "a.tif", image, nodata=-9999)
    like = write_raster(tmp_path / "like.tif", np.ones((1, 50, 80), "uint8"), pixel=0.3)
    for method in ("cubic", "bilinear", "average"):
        stacked, out, valid = compute(path, like=like, method=method)
        assert stacked.nodata == -9999
        assert set(np.unique(out[:, valid])) == {100}
        assert valid.any()
        assert not valid.all()


def test_float_nan_is_nodata(tmp_path: Path) -> None:
    image = noise(1, "float32")
    image[0, 2, 3], image[0, 4, 5] = np.nan, np.inf
    stacked, out, valid = compute(write_raster(tmp_path / "a.tif", image))
    assert np.isnan(stacked.nodata)
    assert np.argwhere(~valid).tolist() == [[2, 3], [4, 5]]
    assert np.isnan(out[0, ~valid]).all()


def test_float_nan_takes_the_declared_nodata_value(tmp_path: Path) -> None:
    image = noise(1, "float32")
    image[0, 2, 3] = np.nan
    stacked, out, valid = compute(write_raster(tmp_path / "a.tif", image, nodata=-9999))
    assert stacked.nodata == out[0, 2, 3] == -9999
    assert np.count_nonzero(~valid) == 1


def test_mask_inside_a_file_is_heeded(tmp_path: Path) -> None:
    image = noise(2, low=0)
    shown = np.ones(SHAPE, bool)
    shown[:, 15:] = False
    path = write_raster(tmp_path / "a.tif", image, mask=shown)
    stacked, out, valid = compute(path)
    assert stacked.masked
    assert np.array_equal(valid, shown)
    assert (out[:, ~shown] == 0).all()
    assert np.array_equal(out[:, shown], image[:, shown])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_mask_inside_a_file_is_heeded_on_any_grid(tmp_path: Path, dtype: str, method: str) -> None:
    image, shown = half_hidden(3, dtype)
    path = write_raster(tmp_path / "a.tif", image, mask=shown)
    check_half_on_other_grids(path, tmp_path, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("opaque", [1, 255])
def test_transparency_is_heeded_on_any_grid(tmp_path: Path, opaque: int, method: str) -> None:
    image, shown = half_hidden(4, "uint8")
    image[3] = opaque * shown
    path = write_raster(tmp_path / "a.tif", image, photometric="RGB", alpha="YES")
    check_half_on_other_grids(path, tmp_path, method)


def half_hidden(bands: int, dtype: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return an image of 100 that is 0 where it is to be hidden, and where it is to be shown."""
    shown = np.broadcast_to(np.arange(SHAPE[1]) < 15, SHAPE)
    return np.broadcast_to(100 * shown, (bands, *SHAPE)).astype(dtype), shown


def check_half_on_other_grids(path: Path, folder: Path, method: str) -> None:
    """Check that the image of `half_hidden` is shown on finer and coarser grids where it was."""
    for pixel, rows, cols in ((0.4, 40, 60), (1.6, 10, 15)):
        like = write_raster(folder / "like.tif", np.ones((1, rows, cols), "uint8"), pixel=pixel)
        stacked, out, valid = compute(path, like=like, method=method)
        assert stacked.nodata is None or np.isnan(stacked.nodata)
        assert set(np.unique(out[:, valid])) == {100}
        edge = 15 * 0.8 / pixel  # from which pixel on it is hidden
        kernel = {"nearest": 1, "average": 1, "bilinear": 1, "cubic": 2}[method] * max(1, edge / 15)
        assert valid[:, : int(edge)].all()
        assert not valid[:, int(edge + kernel) + 1 :].any()


def test_transparency_is_a_mask_and_no_band(tmp_path: Path) -> None:
    image = noise(4, low=0)
    image[3] = np.where(np.arange(SHAPE[1]) < 10, 0, 255)
    path = write_raster(tmp_path / "a.tif", image, photometric="RGB", alpha="YES")
    stacked, out, valid = compute(path)
    assert len(stacked.names) == 3
    assert valid.tolist() == (image[3] > 0).tolist()
    assert np.array_equal(out[:, valid], image[:3, valid])


def test_band_named_nir_is_a_band_whatever_gdal_takes_it_for(tmp_path: Path) -> None:
    image = noise(4, low=0)
    image[3, :5] = 0
    names = ("red", "green", "blue", "nir")
    path = write_raster(tmp_path / "a.tif", image, photometric="RGB", alpha="YES", names=names)
    stacked, out, valid = compute(path)
    assert stacked.names == names
    assert valid.all()
    assert np.array_equal(out, image)
    like = write_raster(tmp_path / "like.tif", np.ones((1, 40, 60), "uint8"), pixel=0.4)
    _, out, valid = compute(path, like=like)
    assert valid.all()
    assert np.array_equal(out, image.repeat(2, axis=1).repeat(2, axis=2))


def test_different_nodata_values_become_a_mask(tmp_path: Path) -> None:
    first, second = noise(1, "int16"), noise(1, "int16")
    first[0, 0, 0], second[0, 1, 1], second[0, 2, 2] = -1, 0, -1
    a = write_raster(tmp_path / "a.tif", first, nodata=-1)
    b = write_raster(tmp_path / "b.tif", second, nodata=0)
    stacked, out, valid = compute(a, b)
    assert (stacked.nodata, stacked.masked) == (None, True)
    assert np.argwhere(~valid).tolist() == [[0, 0], [1, 1]]
    assert out[1, 2, 2] == -1  # a value like any other in the second file


def test_dtype_holds_what_all_files_hold(tmp_path: Path) -> None:
    a = write_raster(tmp_path / "a.tif", noise(1, "uint16") * 300)
    b = write_raster(tmp_path / "b.tif", -noise(1, "int16"))
    stacked, out, _ = compute(a, b)
    assert stacked.dtype == out.dtype == "int32"
    assert np.array_equal(out, np.stack([noise(1)[0].astype(int) * 300, -noise(1)[0].astype(int)]))


@pytest.mark.parametrize("nodata", ["-9999", "nan", "0.5", "256"])
def test_nodata_value_that_no_pixel_can_have_is_none(tmp_path: Path, nodata: str) -> None:
    write_raster(tmp_path / "a.tif", noise(1), pixel=1.0)
    vrt = tmp_path / "a.vrt"
    vrt.write_text(
        '<VRTDataset rasterXSize="30" rasterYSize="20"><SRS>EPSG:2154</SRS>'
        '<GeoTransform>0, 1, 0, 0, 0, -1</GeoTransform><VRTRasterBand dataType="Byte" band="1">'
        f"<NoDataValue>{nodata}</NoDataValue><SimpleSource><SourceFilename relativeToVRT='1'>a.tif"
        "</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    assert bands_in(vrt, allow_vrt=True).nodata is None


def test_no_common_ground_is_an_error(tmp_path: Path) -> None:
    a = write_raster(tmp_path / "a.tif", noise(1))
    b = write_raster(tmp_path / "b.tif", noise(1), corner=(100_000, 6_000_000))
    with pytest.raises(OverlapError, match=r"b\.tif: covers no ground"):
        compute(a, b)


def test_image_without_a_crs_is_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(1), epsg=None)
    with pytest.raises(NoCrsError, match=r"a\.tif: has no coordinate reference .*; .assume_crs"):
        bands_in(path)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_are_refused(tmp_path: Path, dtype: str) -> None:
    with rasterio.open(write_raster(tmp_path / "real.tif", noise(1))) as real:
        profile = real.profile | {"dtype": dtype}
    with rasterio.open(tmp_path / "a.tif", "w", **profile):
        pass
    with pytest.raises(DataError, match=f"a.tif: has {dtype} values; give real numbers"):
        bands_in(tmp_path / "a.tif")


@settings(deadline=None)
@given(
    values=hnp.arrays(np.float32, 20, elements=st.floats(-400, 400, width=32)),
    dtype=st.sampled_from(["uint8", "int8", "uint16", "int16"]),
    data=st.data(),
)
def test_values_are_rounded_into_the_dtype_beside_nodata(
    values: NDArray[np.float32], dtype: str, data: Any
) -> None:
    info = np.iinfo(dtype)
    nodata = data.draw(st.none() | st.integers(max(info.min, -400), min(info.max, 400)))
    found = as_dtype(values, dtype, nodata)
    assert found.dtype == dtype
    for value, got in zip(values.tolist(), found.tolist(), strict=True):
        expected = min(max(round(value), info.min), info.max)
        if expected == nodata:
            assert abs(got - expected) == 1
        else:
            assert got == expected


def test_floats_stay_and_keep_off_nodata() -> None:
    found = as_dtype(np.array([0.0, 1.5, -9999.0]), "float32", -9999.0)
    assert found[:2].tolist() == [0, 1.5]
    assert found[2] != -9999
    assert found[2] == pytest.approx(-9999)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two files of two bands, one name in both."""
    return [
        write_raster(tmp_path / "may.tif", noise(2), names=("B2", "B3")),
        write_raster(tmp_path / "july.tif", noise(2) + 20, names=("B3", "B8")),
    ]


@pytest.mark.parametrize(
    ("wanted", "bands"),
    [
        (["1", "2", "3", "4"], [(0, 1), (0, 2), (1, 1), (1, 2)]),
        (["b8", " B2"], [(1, 2), (0, 1)]),
        (["4", "4"], [(1, 2), (1, 2)]),
        (["3", "1", "2"], [(1, 1), (0, 1), (0, 2)]),
    ],
)
def test_bands_are_chosen_by_number_or_name(
    files: list[Path], wanted: list[str], bands: list[tuple[int, int]]
) -> None:
    chosen = choose_bands([bands_in(path) for path in files], wanted)
    assert [(files.index(s.path), index) for s in chosen for index in s.indexes] == bands


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("B3", r"B3: bands 2, 3 have this name; choose one by its number"),
        ("0", "0: no such band; there are: 1 B2, 2 B3, 3 B3, 4 B8"),
        ("5", "5: no such band"),
        ("B9", "B9: no such band"),
        ("", "no such band"),
    ],
)
def test_band_that_is_not_there_is_said_with_those_that_are(
    files: list[Path], wanted: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        choose_bands([bands_in(path) for path in files], [wanted])


def names_of(sources: Any) -> list[str]:
    return [name for source in sources for name in source.names]


def test_names_given_take_the_place_of_those_there(files: list[Path]) -> None:
    sources = [bands_in(path) for path in files]
    assert names_of(name_bands(sources, list("abcd"))) == list("abcd")
    with pytest.raises(UsageError, match=r"names 3 band\(s\) of 4"):
        name_bands(sources, list("abc"))
    with pytest.raises(UsageError, match="not all different"):
        name_bands(sources, list("abcA"))


def test_name_in_two_files_is_told_apart_by_the_files(files: list[Path]) -> None:
    sources = [bands_in(path) for path in files]
    assert names_of(name_bands(sources, None)) == ["B2", "may B3", "july B3", "B8"]
    assert names_of(name_bands([sources[0], sources[0]], None)) == [
        f"band {i}" for i in range(1, 5)
    ]


def test_file_of_one_band_names_it(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "T31TEJ_B08.tif", noise(1))
    assert bands_in(path).names == ("T31TEJ_B08",)
