"""lcmap prepare on DIMAP products, run as a user would; then its outputs are opened."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from small_dimap import (
    CORNER,
    GAINS,
    IDS,
    IRRADIANCES,
    SUN_ELEVATION,
    numbers,
    write_dimap,
)
from small_model import write_small_model
from support import Run, write_raster

Lcmap = Callable[..., Run]
MEANT = ("B2", "B1", "B0", "B3")
NAMES = ("red", "green", "blue", "nir")


def meant() -> NDArray[np.uint16]:
    return np.stack([numbers(band) for band in MEANT])


def prepared(lcmap: Lcmap, out: Path, *args: object) -> tuple[NDArray[Any], Any, str]:
    run = lcmap("prepare", *args, "-o", out)
    assert run.exit_code == 0, run.stderr
    with rasterio.open(out) as dataset:
        return dataset.read(), dataset.profile | {"names": dataset.descriptions}, run.stderr


def refused(lcmap: Lcmap, code: int, says: str, out: Path, *args: object) -> None:
    run = lcmap("prepare", *args, "-o", out)
    assert run.exit_code == code, run.stderr
    assert says in run.stderr and run.stderr.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("suffix", ["JP2", "TIF"])
@pytest.mark.parametrize("order", [IDS, MEANT, ("B3", "B0", "B2", "B1")])
@pytest.mark.parametrize("listed", [True, False])
def test_tiles_are_one_image_with_its_bands_by_meaning(
    lcmap: Lcmap, tmp_path: Path, suffix: str, order: Sequence[str], listed: bool
) -> None:
    document = write_dimap(tmp_path, order=order, suffix=suffix, listed=listed)
    for given in (document, document.parent, tmp_path):
        image, profile, _ = prepared(lcmap, tmp_path / f"{len(str(given))}.tif", given)
        assert np.array_equal(image, meant())
        assert profile["names"] == NAMES
        assert (profile["dtype"], profile["nodata"]) == ("uint16", 0)
        assert tuple(profile["transform"])[:6] == (6, 0, CORNER[0], 0, -6, CORNER[1])


def test_bands_that_are_not_said_are_blue_green_red_nir(lcmap: Lcmap, tmp_path: Path) -> None:
    document = write_dimap(tmp_path, indexed=False)
    image, profile, said = prepared(lcmap, tmp_path / "out.tif", document)
    assert np.array_equal(image, meant())
    assert profile["names"] == NAMES
    assert "they are taken for blue, green, red, nir" in said


def test_of_a_delivery_with_both_the_multispectral_is_taken_and_the_other_sharpens(
    lcmap: Lcmap, tmp_path: Path
) -> None:
    delivery = tmp_path / "delivery"
    multispectral = write_dimap(delivery)
    panchromatic = write_dimap(delivery, "P", tile=64)
    image, _, _ = prepared(lcmap, tmp_path / "ms.tif", delivery)
    assert np.array_equal(image, meant())
    image, profile, _ = prepared(lcmap, tmp_path / "p.tif", panchromatic)
    assert np.array_equal(image[0], numbers("P"))
    assert profile["names"] == ("panchromatic",)
    sharp, profile, _ = prepared(lcmap, tmp_path / "sharp.tif", delivery, "--pan", delivery)
    assert sharp.shape == (4, 160, 200) and profile["names"] == NAMES
    # as from the same images as ordinary files
    for name, path in (("ms", multispectral), ("p", panchromatic)):
        prepared(lcmap, tmp_path / f"{name}.alone.tif", path)
    files = (tmp_path / "ms.alone.tif", "--pan", tmp_path / "p.alone.tif")
    expected, _, _ = prepared(lcmap, tmp_path / "files.tif", *files)
    assert np.array_equal(sharp, expected)


def test_reflectance_is_that_of_the_calibration(lcmap: Lcmap, tmp_path: Path) -> None:
    document = write_dimap(tmp_path, order=("B1", "B3", "B0", "B2"))
    image, profile, _ = prepared(lcmap, tmp_path / "out.tif", document, "--reflectance")
    assert (profile["dtype"], profile["nodata"], profile["names"]) == ("int16", -10_000, NAMES)
    distance = 1.01668  # astronomical units, on 5 July 2018, by the ephemerides
    for band, values in zip(MEANT, image, strict=True):
        radiance = numbers(band) / GAINS[band]
        sun = IRRADIANCES[band] * math.sin(math.radians(SUN_ELEVATION))
        expected = 10_000 * math.pi * radiance * distance**2 / sun
        lacking = numbers(band) == 0
        assert (values[lacking] == -10_000).all()
        np.testing.assert_allclose(values[~lacking], expected[~lacking], rtol=3e-4, atol=0.6)


def test_a_period_of_products_takes_their_dates(lcmap: Lcmap, tmp_path: Path) -> None:
    first = write_dimap(tmp_path / "a")
    second = write_dimap(tmp_path / "b")
    second.write_text(second.read_text().replace("2018-07-05", "2018-07-15"))
    image, _, _ = prepared(lcmap, tmp_path / "out.tif", first, second, "--period", "2018-07")
    assert np.array_equal(image, meant())


def test_reflectance_and_numbers_are_not_combined(lcmap: Lcmap, tmp_path: Path) -> None:
    """By the tags of prepared stacks: of a product as it is, and of others."""
    document = write_dimap(tmp_path / "a")
    later = write_dimap(tmp_path / "b")
    later.write_text(later.read_text().replace("2018-07-05", "2018-07-15"))
    reflectance = tmp_path / "reflectance_20180715.tif"
    prepared(lcmap, reflectance, later, "--reflectance")
    out, period = tmp_path / "out.tif", ("--period", "2018-07")
    refused(lcmap, 65, "(DN)", out, document, reflectance, *period)
    refused(lcmap, 2, "reflectance_20180715.tif is none", out, document, reflectance, *period,
            "--reflectance")  # fmt: skip
    surface = tmp_path / "surface_20180725.tif"
    shutil.copy(reflectance, surface)
    with rasterio.open(surface, "r+") as dataset:
        for band in dataset.indexes:
            dataset.update_tags(band, LCMAP_RADIOMETRY="BOA")
    refused(lcmap, 65, "surface_20180725.tif: is surface reflectance (BOA), and", out,
            reflectance, surface, *period, "--dates", "2018-07-15,2018-07-25")  # fmt: skip


@pytest.mark.parametrize("listed", [True, False])
def test_a_tile_that_is_missing_is_named(lcmap: Lcmap, tmp_path: Path, listed: bool) -> None:
    document = write_dimap(tmp_path, listed=listed)
    next(document.parent.glob("*_R1C2.JP2")).unlink()
    refused(lcmap, 65, "tile R1C2", tmp_path / "out.tif", document)


def test_nothing_outside_the_product_is_read(lcmap: Lcmap, tmp_path: Path) -> None:
    document = write_dimap(tmp_path / "a")
    tile = next(document.parent.glob("*_R1C2.JP2"))
    outside = tmp_path / tile.name
    tile.rename(outside)
    tile.symlink_to(outside)
    says = "is outside the product's folder"
    refused(lcmap, 65, says, tmp_path / "out.tif", document)
    tile.unlink()
    document.write_text(document.read_text().replace(tile.name, str(outside)))
    refused(lcmap, 65, says, tmp_path / "out.tif", document)


def test_several_products_of_a_kind_have_to_be_told_apart(lcmap: Lcmap, tmp_path: Path) -> None:
    first = write_dimap(tmp_path / "a")
    write_dimap(tmp_path / "b")
    refused(lcmap, 65, "holds 2 DIMAP products", tmp_path / "out.tif", tmp_path)
    refused(lcmap, 65, "no panchromatic", tmp_path / "out.tif", first, "--pan", tmp_path / "b")


def test_tiles_as_images_are_refused(lcmap: Lcmap, tmp_path: Path) -> None:
    document = write_dimap(tmp_path)
    tiles = sorted(document.parent.glob("*.JP2"))
    refused(lcmap, 2, "name the product's folder or its DIM_*.XML", tmp_path / "out.tif", *tiles)


def test_reflectance_takes_a_calibration(lcmap: Lcmap, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    image = write_raster(tmp_path / "image.tif", meant())
    refused(lcmap, 2, "--reflectance", out, image, "--reflectance")
    document = write_dimap(tmp_path)
    document.write_text(document.read_text().replace("SUN_ELEVATION", "OTHER"))
    refused(lcmap, 65, "there is no SUN_ELEVATION", out, document, "--reflectance")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_product_in_sensor_geometry_is_to_be_orthorectified(lcmap: Lcmap, tmp_path: Path) -> None:
    document = write_dimap(tmp_path, suffix="TIF", tile=64)
    (tile,) = document.parent.glob("*.TIF")
    tile.unlink()  # else GDAL removes the product's XML with it
    with rasterio.open(
        tile, "w", driver="GTiff", count=4, height=40, width=50, dtype="uint16"
    ) as dataset:
        dataset.write(meant())
    says = "orthorectify the product first"
    refused(lcmap, 65, says, tmp_path / "out.tif", document)


@pytest.mark.parametrize(
    "content", ["<Dimap_Document>", "<Dimap_Document/>", "<Dimap_Document><Raster_Data/>"]
)
def test_damaged_metadata(lcmap: Lcmap, tmp_path: Path, content: str) -> None:
    document = tmp_path / "DIM_SPOT6_MS_1.XML"
    document.write_text(content)
    refused(lcmap, 65, "DIM_SPOT6_MS_1.XML", tmp_path / "out.tif", document)


def test_other_commands_take_the_stack_of_a_product(lcmap: Lcmap, tmp_path: Path) -> None:
    model = write_small_model(tmp_path / "model.onnx")
    run = lcmap("predict", write_dimap(tmp_path), "-m", model, "-o", tmp_path / "map.tif")
    assert run.exit_code == 65
    assert "make a stack of a product with lcmap prepare" in run.stderr


@pytest.mark.parametrize(
    "address", ["https://example.com/a.tif", "/vsicurl/https://example.com/a.tif", "s3://b/a.tif"]
)
def test_an_address_is_no_file(lcmap: Lcmap, tmp_path: Path, address: str) -> None:
    refused(lcmap, 66, f"{address}: is an address", tmp_path / "out.tif", address)
