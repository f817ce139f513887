"""Temporary folders, which go with the run; those of a killed run go with the next.

The folder itself is locked as long as its run lives. The system unlocks it when the process ends,
however it ends.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lcmap.errors import cannot_write
from lcmap.interruption import Cleanup, uninterrupted

_PREFIX = "lcmap-tmp-"
_NAME = re.compile(re.escape(_PREFIX) + "[a-z0-9_]{8}")


@contextmanager
def temporary_folder(tmpdir: Path | None = None) -> Iterator[Path]:
    """Yield a new folder in `tmpdir`, or where the system has temporary files, for this run alone.

    Folders there that killed runs left are removed first.

    Raises:
        CannotWriteError: it cannot be made.
    """
    place = Path(tmpdir or tempfile.gettempdir())
    _remove_abandoned(place)
    with uninterrupted():
        try:
            folder, lock = _locked_folder(place)
        except OSError as error:
            raise cannot_write(place, error) from error
        remove = Cleanup(lambda: _remove(folder, lock))
    try:
        yield folder
    finally:
        remove()


def _locked_folder(place: Path) -> tuple[Path, int]:
    """Return a new folder, and its open lock where the file system has locks."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        with suppress(FileNotFoundError):  # removed by a run that found it unlocked
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.stat(folder)
            except (BlockingIOError, FileNotFoundError):
                os.close(lock)
                continue
            except OSError:
                pass  # there are none
            return folder, lock


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _remove_abandoned(place: Path) -> None:
    """Remove this user's folders that no run holds; where there are no locks, none is removed."""
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                with suppress(OSError):
                    _remove_if_abandoned(entry.path)


def _remove_if_abandoned(path: str) -> None:
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(lock).st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)
