"""A prediction on its way: what is finished of it lies beside the output until the map is whole.

A killed run loses what it did since the last commit, some seconds; the same command continues from
there. The folder holds

    lock         held while a run works on it
    plan.json    what the result depends on
    journal      which tiles are finished, and which outputs have been given their names
    NAME.raw     the arrays of the tiles (see `spool`)
    NAME.tif     outputs that wait for their names
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy.typing as npt

from lcmap.errors import CannotWriteError, LcmapError, LockedError
from lcmap.inference.resume.journal import Journal, Record, decode
from lcmap.inference.resume.plan import Plan, differences, normalised, read_plan, write_plan
from lcmap.inference.resume.tile_store import BandGroup, TileStore
from lcmap.paths import PathLike
from lcmap.raster.pipes import cannot_write
from lcmap.raster.windows import Window
from lcmap.raster.writing import sync_folder

COMMIT_SECONDS = 5.0
"""How often finished tiles are brought to the disk: what a killed run loses at most."""

_LOCK, _PLAN, _JOURNAL = "lock", "plan.json", "journal"

logger = logging.getLogger(__name__)


def work_folder_path(output: PathLike) -> Path:
    """Return the folder where an output is made, beside it."""
    path = Path(os.path.abspath(output))
    return path.with_name(f".{path.name}.lcmap-unfinished")


def recorded(output: PathLike, kind: str) -> Any:
    """Return what an unfinished run of an output last recorded of a kind, None if nothing."""
    try:
        content = (work_folder_path(output) / _JOURNAL).read_bytes()
    except OSError:
        return None
    return _last(decode(content)[0], kind)


class WorkFolder:
    """The folder of a map that is being made: locked, planned, continued, removed in the end.

    A context manager. Left without an error, or with `discard` called, the folder is removed. Left
    by an error it stays, for the same command to continue, unless nothing is finished yet.
    """

    def __init__(self, output: PathLike, *, resumable: bool, tmpdir: Path | None = None) -> None:
        """Make `output`; if not `resumable`, in a folder of `tmpdir` that is always removed."""
        self.output = os.fspath(output)
        self._resumable = resumable
        self._tmpdir = tmpdir
        self._pending: list[Record] = []
        self._committed = 0.0
        self._spool: TileStore | None = None
        self._journal: Journal | None = None
        self._discarded = False

    def __enter__(self) -> WorkFolder:
        """Make the folder and lock it.

        Raises:
            LockedError: another run is making this output.
            CannotWriteError: the folder cannot be made.
        """
        try:
            if self._resumable:
                self.folder = work_folder_path(self.output)
            else:
                self.folder = Path(tempfile.mkdtemp(prefix="lcmap-", dir=self._tmpdir))
            self._lock = _lock(self.folder, self.output)
        except LcmapError:
            raise
        except OSError as error:
            raise cannot_write(self.output, error) from error
        return self

    def continued_tile(self, facts: Plan) -> int | None:
        """Return the tile size of what lies here, None where nothing with these facts does."""
        plan = read_plan(self.folder / _PLAN)
        if plan is None or any(
            plan.get(name) != value for name, value in normalised(facts).items()
        ):
            return None
        tile = plan.get("tile")
        return tile if isinstance(tile, int) else None

    def has(self, plan: Plan) -> bool:
        """Tell whether what lies here is of this plan."""
        return read_plan(self.folder / _PLAN) == normalised(plan)

    def begin(
        self,
        plan: Plan,
        tiles: Sequence[Window],
        planes: Sequence[BandGroup],
        *,
        before_afresh: Callable[[], None],
    ) -> None:
        """Continue what lies here if it has the same plan, else start afresh.

        `before_afresh` is called before anything is given up for a new start, which it may refuse.

        Raises:
            CannotWriteError: the disk is too small for what is needed meanwhile.
        """
        plan = normalised(plan)
        old = read_plan(self.folder / _PLAN)
        continued = old == plan and self._whole(tiles, planes)
        try:
            if not continued:
                before_afresh()
                if old is not None and old != plan:
                    changed = ", ".join(differences(old, plan))
                    logger.info("%s: starting afresh, for other %s", self.output, changed)
                self._clear()
                write_plan(plan, self.folder / _PLAN)
            self._open(tiles, planes)
        except LcmapError:
            raise
        except OSError as error:
            raise cannot_write(self.output, error) from error
        if self.done("tile"):
            count = len(self.done("tile"))
            logger.info("%s: continuing: %d of %d tiles are done", self.output, count, len(tiles))

    @property
    def spool(self) -> TileStore:
        """The arrays of the finished tiles."""
        assert self._spool is not None, "begin first"
        return self._spool

    def done(self, kind: str) -> dict[int, Record]:
        """Return the records of a kind by their number, as `add` was given them."""
        assert self._journal is not None, "begin first"
        records = [*self._journal.records, *self._pending]
        return {record[kind]: record for record in records if kind in record}

    def last(self, kind: str) -> Any:
        """Return what was last recorded of a kind, None if nothing."""
        assert self._journal is not None, "begin first"
        return _last([*self._journal.records, *self._pending], kind)

    def store(self, tile: Window, arrays: Mapping[str, npt.NDArray[Any]], record: Record) -> None:
        """Write the arrays of a finished tile, and `add` its record.

        Raises:
            CannotWriteError: no space left.
        """
        try:
            self.spool.write(tile, arrays)
        except OSError as error:
            raise cannot_write(self.output, error) from error
        self.add(record)

    def record(self, record: Record) -> None:
        """Record something and commit it at once.

        Raises:
            CannotWriteError: no space left.
        """
        self._pending.append(record)
        self.commit()

    def add(self, record: Record) -> None:
        """Record that something is finished; it counts once it is committed.

        Raises:
            CannotWriteError: it is time to commit, and that fails.
        """
        self._pending.append(record)
        if time.monotonic() - self._committed >= COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Bring what is finished to the disk: first its data, then its record.

        Raises:
            CannotWriteError: no space left.
        """
        if not self._resumable:
            return
        assert self._journal is not None, "begin first"
        records, self._pending = self._pending, []
        try:
            self.spool.flush()
            self._journal.append(records)
        except OSError as error:
            raise cannot_write(self.output, error) from error
        self._committed = time.monotonic()

    def discard(self) -> None:
        """Let nothing remain: what lies here is wrong."""
        self._discarded = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the folder, or keep it and say how to continue."""
        try:
            keep = error is not None and self._resumable and not self._discarded
            if keep and self._something_done():
                logger.info(
                    "%s: what is done stays in %s: the same command continues, or delete it",
                    self.output, self.folder,
                )  # fmt: skip
                self._close()
            else:
                self._clear()
                with suppress(OSError):
                    (self.folder / _LOCK).unlink()
                    self.folder.rmdir()
        finally:
            os.close(self._lock)

    def _something_done(self) -> bool:
        if self._journal is None:
            # an earlier run's, which this one did not come to
            return (self.folder / _JOURNAL).exists()
        with suppress(CannotWriteError):
            if self._pending:
                self.commit()
        return bool(self._journal.records)

    def _whole(self, tiles: Sequence[Window], planes: Sequence[BandGroup]) -> bool:
        """Tell whether all files of the spool and the journal are there."""
        pixels = sum(tile.height * tile.width for tile in tiles)
        try:
            return (self.folder / _JOURNAL).exists() and all(
                os.path.getsize(self.folder / f"{plane.name}.raw") == pixels * plane.pixel_bytes
                for plane in planes
            )
        except FileNotFoundError:
            return False

    def _open(self, tiles: Sequence[Window], planes: Sequence[BandGroup]) -> None:
        for path in self.folder.iterdir():
            if path.is_dir():  # of an output that a killed run did not finish
                shutil.rmtree(path)
        self._spool = TileStore(self.folder, tiles, planes)
        needed, free = self._spool.missing_bytes(), _free_bytes(self.folder)
        if needed > free:
            raise CannotWriteError(
                self.output,
                f"needs {_gigabytes(needed)} in {self.folder.parent} while it is made, "
                f"{_gigabytes(free)} are free",
                "free some, or choose another place",
            )
        self._journal = Journal(self.folder / _JOURNAL)
        sync_folder(self.folder)
        sync_folder(self.folder.parent)
        self._committed = time.monotonic()

    def _close(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _clear(self) -> None:
        """Remove all but the lock, the plan last: as long as it is there, the run is not over."""
        self._close()
        for path in sorted(self.folder.iterdir(), key=lambda path: path.name in (_JOURNAL, _PLAN)):
            if path.name in (_LOCK, _JOURNAL, _PLAN):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        for name in (_JOURNAL, _PLAN):
            (self.folder / name).unlink(missing_ok=True)


def _lock(folder: Path, output: str) -> int:
    """Return the open lock of a folder, which is made where it is missing."""
    path = folder / _LOCK
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


def _last(records: Sequence[Record], kind: str) -> Any:
    found = [record[kind] for record in records if kind in record]
    return found[-1] if found else None


def _free_bytes(folder: Path) -> int:
    statistics = os.statvfs(folder)
    return statistics.f_bavail * statistics.f_frsize


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
