"""Periods and the days of images."""

from __future__ import annotations

from datetime import date

import pytest

from lcmap.errors import UsageError
from lcmap.raster.period import parse_day, parse_period


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2018", date(2018, 1, 1), date(2018, 12, 31)),
        ("2018-07", date(2018, 7, 1), date(2018, 7, 31)),
        ("2020-02", date(2020, 2, 1), date(2020, 2, 29)),
        ("2018-07-14", date(2018, 7, 14), date(2018, 7, 14)),
        ("2018-07/2018-09", date(2018, 7, 1), date(2018, 9, 30)),
        ("2017-12-15/2018", date(2017, 12, 15), date(2018, 12, 31)),
        (" 2018-07-05/2018-07-20 ", date(2018, 7, 5), date(2018, 7, 20)),
    ],
)
def test_periods(text: str, first: date, last: date) -> None:
    period = parse_period(text)
    assert (period.first, period.last) == (first, last)
    assert first in period
    assert last in period
    assert date.fromordinal(last.toordinal() + 1) not in period
    assert date.fromordinal(first.toordinal() - 1) not in period


def test_middle_is_as_far_from_both_ends() -> None:
    assert parse_period("2018-07").middle == date(2018, 7, 16).toordinal()
    assert parse_period("2018-06").middle == date(2018, 6, 15).toordinal() + 0.5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "July",
        "2018-7",
        "2018-13",
        "2018-02-30",
        "201807",
        "2018-07/",
        "/2018",
        "2018/2019/2020",
    ],
)
def test_what_is_no_period(text: str) -> None:
    with pytest.raises(UsageError, match="is not a period"):
        parse_period(text)


def test_period_that_ends_before_it_begins() -> None:
    with pytest.raises(UsageError, match="ends before it begins"):
        parse_period("2018-07/2018-06")


def test_days() -> None:
    assert parse_day("2018-07-05") == parse_day("20180705") == date(2018, 7, 5)
    for text in ("5.7.2018", "2018-7-5", "20180732", ""):
        with pytest.raises(UsageError, match="is not a date"):
            parse_day(text)
