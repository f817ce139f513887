"""The folder beside a map where it is made, until it is whole.

The folder holds

    lock         held while a run works in it
    plan.json    what the result depends on
    journal      which tiles are finished, with their checksums, and that the files are being given
                 their names
    NAME.raw     the arrays of the tiles (see `tile_store`)
    NAME.tif     finished files that wait for their names, sidecars among them
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType

from lcmap.errors import CannotWriteError, LcmapError, cannot_write
from lcmap.inference.resume.lock import LOCK, lock_folder
from lcmap.interruption import Cleanup, uninterrupted
from lcmap.paths import PathLike, permitted
from lcmap.raster.destination import file_at
from lcmap.raster.temporary_folder import temporary_folder

_PLAN, _JOURNAL = "plan.json", "journal"

logger = logging.getLogger(__name__)


def work_folder_path(output: PathLike) -> Path:
    """Return the folder where an output is made, beside the file that links lead to."""
    path = file_at(output)
    return path.with_name(f".{path.name}.lcmap-work")


def plan_path(folder: Path) -> Path:
    """Return the file of the plan in a work folder."""
    return folder / _PLAN


def journal_path(folder: Path) -> Path:
    """Return the file of the journal in a work folder."""
    return folder / _JOURNAL


def check_work_folder(path: Path, output: str) -> None:
    """Check that what has the name of a work folder can be one, where there is anything.

    A link is not followed: all that is in a work folder may be removed.

    Raises:
        CannotWriteError: it cannot; it names `output`.
    """
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        what = "a link" if path.is_symlink() else "not a folder"
        raise CannotWriteError(output, f"its work folder {path} is {what}", "remove it")
    if not permitted(path, os.R_OK | os.W_OK | os.X_OK):
        raise CannotWriteError(
            output, f"its work folder {path} may not be written", "change its permissions"
        )
    lock = path / LOCK
    if os.path.lexists(lock) and not is_regular(lock):
        raise CannotWriteError(output, f"the lock {lock} is not a file", "remove it")


def is_regular(path: Path) -> bool:
    """Tell whether there is a regular file, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class WorkFolder:
    """A work folder: made and locked when it is entered, removed or kept when it is left.

    A context manager. Left without an error, or after `discard`, the folder is removed; after
    `keep` it stays. Left by an error it stays, for the same command to continue, if anything was
    finished.
    """

    path: Path

    def __init__(
        self,
        output: PathLike,
        *,
        resumable: bool,
        tmpdir: Path | None = None,
        place: Path | None = None,
    ) -> None:
        """Make `output` there; if not `resumable`, in a folder of `tmpdir` that never stays.

        The folder is the one at `place`, by default `work_folder_path(output)`.
        """
        self.output = os.fspath(output)
        self._place = place
        self._resumable = resumable
        self._tmpdir = tmpdir
        self._temporary = ExitStack()
        self._discarded = False
        self._kept = False
        self._failed = True

    def __enter__(self) -> WorkFolder:
        """Make the folder and lock it.

        Raises:
            LockedError: another run is making this output.
            CannotWriteError: the folder cannot be made.
        """
        with writing_to(self.output):
            if self._resumable:
                self.path = self._place or work_folder_path(self.output)
                check_work_folder(self.path, self.output)
            else:
                self.path = self._temporary.enter_context(temporary_folder(self._tmpdir))
            with uninterrupted():
                self._lock = lock_folder(self.path, self.output)
                self._cleanup = Cleanup(self._leave)
        return self

    def discard(self) -> None:
        """Remove the folder in the end, even after an error: what is in it is wrong."""
        self._discarded = True

    def keep(self) -> None:
        """Leave the folder as it is: others will read what is in it."""
        self._kept = True

    def clear(self) -> None:
        """Remove all but the lock, the plan last: as long as it is there, the run is not over."""
        last = [journal_path(self.path), plan_path(self.path)]
        others = [path for path in self.path.iterdir() if path.name != LOCK and path not in last]
        for path in [*others, *last]:
            remove(path)

    def is_empty(self) -> bool:
        """Tell whether nothing but the lock is there."""
        return all(path.name == LOCK for path in self.path.iterdir())

    def check_space(self, needed: int) -> None:
        """Check that `needed` bytes fit on the disk.

        Raises:
            CannotWriteError: they do not.
        """
        free = _free_bytes(self.path)
        if needed > free:
            raise CannotWriteError(
                self.output,
                f"needs {_gigabytes(needed)} in {self.path.parent} while it is made, "
                f"{_gigabytes(free)} are free",
                "free some, or choose another place",
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the folder, or keep it and say how to continue."""
        self._failed = error is not None
        self._cleanup()

    def _leave(self) -> None:
        try:
            to_continue = self._failed and self._resumable and self._has_records()
            over = self._discarded or not (self._kept or to_continue)
            if over and self.path.is_dir():
                self.clear()
                with suppress(OSError):
                    (self.path / LOCK).unlink()
                    self.path.rmdir()
            elif not over and not self._kept:
                logger.info(
                    "%s: what is done stays in %s; run the same command to continue, or delete it",
                    self.output, self.path,
                )  # fmt: skip
        finally:
            os.close(self._lock)
            self._temporary.close()

    def _has_records(self) -> bool:
        try:
            return journal_path(self.path).stat().st_size > 0
        except FileNotFoundError:
            return False


@contextmanager
def writing_to(output: str) -> Iterator[None]:
    """Raise what the system refuses inside as the error of lcmap that names `output`.

    Raises:
        CannotWriteError: the system refused to write.
    """
    try:
        yield
    except LcmapError:
        raise
    except OSError as error:
        raise cannot_write(output, error) from error


def _free_bytes(folder: Path) -> int:
    statistics = os.statvfs(folder)
    return statistics.f_bavail * statistics.f_frsize


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
