"""A folder that one process at a time may work in."""

from __future__ import annotations

from pathlib import Path

from lcmap.raster.output_lock import lock_file

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
    while True:
        folder.mkdir(exist_ok=True)
        try:
            return lock_file(folder / LOCK, output)
        except FileNotFoundError:
            continue  # a run that just ended removed the folder
