"""lcmap prepare on Sentinel-2 products, run as a user would; then its outputs are opened."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from small_sentinel2 import (
    CORNER,
    EPSG,
    PIXELS,
    SIZE,
    TEN,
    at_ten_metres,
    metadata,
    reflectance,
    write,
    write_gml,
    write_l1c,
    write_l2a,
    write_old_l1c,
    write_theia,
    write_theia_composite,
)
from support import Run, write_raster

from lcmap.raster.quantile_tags import read_quantiles

Lcmap = Callable[..., Run]
NODATA = -10_000
NEAREST = ("--resampling", "nearest")


def ten_bands(day: str = "2018-07-05") -> NDArray[np.int16]:
    return np.stack([at_ten_metres(reflectance(band, day)) for band in TEN])


def read(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        values: NDArray[Any] = dataset.read()
    return values


def random_mask(n: int, seed: int = 1, share: float = 0.2) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((n, n)) < share


@pytest.mark.parametrize("baseline", ["02.06", "05.00"])
@pytest.mark.parametrize("write_product", [write_l1c, write_l2a], ids=["L1C", "L2A"])
def test_safe_is_reflectance_on_the_ten_metre_grid(
    lcmap: Lcmap, tmp_path: Path, write_product: Callable[..., Path], baseline: str
) -> None:
    """The product with an offset gives the same as the one without."""
    product = write_product(tmp_path, baseline=baseline)
    out = tmp_path / "out.tif"
    run = lcmap("prepare", product, *NEAREST, "-o", out)
    assert run.exit_code == 0, run.stderr
    assert "10 bands (B2, B3, B4, B5, B6, B7, B8, B8A, B11, B12), int16, 120 × 120" in run.stdout
    with rasterio.open(out) as dataset:
        assert dataset.descriptions == TEN
        assert set(dataset.dtypes) == {"int16"}
        assert dataset.nodata == NODATA
        assert dataset.crs.to_epsg() == EPSG
        assert dataset.transform == rasterio.Affine(10, 0, CORNER[0], 0, -10, CORNER[1])
        assert np.array_equal(dataset.read(), ten_bands())
        assert dataset.tags()["ACQUISITION_DATE"] == "2018-07-05"
        quantiles = read_quantiles(dataset)
    assert quantiles is not None
    expected = np.quantile(ten_bands().reshape(10, -1), (0.02, 0.98), axis=1).T
    np.testing.assert_allclose(quantiles, expected)


@pytest.mark.parametrize("with_metadata", [True, False])
def test_theia_is_reflectance_on_the_ten_metre_grid(
    lcmap: Lcmap, tmp_path: Path, with_metadata: bool
) -> None:
    product = write_theia(tmp_path, with_metadata=with_metadata)
    out = tmp_path / "out.tif"
    run = lcmap("prepare", product, *NEAREST, "-o", out)
    assert run.exit_code == 0, run.stderr
    assert np.array_equal(read(out), ten_bands())


def test_old_names_and_granules_are_one_image(lcmap: Lcmap, tmp_path: Path) -> None:
    """Before December 2016 a product had several granules; they are mosaicked on the grid."""
    east = (CORNER[0] + SIZE * 10, CORNER[1])
    product = write_old_l1c(tmp_path, tiles={"T31TFJ": CORNER, "T31TGJ": east})
    like = write_raster(
        tmp_path / "like.tif", np.zeros((1, SIZE, 2 * SIZE), "uint8"),
        epsg=EPSG, corner=CORNER, pixel=10.0,
    )  # fmt: skip
    out = tmp_path / "out.tif"
    before = sorted(product.rglob("*"))
    run = lcmap("prepare", product, "--like", like, *NEAREST, "--bands", "B02,B8A", "-o", out)
    assert run.exit_code == 0, run.stderr
    assert sorted(product.rglob("*")) == before  # GDAL would write .gfs files beside the masks
    day = "2016-09-05"
    one = np.stack([at_ten_metres(reflectance(band, day)) for band in ("B2", "B8A")])
    assert np.array_equal(read(out), np.concatenate([one, one], axis=2))


def test_scene_classes_mask_all_bands(lcmap: Lcmap, tmp_path: Path) -> None:
    classes = np.random.default_rng(4).integers(0, 12, (60, 60)).astype("uint8")
    product = write_l2a(tmp_path, scene_classes=classes)
    out = tmp_path / "out.tif"
    assert lcmap("prepare", product, *NEAREST, "-o", out).exit_code == 0
    masked = at_ten_metres(np.isin(classes, [0, 1, 3, 8, 9, 10]))
    assert np.array_equal(read(out), np.where(masked, NODATA, ten_bands()))


@pytest.mark.parametrize("baseline", ["02.06", "05.00"])
def test_level_1c_masks(lcmap: Lcmap, tmp_path: Path, baseline: str) -> None:
    """Clouds and cirrus at 60 m, saturation per band; snow is ground. One baseline as the other."""
    classes = np.stack([random_mask(20, seed, 0.1) for seed in range(3)]).astype("uint8")
    saturated = np.zeros((8, 60, 60), "uint8")
    saturated[7] = random_mask(60, 7, 0.05)
    product = write_l1c(tmp_path, baseline=baseline, classes=classes, quality={"B11": saturated})
    out = tmp_path / "out.tif"
    assert lcmap("prepare", product, *NEAREST, "-o", out).exit_code == 0
    masked = at_ten_metres(classes[0] | classes[1]) | at_ten_metres(saturated[7])
    assert np.array_equal(read(out), np.where(masked, NODATA, ten_bands()))
    # the mask of a band that is not taken does not count
    run = lcmap("prepare", product, *NEAREST, "--bands", "B2", "-o", tmp_path / "blue.tif")
    assert run.exit_code == 0, run.stderr
    masked = at_ten_metres(classes[0] | classes[1])
    assert np.array_equal(read(tmp_path / "blue.tif"), np.where(masked, NODATA, ten_bands()[:1]))


def test_quality_bits_that_are_honoured(lcmap: Lcmap, tmp_path: Path) -> None:
    quality = np.zeros((8, SIZE, SIZE), "uint8")
    for bit in range(8):
        quality[bit, 10 * bit, :] = 1
    product = write_l1c(tmp_path, quality={"B3": quality})
    out = tmp_path / "out.tif"
    assert lcmap("prepare", product, *NEAREST, "-o", out).exit_code == 0
    masked = (read(out) == NODATA).all(axis=0)
    assert np.flatnonzero(masked.all(axis=1)).tolist() == [20, 30, 50, 70]
    assert masked.sum() == 4 * SIZE


def test_theia_masks(lcmap: Lcmap, tmp_path: Path) -> None:
    """Bits of clouds, each on a row of its own; an edge; saturation of one band of each set."""
    clouds = np.zeros((SIZE, SIZE), "uint8")
    for bit in range(8):
        clouds[10 * bit] = 1 << bit
    coarse = np.zeros((60, 60), "uint8")
    edge, saturated = np.zeros((SIZE, SIZE), "uint8"), np.zeros((60, 60), "uint8")
    edge[:, -1] = 1
    saturated[45, 0] = 1 << 4  # B11
    saturated[46, 0] = 1 << 6  # no band
    masks = {"CLM_R1": clouds, "CLM_R2": coarse, "EDG_R1": edge, "SAT_R2": saturated}
    product = write_theia(tmp_path, masks=masks)
    out = tmp_path / "out.tif"
    assert lcmap("prepare", product, *NEAREST, "-o", out).exit_code == 0
    masked = np.zeros((SIZE, SIZE), bool)
    masked[[0, 70]] = True
    masked[:, -1] = True
    masked[90:92, 0:2] = True
    assert np.array_equal(read(out), np.where(masked, NODATA, ten_bands()))


@pytest.mark.parametrize("with_flags", [True, False])
def test_theia_composites_are_masked_by_their_flags(
    lcmap: Lcmap, tmp_path: Path, with_flags: bool
) -> None:
    """No data and cloud are hidden; snow, water and land are ground."""
    flags = np.random.default_rng(5).integers(0, 5, (60, 60)).astype("uint8")
    flags = at_ten_metres(flags)
    product = write_theia_composite(tmp_path, flags if with_flags else None)
    out = tmp_path / "out.tif"
    run = lcmap("prepare", product, *NEAREST, "-o", out)
    assert run.exit_code == 0, run.stderr
    hidden = (flags <= 1) & with_flags
    assert np.array_equal(read(out), np.where(hidden, NODATA, ten_bands()))


def test_numbers_that_are_no_reflectance(lcmap: Lcmap, tmp_path: Path) -> None:
    """0 is nodata and 65535 saturation, of one band for all; a number just above 0 is data."""
    extra = {"B2": {(0, 0): 0, (0, 1): 65_535, (0, 2): 1, (0, 3): 65_534}}
    out = tmp_path / "out.tif"
    assert lcmap("prepare", write_l1c(tmp_path, extra=extra), *NEAREST, "-o", out).exit_code == 0
    image = read(out)
    assert (image[:, 0, :2] == NODATA).all()
    assert image[0, 0, 2:4].tolist() == [-999, 32_767]
    assert (image[1:, 0, 2:] == ten_bands()[1:, 0, 2:]).all()


def test_quantification_comes_from_the_metadata(lcmap: Lcmap, tmp_path: Path) -> None:
    product = write_l1c(tmp_path, baseline="02.06", quantification=20_000)
    out = tmp_path / "out.tif"
    assert lcmap("prepare", product, *NEAREST, "-o", out).exit_code == 0
    assert np.array_equal(read(out), np.rint(ten_bands() / 2))


@pytest.fixture(scope="module")
def cloudy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A product whose ground is 1000 everywhere, under clouds of 9000."""
    clouds = random_mask(60, 2, 0.3)
    product = write_l2a(
        tmp_path_factory.mktemp("cloudy"),
        baseline="02.06",
        scene_classes=np.where(clouds, 9, 4).astype("uint8"),
    )
    for pixel in (10, 20):
        for path in product.glob(f"GRANULE/*/IMG_DATA/R{pixel}m/*_B*.jp2"):
            times = 20 // pixel
            image = np.where(clouds, 9000, 1000).astype("uint16")
            write(path, image.repeat(times, axis=0).repeat(times, axis=1), CORNER)
    return product


@pytest.mark.parametrize("resampling", ["cubic", "bilinear", "average", "nearest"])
@pytest.mark.parametrize("pixel", [7.0, 26.0])
def test_no_masked_value_leaks_through_the_kernel(
    lcmap: Lcmap, tmp_path: Path, cloudy: Path, resampling: str, pixel: float
) -> None:
    """The ground is of one value and clouds of another: no mixture, and no cloud, may be seen."""
    n = int(SIZE * 10 // pixel)
    like = write_raster(
        tmp_path / "like.tif", np.zeros((1, n, n), "uint8"), epsg=EPSG, corner=CORNER, pixel=pixel
    )
    out = tmp_path / "out.tif"
    run = lcmap("prepare", cloudy, "--like", like, "--resampling", resampling, "-o", out)
    assert run.exit_code == 0, run.stderr
    image = read(out)
    assert set(np.unique(image)) == {NODATA, 1000}
    if resampling != "average":
        centres = ((np.arange(n) + 0.5) * pixel / 20).astype(int)
        clouds = random_mask(60, 2, 0.3)[np.ix_(centres, centres)]
        assert (image[:, clouds] == NODATA).all()


def lacks_one_band(folder: Path, kind: str) -> Path:
    """Write a product of which B11 lacks a stripe of 20 m rows: saturated, or beside the swath."""
    if kind == "THEIA":
        saturated = np.zeros((60, 60), "uint8")
        saturated[20:26] = 1 << 4
        return write_theia(folder, masks={"SAT_R2": saturated})
    stripe = {(row, col): 0 for row in range(20, 26) for col in range(60)}
    return write_l1c(folder, extra={"B11": stripe})


@pytest.mark.parametrize("kind", ["THEIA", "L1C"])
def test_what_one_band_lacks_mixes_into_none(lcmap: Lcmap, tmp_path: Path, kind: str) -> None:
    """By GDAL's warp of bands masked together: B11 and B12 are interpolated to 10 m."""
    out = tmp_path / "out.tif"
    run = lcmap("prepare", lacks_one_band(tmp_path, kind), "--bands", "B5,B11,B12", "-o", out)
    assert run.exit_code == 0, run.stderr
    bands = np.stack([reflectance(band) for band in ("B5", "B11", "B12")])
    bands[:, 20:26] = NODATA
    write(tmp_path / "together.tif", bands, CORNER, nodata=NODATA)
    with (
        rasterio.open(tmp_path / "together.tif") as dataset,
        WarpedVRT(
            dataset, crs=dataset.crs, transform=dataset.transform @ Affine.scale(0.5),
            width=SIZE, height=SIZE, resampling=Resampling.cubic, nodata=NODATA,
            tolerance=1e-12, XSCALE="2", YSCALE="2",
        ) as warped,
    ):  # fmt: skip
        expected = warped.read()
    assert np.array_equal(read(out), expected)
    assert (expected[:, 40:52] == NODATA).all() and (expected[:, 53:] > 0).all()


def test_neighbouring_tiles_of_a_day_are_one_image(lcmap: Lcmap, tmp_path: Path) -> None:
    """They overlap; the first that is clear counts."""
    west = write_l2a(tmp_path, scene_classes=np.where(random_mask(60), 9, 4).astype("uint8"))
    shift = 40
    corner = (CORNER[0] + 10 * shift, CORNER[1])
    east = write_l2a(tmp_path, corner=corner, tile="T31TGJ")
    like = write_raster(
        tmp_path / "like.tif", np.zeros((1, SIZE, SIZE + shift), "uint8"),
        epsg=EPSG, corner=CORNER, pixel=10.0,
    )  # fmt: skip
    out = tmp_path / "out.tif"
    run = lcmap("prepare", west, east, "--like", like, *NEAREST, "-o", out)
    assert run.exit_code == 0, run.stderr
    expected = np.full((10, SIZE, SIZE + shift), NODATA)
    expected[:, :, shift:] = ten_bands()
    clear = ~at_ten_metres(random_mask(60))
    expected[:, :, :SIZE] = np.where(clear, ten_bands(), expected[:, :, :SIZE])
    assert np.array_equal(read(out), expected)


def test_other_bands_in_the_order_named(
    lcmap: Lcmap, tmp_path: Path, products: dict[str, Path]
) -> None:
    out = tmp_path / "out.tif"
    chosen = ("--bands", "B12,b10,B01,B04")
    run = lcmap("prepare", products["l1c"], *NEAREST, *chosen, "-o", out)
    assert run.exit_code == 0, run.stderr
    with rasterio.open(out) as dataset:
        assert dataset.descriptions == ("B12", "B10", "B1", "B4")
        found = dataset.read()
    expected = [at_ten_metres(reflectance(band)) for band in ("B12", "B10", "B1", "B4")]
    assert np.array_equal(found, np.stack(expected))


def test_only_the_ground_of_the_grid_is_needed(
    lcmap: Lcmap, tmp_path: Path, products: dict[str, Path]
) -> None:
    """A grid inside the product gives what cutting the whole gives."""
    product = products["l2a"]
    whole, part = tmp_path / "whole.tif", tmp_path / "part.tif"
    assert lcmap("prepare", product, "-o", whole).exit_code == 0
    like = write_raster(
        tmp_path / "like.tif", np.zeros((1, 30, 20), "uint8"), epsg=EPSG,
        corner=(CORNER[0] + 500, CORNER[1] - 410), pixel=10.0,
    )  # fmt: skip
    assert lcmap("prepare", product, "--like", like, "-o", part).exit_code == 0
    # a reprojection of the part starts elsewhere: halves may round the other way
    difference = read(part).astype(int) - read(whole)[:, 41:71, 50:70]
    assert np.abs(difference).max() <= 1


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Products to be refused, by kind; to be changed only in a copy."""
    folder = tmp_path_factory.mktemp("products")
    return {
        "l1c": write_l1c(folder, bands=tuple(PIXELS)),
        "l2a": write_l2a(folder),
        "theia": write_theia(folder),
    }


def copied(product: Path, folder: Path) -> Path:
    return Path(shutil.copytree(product, folder / product.name))


def refused(run: Run, code: int, *says: str) -> None:
    assert run.exit_code == code, run.stderr
    assert run.stderr.startswith("lcmap: ")
    assert run.stderr.count("\n") == 1
    for text in says:
        assert text in run.stderr


def test_folder_that_is_no_product(lcmap: Lcmap, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    run = lcmap("prepare", tmp_path / "other", "-o", tmp_path / "out.tif")
    refused(run, 65, "other", "MTD_MSIL1C.xml", "MTD_MSIL2A.xml", "*_FRE_B*.tif")


def test_archive_is_to_be_unpacked(lcmap: Lcmap, tmp_path: Path) -> None:
    archive = tmp_path / "S2A_MSIL2A_20180705T105029.SAFE.zip"
    archive.write_bytes(b"PK\x03\x04")
    refused(lcmap("prepare", archive, "-o", tmp_path / "out.tif"), 65, archive.name, "unpack it")


def test_products_and_images_do_not_mix(
    lcmap: Lcmap, tmp_path: Path, products: dict[str, Path]
) -> None:
    image = write_raster(tmp_path / "spot.tif", np.ones((1, 9, 9), "uint8"))
    run = lcmap("prepare", products["l2a"], image, "-o", tmp_path / "out.tif")
    refused(run, 2, "spot.tif", "prepare the products first")


def test_products_of_several_days_need_a_period(lcmap: Lcmap, tmp_path: Path) -> None:
    products = [write_l2a(tmp_path, day=day) for day in ("2018-07-05", "2018-07-15")]
    run = lcmap("prepare", *products, "-o", tmp_path / "out.tif")
    refused(run, 2, "2018-07-05 to 2018-07-15", "give --period")


@pytest.mark.parametrize(
    ("kind", "bands", "says"),
    [
        ("l2a", "B10", "level 2A"),
        ("theia", "B9", "THEIA"),
        ("l1c", "B13", "is not a band of Sentinel-2"),
        ("l1c", "red", "is not a band of Sentinel-2"),
        ("l1c", "B2,B02", "is named twice"),
    ],
)
def test_bands_that_are_not_there(
    lcmap: Lcmap, tmp_path: Path, products: dict[str, Path], kind: str, bands: str, says: str
) -> None:
    run = lcmap("prepare", products[kind], "--bands", bands, "-o", tmp_path / "out.tif")
    refused(run, 2, says)


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("l1c", "*/*/IMG_DATA/*_B05.jp2"),
        ("l1c", "*/*/QI_DATA/MSK_QUALIT_B05.jp2"),
        ("l2a", "*/*/IMG_DATA/R10m/*_B08_10m.jp2"),
        ("l2a", "*/*/IMG_DATA/R20m/*_SCL_20m.jp2"),
        ("theia", "*_FRE_B5.tif"),
        ("theia", "MASKS/*_SAT_R2.tif"),
        ("theia", "MASKS/*_CLM_R1.tif"),
    ],
)
def test_product_that_is_not_whole(
    lcmap: Lcmap, tmp_path: Path, products: dict[str, Path], kind: str, pattern: str
) -> None:
    product = copied(products[kind], tmp_path)
    (missing,) = product.glob(pattern)
    missing.unlink()
    run = lcmap("prepare", product, "-o", tmp_path / "out.tif")
    refused(run, 65, "has no", "unpack the product whole")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no XML", "cannot be read as XML"),
        (metadata("1C", "2018-07-05", "05.00", 0, 10_000), "has no radiometric offset"),
        (metadata("1C", "July", "02.06", 0, 10_000), "does not say when"),
        (metadata("2A", "2018-07-05", "02.06", 0, 10_000), "has no QUANTIFICATION_VALUE"),
        (metadata("1C", "2018-07-05", "x", 0, 10_000), "'x' is not a number"),
        (
            metadata("1C", "2018-07-05", "05.00", -1000, 1).replace('band_id="2"', 'band_id="13"'),
            "band_id '13' is unknown",
        ),
    ],
)
def test_damaged_metadata(
    lcmap: Lcmap, tmp_path: Path, products: dict[str, Path], text: str, says: str
) -> None:
    product = copied(products["l1c"], tmp_path)
    (product / "MTD_MSIL1C.xml").write_text(text)
    refused(lcmap("prepare", product, "-o", tmp_path / "o.tif"), 65, "MTD_MSIL1C.xml", says)


def test_damaged_polygon(lcmap: Lcmap, tmp_path: Path) -> None:
    product = write_l1c(tmp_path, baseline="02.06")
    (path,) = product.glob("*/*/QI_DATA/MSK_CLOUDS_B00.gml")
    write_gml(path, {"OPAQUE": np.ones((1, 1), "uint8")}, CORNER)
    path.write_text(path.read_text().replace('srsDimension="2"', 'srsDimension="3"'))
    run = lcmap("prepare", product, "-o", tmp_path / "out.tif")
    refused(run, 65, "MSK_CLOUDS_B00.gml", "polygon")


def test_damaged_image_leaves_nothing(
    lcmap: Lcmap, tmp_path: Path, products: dict[str, Path]
) -> None:
    product = copied(products["l2a"], tmp_path / "in")
    (path,) = product.glob("*/*/IMG_DATA/R10m/*_B03_10m.jp2")
    path.write_bytes(path.read_bytes()[:600])
    run = lcmap("prepare", product, "--tmpdir", tmp_path, "-o", tmp_path / "out.tif")
    assert run.exit_code == 65, run.stderr
    assert path.name in run.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_grid_beside_the_product(lcmap: Lcmap, tmp_path: Path, products: dict[str, Path]) -> None:
    like = write_raster(tmp_path / "like.tif", np.ones((1, 9, 9), "uint8"))
    run = lcmap("prepare", products["l2a"], "--like", like, "-o", tmp_path / "out.tif")
    refused(run, 65, "covers ground")


BAND, MASK, FOLDER, METADATA = "*_B03*", "a mask", "a folder", "metadata"
FILES = {
    write_l2a: {BAND: "GRANULE/*/IMG_DATA/R10m/*_B03_10m.jp2",
                MASK: "GRANULE/*/IMG_DATA/R20m/*_SCL_20m.jp2",
                FOLDER: "GRANULE/*/IMG_DATA", METADATA: "MTD_MSIL2A.xml"},
    write_l1c: {BAND: "GRANULE/*/IMG_DATA/*_B03.jp2", MASK: "GRANULE/*/QI_DATA/*CLASSI_B00.jp2",
                FOLDER: "GRANULE/*", METADATA: "MTD_MSIL1C.xml"},
    write_theia: {BAND: "*_FRE_B3.tif", MASK: "MASKS/*_CLM_R1.tif", FOLDER: "MASKS",
                  METADATA: "*_MTD_ALL.xml"},
}  # fmt: skip


@pytest.mark.parametrize("what", [BAND, MASK, FOLDER, METADATA])
@pytest.mark.parametrize("write_product", FILES, ids=["L2A", "L1C", "THEIA"])
def test_nothing_outside_the_product_is_read(
    lcmap: Lcmap, tmp_path: Path, write_product: Callable[..., Path], what: str
) -> None:
    more = {"baseline": "05.00"} if write_product is write_l1c else {}
    product, out = write_product(tmp_path, **more), tmp_path / "out.tif"
    (path,) = product.glob(FILES[write_product][what])
    outside = tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    run = lcmap("prepare", product, *NEAREST, "-o", out)
    assert run.exit_code == 65 and run.stderr.count("\n") == 1
    assert f"{path}" in run.stderr and "is outside the product's folder" in run.stderr
    assert not out.exists()
    # a link within the product, and one to the whole product, lead to what was named
    inside = product / "inside"
    outside.rename(inside)
    path.unlink()
    path.symlink_to(inside)
    link = tmp_path / "link"
    link.symlink_to(product)
    assert lcmap("prepare", link, *NEAREST, "-o", out).exit_code == 0
    assert np.array_equal(read(out), ten_bands())
