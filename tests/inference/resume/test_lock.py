"""One process at a time works in a folder, and a killed one does not stand in the way."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lcmap.errors import LockedError
from lcmap.inference.resume.lock import LOCK, lock_folder

HOLD = """
import sys
from pathlib import Path
from lcmap.inference.resume.lock import lock_folder
lock_folder(Path(sys.argv[1]), "map.tif")
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_kill_releases_the_lock(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None and holder.stdout.readline() == b"locked\n"
    with pytest.raises(LockedError, match=r"map\.tif: another run is making it"):
        lock_folder(folder, "map.tif")
    holder.kill()
    holder.communicate()
    os.close(lock_folder(folder, "map.tif"))


def test_a_lock_that_its_owner_removed_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening the file and locking it, the run that had it ends and removes the folder."""
    folder = tmp_path / "work"
    stat, removals = os.stat, [folder / LOCK]

    def removed_meanwhile(path: Path) -> os.stat_result:
        for lock in removals:
            lock.unlink()
            folder.rmdir()
        removals.clear()
        return stat(path)

    monkeypatch.setattr(os, "stat", removed_meanwhile)
    lock = lock_folder(folder, "map.tif")
    monkeypatch.undo()
    assert os.path.samestat(os.fstat(lock), os.stat(folder / LOCK))
    os.close(lock)


def test_a_file_system_without_locks_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    for lock in (lock_folder(tmp_path / "work", "map.tif") for _ in range(2)):
        os.close(lock)
