"""Files that a user names, checked before anything of them is read.

A device never ends, and a pipe that nobody writes to is waited for without end.
"""

from __future__ import annotations

import os
import stat

from lcmap.errors import DataError, InputMissingError
from lcmap.paths import PathLike, permitted

_FORBIDDEN = "may not be read", "check its permissions"


def check_regular(path: PathLike, *, name: str = "", largest: int | None = None) -> None:
    """Check that a path leads to a regular file of at most so many bytes.

    Messages call it by its `name`, else by its path.

    Raises:
        InputMissingError: no such file, a folder, or it may not be read.
        DataError: a device, a pipe or a socket, or too large.
    """
    subject = name or os.fspath(path)
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise _missing(subject, error) from error
    if stat.S_ISDIR(found.st_mode):
        raise InputMissingError(subject, "is a folder, not a file", "name a file in it")
    if not stat.S_ISREG(found.st_mode):
        raise DataError(
            subject, "is not a regular file", "copy what it gives to a file and name that"
        )
    check_permitted(path, name=name)
    if largest is not None and found.st_size > largest:
        raise DataError(
            subject,
            f"has {found.st_size / 1e6:.0f} MB, such a file has {largest / 1e6:.0f} MB at most",
            "check that it is the right one",
        )


def check_permitted(path: PathLike, *, name: str = "") -> None:
    """Check that a file may be read, or a folder listed; messages call it by its `name`.

    Raises:
        InputMissingError: it may not.
    """
    if not permitted(path, os.R_OK | os.X_OK if os.path.isdir(path) else os.R_OK):
        raise InputMissingError(name or path, *_FORBIDDEN)


def read_small(path: PathLike, largest: int) -> bytes:
    """Return the content of a file of at most so many bytes.

    Raises:
        InputMissingError, DataError: as `check_regular`.
    """
    check_regular(path, largest=largest)
    try:
        with open(path, "rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise _missing(os.fspath(path), error) from error
    if len(content) > largest:
        raise DataError(path, "grows while it is read", "wait until it is whole")
    return content


def _missing(subject: str, error: Exception) -> InputMissingError:
    if isinstance(error, FileNotFoundError):
        return InputMissingError(subject, "no such file", "check the path")
    if isinstance(error, PermissionError):
        return InputMissingError(subject, *_FORBIDDEN)
    problem = error.strerror if isinstance(error, OSError) else None
    return InputMissingError(subject, (problem or "cannot be opened").lower(), "check the path")
