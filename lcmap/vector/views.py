"""Views in a GeoPackage: queries that GDAL runs as soon as it looks at the file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from lcmap.errors import NotAVectorError

_MOST_STEPS = 20_000_000
"""Of SQLite's virtual machine, some seconds: to read all views of a file once."""

_STEPS_BETWEEN = 100_000
_LARGEST_VALUE = 1 << 26


def check_views(path: Path) -> None:
    """Check that the views in a GeoPackage can be read to their end in some seconds.

    A file that SQLite cannot open passes: GDAL says what is wrong with it.

    Raises:
        NotAVectorError: one cannot.
    """
    address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    try:
        database = sqlite3.connect(address, uri=True)
    except sqlite3.Error:
        return
    with closing(database):
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_VALUE)
        try:
            names = [
                name
                for (name,) in database.execute(
                    "select name from sqlite_master where type = 'view'"
                )
            ]
        except sqlite3.Error:
            return
        left = _MOST_STEPS // _STEPS_BETWEEN

        def stop() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        database.set_progress_handler(stop, _STEPS_BETWEEN)
        for name in names:
            quoted = '"' + name.replace('"', '""') + '"'
            try:
                for _ in database.execute(f"select * from {quoted}"):
                    pass
            except sqlite3.Error as error:
                problem = "takes too long" if left < 0 else f"cannot be read ({error})"
                raise NotAVectorError(
                    path,
                    f"its view {name} {problem}",
                    "write what it selects as a table, or remove it",
                ) from error
