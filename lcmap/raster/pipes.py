"""Standard input and output as files.

GeoTIFF cannot be streamed, so a pipe is copied to a temporary file; GDAL's own /vsistdin/ and
/vsistdout/ hold everything in memory or write files that the next stage cannot read.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lcmap.errors import InputMissingError, UsageError, cannot_write
from lcmap.paths import PathLike
from lcmap.raster.temporary_folder import temporary_folder

STANDARD_STREAM = "-"
_CHUNK = 1 << 20
_STANDARD_INPUT = Path("/dev/stdin")


def display_name(path: PathLike) -> str:
    """Return what messages call an input: its path, or that it is standard input."""
    return "standard input" if os.fspath(path) == STANDARD_STREAM else os.fspath(path)


def check_standard_input_once(paths: Iterable[PathLike]) -> None:
    """Check that standard input, which can be read once, is one input at most.

    Raises:
        UsageError: otherwise.
    """
    if [os.fspath(path) for path in paths].count(STANDARD_STREAM) > 1:
        raise UsageError("standard input", "can be one input only", "give the others as files")


@contextmanager
def input_path(path: PathLike, *, tmpdir: Path | None = None) -> Iterator[Path]:
    """Yield a path that can be opened and read at random.

    "-" is standard input: read in place if it is a file (`< file`), else copied to `tmpdir`
    first and removed afterwards.

    Raises:
        UsageError: standard input is a terminal.
        InputMissingError: standard input is closed or empty.
        CannotWriteError: no space in `tmpdir`.
    """
    if os.fspath(path) != STANDARD_STREAM:
        yield Path(path)
        return
    if _is_regular_file(0):
        yield _STANDARD_INPUT
        return
    if os.isatty(0):
        raise UsageError("standard input", "is a terminal", "pipe a raster in or name a file")
    try:
        os.fstat(0)
    except OSError:
        raise InputMissingError("standard input", "is closed", "pipe a raster in") from None
    with temporary_folder(tmpdir) as folder:
        copy = folder / "stdin.tif"
        try:
            with open(copy, "wb") as file, os.fdopen(os.dup(0), "rb") as source:
                shutil.copyfileobj(source, file, _CHUNK)
        except OSError as error:
            raise cannot_write(folder, error) from error
        if copy.stat().st_size == 0:
            raise InputMissingError(
                "standard input", "is empty", "the command before it in the pipe wrote nothing"
            )
        yield copy


def is_copy(given: PathLike, path: Path) -> bool:
    """Tell whether what `input_path` yielded for an input is a temporary copy of it."""
    return os.fspath(given) == STANDARD_STREAM and path != _STANDARD_INPUT


def _is_regular_file(descriptor: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return False
