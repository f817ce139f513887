"""Coordinate reference systems that say where on earth a raster is, and those that do not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rasterio.crs import CRS
from rasterio.env import PROJDataFinder
from rasterio.errors import CRSError

from lcmap.errors import NoCrsError, UsageError


def crs_of(text: str) -> CRS:
    """Return the coordinate reference system that a text names or describes.

    Raises:
        ValueError: it does neither.
    """
    try:
        return CRS.from_user_input(text)
    except (CRSError, ValueError, RecursionError) as error:  # rasterio takes some texts for JSON
        raise ValueError("is not a coordinate reference system") from error


def parse_crs(text: str) -> CRS:
    """Return the coordinate reference system that a user means, as EPSG:2154 or WKT.

    Raises:
        UsageError: it is not one that places a raster on earth.
    """
    try:
        crs = crs_of(text)
    except ValueError as error:
        raise UsageError(f"`assume_crs={text}`", str(error), "as in EPSG:2154") from error
    if not places(crs):
        raise UsageError(
            f"`assume_crs={text}`", "does not place a raster on earth", "as in EPSG:2154"
        )
    return crs


def places(crs: CRS) -> bool:
    """Tell whether a system is projected or in degrees, rather than local or geocentric."""
    return bool(crs.is_projected or crs.is_geographic)


def usable_crs(found: CRS | None, assumed: CRS | None, name: str) -> CRS | None:
    """Return the system of a raster that messages call `name`: its own, else the one assumed.

    None where the raster has none and none is assumed.

    Raises:
        NoCrsError: its own does not place it on earth, and none is assumed.
    """
    if found is None or not places(found):
        if found is None or assumed is not None:
            return assumed
        called = _name_of(found)
        code = epsg_code_of(called)
        said = "does not place it on earth"
        if called:
            said = f'"{called}" is local or geocentric and {said}'
        error = NoCrsError(
            name,
            f"its coordinate reference system {said}",
            f"`assume_crs=EPSG:{code}`" if code else "`assume_crs=EPSG:CODE` with the right one",
        )
        error.in_file = written_in(name, f"EPSG:{code or 'CODE'}")
        raise error
    return found


def no_crs(name: str) -> NoCrsError:
    """Return the error to raise for a raster that does not say where on earth it is."""
    in_file = written_in(name, "EPSG:2154")
    error = NoCrsError(
        name,
        "has no coordinate reference system",
        f"`assume_crs=EPSG:2154` if that is the right one, or {in_file}",
    )
    error.in_file = in_file
    return error


def written_in(name: str, code: str) -> str:
    """Return how a user writes a system into a raster."""
    return f"write it in: rio edit-info --crs {code} {name}"


@contextmanager
def none_assumed() -> Iterator[None]:
    """Have errors say what to do where the user cannot say which system to assume.

    Raises:
        NoCrsError: as it was raised, with the remedy in the file.
    """
    try:
        yield
    except NoCrsError as error:
        if not error.in_file:
            raise
        raise NoCrsError(error.subject, error.problem, error.in_file) from error


def epsg_code_of(name: str) -> int | None:
    """Return the EPSG code of the projected system of this name, None where there is none."""
    for folder in (os.environ.get("PROJ_DATA"), os.environ.get("PROJ_LIB"), _own_database()):
        path = Path(folder or "", "proj.db")
        if not folder or not path.is_file():
            continue
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
                row = database.execute(
                    "select code from projected_crs where auth_name = 'EPSG' and name = ? "
                    "collate nocase order by deprecated",
                    (name,),
                ).fetchone()
        except sqlite3.Error:
            continue
        if row is not None:
            return int(row[0])
    return None


def _own_database() -> str | None:
    found: str | None = PROJDataFinder().search()
    return found


def _name_of(crs: CRS) -> str:
    parts = crs.to_wkt().split('"')
    return parts[1] if len(parts) > 1 else ""
