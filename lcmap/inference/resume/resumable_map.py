"""A map on its way from finished tiles to files, which the same command continues after a kill."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

import numpy.typing as npt
import rasterio

from lcmap.errors import CannotWriteError, LcmapError, OutputExistsError
from lcmap.inference.band_groups import BandGroup
from lcmap.inference.output_files import OutputFiles
from lcmap.inference.resume.journal import CommittedJournal, Record, last, read_records
from lcmap.inference.resume.plan import Plan, differences, normalised, read_plan, write_plan
from lcmap.inference.resume.publication import (
    already_named,
    finish_naming,
    give_names,
    left_by_a_killed_run,
    make_file,
    naming_record,
)
from lcmap.inference.resume.tile_store import TileStore
from lcmap.inference.resume.work_folder import (
    WorkFolder,
    journal_path,
    plan_path,
    work_folder_path,
    writing_to,
)
from lcmap.interruption import uninterrupted
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.destination import stream_at
from lcmap.raster.grid import Grid
from lcmap.raster.output_set import OutputSet
from lcmap.raster.threads import available_threads
from lcmap.raster.windows import Window
from lcmap.raster.writing import sync_folder

Step = Literal["tile", "verified"]
"""What is done to a tile: its arrays are stored, they are compared with a second prediction."""

Item = TypeVar("Item")

logger = logging.getLogger(__name__)


def check_before_work(files: OutputFiles) -> None:
    """Refuse outputs that cannot be written; those of a run that is to be continued may exist.

    Raises:
        UsageError, OutputExistsError, CannotWriteError: as `OutputFiles.check`.
    """
    own: set[str] = set()
    if files.resumable:
        folder = work_folder_path(files.codes)
        own = left_by_a_killed_run(files, folder, read_records(journal_path(folder)))
    try:
        files.check(own)
    except OutputExistsError:
        _remove_what_is_over(files)
        raise


def _remove_what_is_over(files: OutputFiles) -> None:
    """Remove what a run left that was killed after all its files had their names."""
    with suppress(LcmapError), OutputSet(_paths(files), overwrite=True):
        folder = work_folder_path(files.codes)
        if folder.is_dir() and not plan_path(folder).exists():
            with WorkFolder(files.codes, resumable=True):
                pass


def _paths(files: OutputFiles) -> list[PathLike]:
    return [file.path for file in reversed(files.in_naming_order)]


def continued_tile(output: PathLike, facts: Plan) -> int | None:
    """Return the tile size of the run that `facts` continue, None where there is no such run."""
    plan = read_plan(plan_path(work_folder_path(output)))
    if plan is None or any(plan.get(name) != fact for name, fact in normalised(facts).items()):
        return None
    tile = plan.get("tile")
    return tile if isinstance(tile, int) else None


class ResumableMap:
    """A map that is being made of tiles, in a work folder beside it until its files are whole.

        with ResumableMap(files, grid, plan, windows) as work:
            for number, window in work.pending(windows):
                work.store(number, arrays)
            work.publish(report)

    A run of the same plan continues where the last commit of a killed one was, some seconds before
    its end, and ends with the same bytes. Left by an error, what is done stays; left without one,
    or after `discard`, nothing does.

    Today one process makes a map, and holds the folder's lock. Several can, behind the same
    methods: each then commits to a journal of its own, `journal.<writer>`, and `pending` leaves out
    what any journal has, and the share of other writers. The arrays need no change, since each tile
    has its own place in their files. The writers share the lock, and the one that finds nothing
    pending takes it alone to publish.
    """

    published: Record | None = None
    """The report of an earlier run that gave all files their names: then nothing is left to do."""

    def __init__(
        self,
        files: OutputFiles,
        grid: Grid,
        plan: Plan,
        windows: Sequence[Window],
        *,
        groups: Sequence[BandGroup] | None = None,
        tmpdir: Path | None = None,
    ) -> None:
        """Make `files` on a grid of which `windows` are a partition, in rows and columns of tiles.

        `plan` holds all that the bytes of the arrays depend on. `groups` are stored of each tile,
        by default those of the files. What cannot be continued (see `OutputFiles.resumable`) is
        made in a folder of `tmpdir`.
        """
        self._files = files
        self._grid = grid
        self._plan = normalised(plan)
        self._windows = windows
        self._groups = files.groups if groups is None else groups
        self._output = str(files.codes)
        self._folder = WorkFolder(self._output, resumable=files.resumable, tmpdir=tmpdir)
        # an earlier run may have used the same names, so all are this one's until it ends
        self._outputs = OutputSet(_paths(files), overwrite=True)
        self._own: set[str] = set()

    def __enter__(self) -> ResumableMap:
        """Lock the outputs, and continue what is in the work folder if it is of this plan.

        Raises:
            LockedError: another run is making one of them.
            UsageError, OutputExistsError: an output may not be written.
            CannotWriteError: the folder cannot be made, or the disk is too small.
        """
        with ExitStack() as stack:
            stack.enter_context(self._outputs)
            self._path = stack.enter_context(self._folder).path
            with writing_to(self._output):
                self._begin(stack)
            self._leaving = stack.pop_all()
        return self

    @property
    def group_names(self) -> list[str]:
        """The names of the band groups that are stored of each tile."""
        return [group.name for group in self._groups]

    def pending(self, tiles: Sequence[Item], step: Step = "tile") -> list[tuple[int, Item]]:
        """Return the tiles that a step is not done for, each with its number from 0."""
        done = {record[step] for record in self.records(step)}
        return [(number, tile) for number, tile in enumerate(tiles) if number not in done]

    def records(self, step: Step) -> list[Record]:
        """Return what is on record of a step, once for each tile that it is done for."""
        found = {record[step]: record for record in self._journal.records if step in record}
        return list(found.values())

    def store(self, number: int, arrays: Mapping[str, npt.NDArray[Any]], **facts: int) -> None:
        """Store the arrays [bands, h, w] of a finished tile, and put `facts` of it on record.

        Raises:
            CannotWriteError: no space left.
        """
        with writing_to(self._output):
            self._store.write(self._windows[number], arrays)
        self.done("tile", number, **facts)

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
        """
        with writing_to(self._output):
            self._journal.commit()

    def read(self, group: str, window: Window) -> npt.NDArray[Any]:
        """Return a window of what is stored, [bands, h, w], zeros where nothing is yet."""
        return self._store.read(group, window)

    def publish(
        self, report: Record, *, threads: int | None = None, progress: Progress = silent
    ) -> None:
        """Make the files from the stored arrays, and give them their names, the map last.

        What an earlier run did of it is not done again. The `report` goes on record with the names.

        Raises:
            UsageError, OutputExistsError: an output appeared meanwhile.
            CannotWriteError: no space left, or standard output was closed.
        """
        self.commit()
        files, records = self._files, self._journal.records
        own = already_named(files, self._path, records)
        left = [file for file in files.in_naming_order if file.waiting not in own]
        begun = last(records, "naming") == files.naming
        to_make = [file for file in left if not (begun and (self._path / file.waiting).exists())]
        with rasterio.Env(GDAL_NUM_THREADS=str(threads or available_threads())):
            # a sidecar comes after its raster, beside which GDAL may have made one
            for file in reversed(to_make):
                make_file(file, self._store, self._grid, self._path, progress)
        if to_make:
            files.check(self._own | own)
            with writing_to(self._output):
                self._journal.add(naming_record(files, self._path, report))
            self.commit()
        # a stream may wait for its reader for ever
        streams = any(stream_at(file.path) is not None for file in left)
        with nullcontext() if streams else uninterrupted():
            give_names(left, self._path, files.sidecars)
            self.discard()

    def discard(self) -> None:
        """Leave nothing behind, even after an error: what is stored is wrong."""
        self._folder.discard()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the work folder; after an error keep it, and say how to continue."""
        self._leaving.__exit__(kind, error, traceback)

    def _begin(self, stack: ExitStack) -> None:
        """Open what is there of this plan, else start afresh."""
        old = read_plan(plan_path(self._path))
        records = read_records(journal_path(self._path))
        if old == self._plan:
            own = already_named(self._files, self._path, records)
            if len(own) == len(self._files.in_naming_order):
                logger.info("%s: is complete already", self._output)
                self.published = last(records, "report")
                return
        if old != self._plan or last(records, "naming") != self._files.naming:
            self._own = finish_naming(self._files, self._path, records)
        if old != self._plan or not self._is_whole():
            self._files.check(self._own)
            if old is not None and old != self._plan:
                changed = ", ".join(differences(old, self._plan))
                logger.info("%s: starting afresh, since these changed: %s", self._output, changed)
            self._folder.clear()
            write_plan(self._plan, plan_path(self._path))
        self._open(stack)
        done, tiles = len(self.records("tile")), len(self._windows)
        if done:
            logger.info("%s: continuing: %d of %d tiles are done", self._output, done, tiles)

    def _is_whole(self) -> bool:
        """Tell whether the journal and all arrays are there."""
        pixels = sum(window.height * window.width for window in self._windows)
        try:
            return journal_path(self._path).exists() and all(
                (self._path / f"{group.name}.raw").stat().st_size == pixels * group.pixel_bytes
                for group in self._groups
            )
        except FileNotFoundError:
            return False

    def _open(self, stack: ExitStack) -> None:
        for path in self._path.iterdir():
            if path.is_dir():  # of an output that a killed run did not finish
                shutil.rmtree(path)
        self._store = TileStore(self._path, self._windows, self._groups)
        stack.callback(self._store.close)
        self._folder.check_space(self._store.missing_bytes())
        self._journal = CommittedJournal(
            journal_path(self._path), self._store.flush, durable=self._files.resumable
        )
        stack.callback(self._journal.close)
        stack.push(self._commit_after_error)
        sync_folder(self._path)
        sync_folder(self._path.parent)

    def _commit_after_error(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            with suppress(CannotWriteError):
                self.commit()
