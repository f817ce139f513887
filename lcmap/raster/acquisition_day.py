"""The day on which an image was taken: by its tags, else by its name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path
from typing import Any

_FIRST_YEAR = 2015
"""Of Sentinel-2; eight digits that are not a date since then are something else."""

_DATE_TAGS = (
    "ACQUISITION_DATE",
    "ACQUISITIONDATETIME",
    "DATATAKE_1_DATATAKE_SENSING_START",
    "PRODUCT_START_TIME",
)
"""Tags for the day of acquisition: THEIA's, GDAL's (domain IMAGERY), and those that GDAL's reader
of Sentinel-2 products sets. TIFFTAG_DATETIME is when the file was made."""

_PERIOD_TAG = "LCMAP_PERIOD"
"""What was made of images of several days says the first and the last."""


def acquisition_day(dataset: Any, name: str) -> date | None:
    """Return the day of an open raster that is called `name`, None where neither says one."""
    day = day_in_tags(dataset.tags() | dataset.tags(ns="IMAGERY"))
    return day or day_in_name(Path(name).name)


def write_day(dataset: Any, day: date) -> None:
    """Write the day of acquisition into the tags of a raster open for writing."""
    dataset.update_tags(**{_DATE_TAGS[0]: day.isoformat()})


def period_tags(days: Collection[date]) -> dict[str, str]:
    """Return the tags of what is made of images of these days."""
    if not days:
        return {}
    first, last = min(days), max(days)
    if first == last:
        return {_DATE_TAGS[0]: first.isoformat()}
    return {_PERIOD_TAG: f"{first.isoformat()}/{last.isoformat()}"}


def acquisition_period(dataset: Any, name: str) -> tuple[date, date] | None:
    """Return the first and the last day of the ground that an open raster shows, if it says them.

    It is called `name`.
    """
    try:
        first, last = map(date.fromisoformat, dataset.tags().get(_PERIOD_TAG, "").split("/"))
    except ValueError:
        day = acquisition_day(dataset, name)
        return None if day is None else (day, day)
    return first, last


def day_in_tags(tags: Mapping[str, str]) -> date | None:
    """Return the day of acquisition that a raster's tags name, if they do."""
    for key in _DATE_TAGS:
        match = re.match(r"(\d{4})[-:]?(\d\d)[-:]?(\d\d)", tags.get(key, ""))
        if match:
            try:
                return date(*map(int, match.groups()))
            except ValueError:
                continue
    return None


def day_in_name(name: str) -> date | None:
    """Return the day in a file's name, YYYYMMDD or YYYY-MM-DD, if it has just one."""
    days = set()
    for match in re.finditer(r"(?<!\d)(\d{4})(-?)(\d\d)\2(\d\d)(?!\d)", name):
        try:
            days.add(date(int(match[1]), int(match[3]), int(match[4])))
        except ValueError:
            continue
    days = {day for day in days if day.year >= _FIRST_YEAR}
    return days.pop() if len(days) == 1 else None
