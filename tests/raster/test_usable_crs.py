"""Local systems are recognised by name, and refused where they are not."""

from __future__ import annotations

import pytest
from rasterio.crs import CRS

from lcmap.errors import NoCrsError, UsageError
from lcmap.raster.usable_crs import epsg_code_of, parse_crs, usable_crs

FLAIR = CRS.from_wkt(
    'LOCAL_CS["RGF93 v1 / Lambert-93",UNIT["metre",1,AUTHORITY["EPSG","9001"]],'
    'AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
)
LAMBERT = CRS.from_epsg(2154)


def test_the_name_of_a_local_system_tells_which_it_is() -> None:
    with pytest.raises(
        NoCrsError, match=r'a\.tif: .*"RGF93 v1 / Lambert-93" is local .*`assume_crs=EPSG:2154`'
    ):
        usable_crs(FLAIR, None, "a.tif")
    assert usable_crs(FLAIR, LAMBERT, "a.tif") == LAMBERT


@pytest.mark.parametrize(
    "crs", [CRS.from_wkt('LOCAL_CS["unnamed"]'), CRS.from_epsg(4978)], ids=["unnamed", "geocentric"]
)
def test_others_are_asked_for(crs: CRS) -> None:
    with pytest.raises(NoCrsError, match=r"`assume_crs=EPSG:CODE`") as found:
        usable_crs(crs, None, "a.tif")
    assert found.value.exit_code == 65


@pytest.mark.parametrize("epsg", [2154, 4326, 32631, 5698, 3857])
def test_systems_that_place_a_raster_stay(epsg: int) -> None:
    crs = CRS.from_epsg(epsg)
    assert usable_crs(crs, LAMBERT, "a.tif") == crs
    assert parse_crs(f"EPSG:{epsg}") == crs


def test_a_raster_without_a_system() -> None:
    assert usable_crs(None, None, "a.tif") is None
    assert usable_crs(None, LAMBERT, "a.tif") == LAMBERT


def test_names_are_those_of_the_database() -> None:
    assert epsg_code_of("wgs 84 / utm zone 31N") == 32631
    assert epsg_code_of("somewhere") is None


@pytest.mark.parametrize(
    "text", ["EPSG:4978", "nonsense", "EPSG:999999", "EPSG:NaN", "EPSG:", "\0", "[" * 10_000]
)
def test_what_cannot_be_assumed(text: str) -> None:
    with pytest.raises(UsageError, match="`assume_crs="):
        parse_crs(text)
