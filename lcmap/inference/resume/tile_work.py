"""Tiles that are being made in a work folder, which the same command continues after a kill."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import numpy.typing as npt

from lcmap.errors import CannotWriteError, InputChangedError, InputGoneError
from lcmap.inference.band_groups import BandGroup
from lcmap.inference.resume.journal import CommittedJournal, Record, read_records
from lcmap.inference.resume.plan import Plan, differences, normalised, read_plan, write_plan
from lcmap.inference.resume.tile_store import TileStore
from lcmap.inference.resume.work_folder import (
    WorkFolder,
    is_regular,
    journal_path,
    plan_path,
    remove,
    writing_to,
)
from lcmap.progress import Progress, silent
from lcmap.raster.input_watch import current_watch
from lcmap.raster.windows import Window
from lcmap.raster.writing import sync_folder

Step = Literal["tile", "verified"]
"""What is done to a tile: its arrays are stored, they are compared with a second prediction."""

Item = TypeVar("Item")

LAYOUT = 2
"""Of the work folder; one of another layout is not continued."""

CHECKSUM = "checksum"
"""What the record of a tile calls the checksum of its arrays."""

logger = logging.getLogger(__name__)


class TileWork(ABC):
    """The tiles of a map, or some of them, that are being made in a work folder.

    A context manager. A run of the same plan continues where the last commit of a killed one was,
    some seconds before its end. Left by an error, what is done stays; what else becomes of it, the
    classes say that are made of this one.
    """

    published: Record | None = None
    """The report of an earlier run that did all: then nothing is left to do."""

    continued: bool = False
    """Whether an earlier run did a part, or all."""

    def __init__(
        self,
        folder: WorkFolder,
        plan: Plan,
        windows: Mapping[int, Window],
        groups: Sequence[BandGroup],
        *,
        durable: bool = True,
    ) -> None:
        """Make the tiles of these numbers and `windows`; of each, the band `groups` are stored.

        `plan` holds all that the bytes of the arrays depend on. What is not `durable` no other run
        will continue.
        """
        self._folder = folder
        self._plan = normalised(plan | {"layout": LAYOUT})
        self._windows = windows
        self._groups = groups
        self._durable = durable
        self._output = folder.output
        self._inputs = current_watch()
        self._damaged: set[int] = set()

    def __enter__(self) -> Self:
        """Lock the folder, and continue what is in it if it is of this plan.

        Raises:
            LockedError: another run is working in it.
            CannotWriteError: the folder cannot be made, or the disk is too small.
        """
        with ExitStack() as stack:
            self._enter(stack)
            self._leaving = stack.pop_all()
        return self

    @property
    def group_names(self) -> list[str]:
        """The names of the band groups that are stored of each tile."""
        return [group.name for group in self._groups]

    @property
    def pixels(self) -> int:
        """The pixels of all tiles."""
        return sum(window.height * window.width for window in self._windows.values())

    def pending(self, tiles: Sequence[Item], step: Step = "tile") -> list[tuple[int, Item]]:
        """Return those of all tiles of the map that a step is to be done for, each with its number.

        Numbers begin at 0. For a second prediction the tiles are other ones.
        """
        done = {record[step] for record in self.records(step)}
        own = self._windows if step == "tile" else range(len(tiles))
        return [
            (number, tile)
            for number, tile in enumerate(tiles)
            if number in own and number not in done
        ]

    def records(self, step: Step) -> list[Record]:
        """Return what is on record of a step, once for each tile that it is done for."""
        found = {record[step]: record for record in self._journal.records if step in record}
        gone = self._damaged if step == "tile" else ()
        return [
            {name: value for name, value in record.items() if name != CHECKSUM}
            for number, record in found.items()
            if number not in gone
        ]

    def store(self, number: int, arrays: Mapping[str, npt.NDArray[Any]], **facts: int) -> None:
        """Store the arrays [bands, h, w] of a finished tile, and put `facts` of it on record.

        Raises:
            CannotWriteError: no space left.
        """
        with writing_to(self._output):
            checksum = self._store.write(self._windows[number], arrays)
        self.done("tile", number, **{CHECKSUM: checksum}, **facts)
        self._damaged.discard(number)

    def done(self, step: Step, number: int, **facts: float) -> None:
        """Put on record that a step is done for a tile; it counts once it is committed.

        Raises:
            CannotWriteError: it is time to commit, and that fails.
        """
        with writing_to(self._output):
            self._journal.add({step: number, **facts})

    def commit(self) -> None:
        """Bring what is done to the disk.

        Raises:
            CannotWriteError: no space left.
            InputChangedError: what it was made of is not what it was.
        """
        self._check_inputs()
        with writing_to(self._output):
            self._journal.commit()

    def read(self, group: str, window: Window) -> npt.NDArray[Any]:
        """Return a window of what is stored, [bands, h, w], zeros where nothing is yet."""
        return self._store.read(group, window)

    @abstractmethod
    def publish(
        self, report: Record, *, threads: int | None = None, progress: Progress = silent
    ) -> None:
        """End the work when all tiles are done; the `report` goes on record."""

    def discard(self) -> None:
        """Leave nothing behind, even after an error: what is stored is wrong."""
        self._folder.discard()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the folder; after an error it stays, and a line says how to continue."""
        self._leaving.__exit__(kind, error, traceback)

    def _enter(self, stack: ExitStack) -> None:
        self._path = stack.enter_context(self._folder).path
        with writing_to(self._output):
            self._begin(stack)

    def _begin(self, stack: ExitStack) -> None:
        """Open what is there of this plan, else start afresh."""
        old = read_plan(plan_path(self._path))
        if old != self._plan or not self._is_whole():
            if not self._folder.is_empty():
                why = self._why_afresh(old)
                logger.info("%s: starting afresh, since %s", self._output, why)
            self._folder.clear()
            write_plan(self._plan, plan_path(self._path))
        self._open(stack)
        self._find_damaged()
        done, tiles = len(self.records("tile")), len(self._windows)
        if done:
            self.continued = True
            logger.info("%s: continuing: %d of %d tiles are done", self._output, done, tiles)

    def _why_afresh(self, old: Plan | None) -> str:
        if old is None:
            return "what an earlier run left cannot be read"
        if old.get("layout") != LAYOUT:
            return "another version of lcmap left what is there"
        if old == self._plan:
            return "what an earlier run left is not whole"
        return f"these changed: {', '.join(differences(old, self._plan))}"

    def _is_whole(self) -> bool:
        """Tell whether the journal and all arrays are there, and the journal is of these tiles."""
        arrays = {self._path / f"{group.name}.raw": group for group in self._groups}
        if not all(map(is_regular, (journal_path(self._path), *arrays))):
            return False
        return all(
            path.stat().st_size == self.pixels * group.pixel_bytes for path, group in arrays.items()
        ) and all(
            record["tile"] in self._windows and CHECKSUM in record
            for record in read_records(journal_path(self._path))
            if "tile" in record
        )

    def _find_damaged(self) -> None:
        """Find the tiles that are not on the disk as they were stored."""
        for number in damaged_tiles(self._store, self._windows, self._journal.records):
            self._damaged.add(number)
            logger.debug("%s: tile %d is damaged and made again", self._output, number)

    def _open(self, stack: ExitStack) -> None:
        for path in self._path.iterdir():
            if path.is_dir():  # of an output that a killed run did not finish
                remove(path)
        self._store = TileStore(self._path, list(self._windows.values()), self._groups)
        stack.callback(self._store.close)
        self._folder.check_space(self._store.missing_bytes())
        self._journal = CommittedJournal(
            journal_path(self._path), self._flush, durable=self._durable
        )
        stack.callback(self._journal.close)
        stack.push(self._commit_after_error)
        sync_folder(self._path)
        sync_folder(self._path.parent)

    def _flush(self) -> None:
        """Bring the tiles to the disk, if what they were made of is still the same."""
        self._check_inputs()
        self._store.flush()

    def _check_inputs(self) -> None:
        """Check the inputs before what was made of them counts; keep what counts if they are gone.

        Their disk may come back. What was made of others is of no use to the next run.
        """
        try:
            self._inputs.check()
        except InputGoneError:
            raise
        except InputChangedError:
            self.discard()
            raise

    def _commit_after_error(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            with suppress(CannotWriteError, InputChangedError):
                self.commit()


def damaged_tiles(
    store: TileStore, windows: Mapping[int, Window], records: Sequence[Record]
) -> list[int]:
    """Return the numbers of the tiles on record that are not on the disk as they were stored.

    Raises:
        OSError: the arrays cannot be read.
    """
    stored = {record["tile"]: record[CHECKSUM] for record in records if "tile" in record}
    return [
        number for number, checksum in stored.items() if store.checksum(windows[number]) != checksum
    ]
