"""The day on which an image was taken."""

from __future__ import annotations

from datetime import date

import pytest

from lcmap.raster.acquisition_day import day_in_name, day_in_tags


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("s2_20180705.tif", date(2018, 7, 5)),
        ("s2-2018-07-05_stack.tif", date(2018, 7, 5)),
        ("S2A_20180705T105029_20180705T130530.tif", date(2018, 7, 5)),
        ("S2A_20180705T105029_20180706T010530.tif", None),
        ("s2_2018070512.tif", None),
        ("s2_18990705.tif", None),
        ("tile_20181399.tif", None),
        ("s2.tif", None),
    ],
)
def test_day_in_a_name(name: str, day: date | None) -> None:
    assert day_in_name(name) == day


@pytest.mark.parametrize(
    ("tags", "day"),
    [
        ({"ACQUISITION_DATE": "2018-07-05T10:50:31.456Z"}, date(2018, 7, 5)),
        ({"ACQUISITIONDATETIME": "2018-07-05 10:50:31"}, date(2018, 7, 5)),
        ({"PRODUCT_START_TIME": "20180705"}, date(2018, 7, 5)),
        ({"ACQUISITION_DATE": "2018-07-45"}, None),
        ({"TIFFTAG_DATETIME": "2018:07:05 10:50:31"}, None),
        ({}, None),
    ],
)
def test_day_in_tags(tags: dict[str, str], day: date | None) -> None:
    assert day_in_tags(tags) == day
