"""A folder that one process at a time may work in."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from lcmap.errors import LockedError

LOCK = "lock"
"""The name of the lock's file in the folder."""


def lock_folder(folder: Path, output: str) -> int:
    """Return the open lock of a folder, which is made if it is missing; closing it unlocks.

    The system unlocks it when the process ends, however it ends. `output` names what is made there
    in errors.

    Raises:
        LockedError: another process holds it.
        OSError: the folder cannot be made.
    """
    path = folder / LOCK
    while True:
        folder.mkdir(exist_ok=True)
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # a run that just ended removed the folder
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), os.stat(path)):
                return lock
        except FileNotFoundError:
            pass  # locked, and removed by the run that had it
        except BlockingIOError as error:
            os.close(lock)
            raise LockedError(
                output, "another run is making it", "wait until it ends, or name another output"
            ) from error
        os.close(lock)
