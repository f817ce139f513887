"""Locks on outputs, so that one run at a time makes a file.

An output's lock is the file `.NAME.lcmap-lock` beside it. The system unlocks it when the process
ends, however it ends; the file goes with the run, or with the next one.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import TracebackType

from lcmap.errors import LockedError, cannot_write
from lcmap.interruption import Cleanup, uninterrupted
from lcmap.paths import PathLike

_WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What file systems answer that have no locks."""

_held: set[Path] = set()
_held_guard = Lock()


def is_held(file: Path) -> bool:
    """Return whether this process holds the lock of an output, by its real path."""
    with _held_guard:
        return file in _held


def lock_path(file: Path) -> Path:
    """Return the file that is locked while an output, by its real path, is made."""
    return file.with_name(f".{file.name}.lcmap-lock")


class OutputLocks:
    """The locks of several outputs, by their real paths; a context manager."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Lock these files once it is entered; `add` locks more."""
        self._wanted = list(dict.fromkeys(files))
        self._open: dict[Path, int] = {}

    def __enter__(self) -> OutputLocks:
        """Lock them all.

        Raises:
            LockedError: another run is making one of them.
            CannotWriteError: a lock cannot be made.
        """
        self._cleanup = Cleanup(self._unlock)
        try:
            for file in self._wanted:
                self.add(file)
        except BaseException:
            self.release()
            raise
        return self

    def add(self, file: Path) -> None:
        """Lock one more, if it is not yet.

        Raises:
            LockedError, CannotWriteError: as when it is entered.
        """
        if file in self._open:
            return
        with uninterrupted():
            with _held_guard:
                if file in _held:
                    raise _locked(file)
                _held.add(file)
            try:
                self._open[file] = lock_file(lock_path(file), file)
            except OSError as error:
                with _held_guard:
                    _held.discard(file)
                if isinstance(error, LockedError):
                    raise
                raise cannot_write(file, error) from error

    def release(self) -> None:
        """Unlock them all, and remove the files of the locks."""
        self._cleanup()

    def _unlock(self) -> None:
        for file, descriptor in self._open.items():
            with suppress(OSError):
                lock_path(file).unlink()
            os.close(descriptor)
            with _held_guard:
                _held.discard(file)
        self._open.clear()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Unlock them all."""
        self.release()


def lock_file(path: Path, output: PathLike) -> int:
    """Return the open lock that a file is, which is made if it is missing; closing it unlocks.

    Where the file system has no locks, nothing is locked. `output` names what is made meanwhile in
    errors.

    Raises:
        LockedError: another process holds it.
        OSError: it cannot be made; FileNotFoundError: its folder is missing.
    """
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), os.stat(path)):
                return lock
        except FileNotFoundError:
            pass  # locked, and removed by the run that had it
        except BlockingIOError as error:
            os.close(lock)
            raise _locked(output) from error
        except OSError as error:
            if error.errno in _WITHOUT_LOCKS:
                return lock
            os.close(lock)
            raise
        os.close(lock)


def _locked(output: PathLike) -> LockedError:
    return LockedError(
        output, "another run is making it", "wait until it ends, or name another output"
    )
