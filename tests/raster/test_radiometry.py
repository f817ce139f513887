"""What bands mean, and which images may be combined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from support import write_raster

from lcmap.errors import InputMismatchError
from lcmap.raster.radiometry import (
    NamedRadiometry,
    Radiometry,
    common_radiometry,
    level_in_name,
    radiometry_from,
    radiometry_of,
    write_radiometry,
)


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("S2A_MSIL1C_20180705T105029_N0206_R051_T31TFJ.tif", "TOA"),
        ("S2A_MSIL2A_20180705T105029.SAFE", "BOA"),
        ("SENTINEL2A_20180705-105031-456_L2A_T31TFJ_D_V1-8_FRE_B2.tif", "BOA"),
        ("SENTINEL2X_20180715-000000-000_L3A_T31TFJ_C_V1-0", "BOA"),
        ("LC08_L1TP_197030_20180705_02_T1_B4.TIF", "TOA"),
        ("LC08_L2SP_197030_20180705_02_T1_SR_B4.TIF", "BOA"),
        ("X.SAFE/GRANULE/L1C_T31TFJ_A015860/IMG_DATA/T31TFJ_20180705T105029_B02.jp2", "TOA"),
        ("L2A/s2_l1c_2.tif", "TOA"),
        ("l1c_and_l2a.tif", ""),
        ("level-2a/july.tif", "BOA"),
        ("SPOT_L1A.tif", ""),
        ("MODEL2A.tif", ""),
        ("spot.tif", ""),
    ],
)
def test_levels_in_the_names_of_products(name: str, level: str) -> None:
    assert level_in_name(name) == level


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a_L2A.tif", np.ones((2, 4, 4), np.uint16))
    with rasterio.open(path) as dataset:
        assert radiometry_of(dataset, "spot.tif") == (Radiometry(),) * 2
        assert radiometry_of(dataset, str(path), (2,)) == (Radiometry(level="BOA"),)
    bands = (Radiometry(1e-4, -0.1, "TOA"), Radiometry(2.0))
    with rasterio.open(path, "r+") as dataset:
        write_radiometry(dataset, bands)
    with rasterio.open(path) as dataset:
        # the second band's level is not in its tags
        assert radiometry_of(dataset, str(path)) == (bands[0], Radiometry(2.0, 0.0, "BOA"))
        assert radiometry_of(dataset, "x", (2, 1)) == bands[::-1]
    assert radiometry_from([band.to_dict() for band in bands]) == bands


@pytest.mark.parametrize("tag", [float("nan"), float("inf")])
def test_tags_that_are_no_numbers_say_nothing(tmp_path: Path, tag: float) -> None:
    path = write_raster(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint16))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (tag,), (tag,)
    with rasterio.open(path) as dataset:
        assert radiometry_of(dataset, "a.tif") == (Radiometry(),)


def named(*images: Radiometry) -> list[NamedRadiometry]:
    return [NamedRadiometry(f"{i}.tif", (Radiometry(), image)) for i, image in enumerate(images)]


def test_images_that_agree_or_do_not_say() -> None:
    tagged = Radiometry(1e-4, -0.1, "BOA")
    assert common_radiometry(named(tagged, tagged)) == (Radiometry(), tagged)
    # as a program writes them that keeps float32
    as_float32 = Radiometry(float(np.float32(1e-4)), float(np.float32(-0.1)), "BOA")
    assert common_radiometry(named(tagged, as_float32)) == (Radiometry(), tagged)
    unknown = Radiometry(1e-4, -0.1)
    for images in ((tagged, unknown), (unknown, tagged)):
        assert common_radiometry(named(*images)) == (Radiometry(), unknown)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        ((Radiometry(), Radiometry(2.0)), "1.tif: its band 2 has scale 2 and offset 0, that of 0"),
        ((Radiometry(1e-4), Radiometry(1e-4, -0.1)), "has scale 0.0001 and offset -0.1, that of 0"),
        (
            (Radiometry(), Radiometry(level="TOA"), Radiometry(), Radiometry(level="BOA")),
            r"3.tif: is surface reflectance \(BOA\), and 1.tif is top-of-atmosphere",
        ),
    ],
)
def test_images_that_do_not_agree(images: tuple[Radiometry, ...], says: str) -> None:
    with pytest.raises(InputMismatchError, match=says):
        common_radiometry(named(*images))


@pytest.mark.parametrize(
    "band",
    [
        {"scale": 1e400, "offset": 0},
        {"scale": 1, "offset": "x"},
        {"scale": [], "offset": 0},
        {"scale": 1, "offset": 0, "level": "L9"},
    ],
)
def test_json_that_says_nothing_usable(band: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        radiometry_from([band])
    assert radiometry_from([band, {"name": "red"}]) == ()
