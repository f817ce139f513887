"""Periods of time, and days, as a user writes them."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date

from lcmap.errors import UsageError


@dataclass(frozen=True)
class Period:
    """Whole days, from the first to the last, both in it."""

    text: str
    first: date
    last: date

    @property
    def middle(self) -> float:
        """The middle as an ordinal of `date.toordinal`; between two days where they are even."""
        return (self.first.toordinal() + self.last.toordinal()) / 2

    def __contains__(self, day: date) -> bool:
        """Tell whether a day is in it."""
        return self.first <= day <= self.last


def parse_period(text: str) -> Period:
    """Return the period of YYYY, YYYY-MM, YYYY-MM-DD or an interval A/B of two (ISO 8601).

    An interval lasts from the first day of A to the last of B.

    Raises:
        UsageError: it is neither, or ends before it begins.
    """
    start, slash, end = text.strip().partition("/")
    first, last = _span(text, start)
    if slash:
        last = _span(text, end)[1]
    if last < first:
        raise UsageError(f"`period={text}`", "ends before it begins", "give the earlier date first")
    return Period(text.strip(), first, last)


def _span(text: str, part: str) -> tuple[date, date]:
    match = re.fullmatch(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", part)
    try:
        if match is None:
            raise ValueError(part)
        year = int(match[1])
        first_month, last_month = (int(match[2]),) * 2 if match[2] else (1, 12)
        if match[3]:
            return (date(year, first_month, int(match[3])),) * 2
        first = date(year, first_month, 1)
        return first, date(year, last_month, calendar.monthrange(year, last_month)[1])
    except ValueError:
        raise UsageError(
            f"`period={text}`",
            "is not a period",
            "give 2018, 2018-07, 2018-07-14 or 2018-07/2018-09",
        ) from None


def parse_day(text: str) -> date:
    """Return the day of YYYY-MM-DD or YYYYMMDD.

    Raises:
        UsageError: it is neither.
    """
    try:
        if not re.fullmatch(r"\d{8}|\d{4}-\d\d-\d\d", text):
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"`dates={text}`", "is not a date", "give each as 2018-07-14") from None
