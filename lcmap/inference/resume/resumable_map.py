"""A map on its way from finished tiles to files, which the same command continues after a kill."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

import numpy.typing as npt
import rasterio

from lcmap.errors import (
    CannotWriteError,
    InputChangedError,
    InputGoneError,
    LcmapError,
    OutputExistsError,
)
from lcmap.inference.band_groups import BandGroup
from lcmap.inference.output_files import OutputFiles
from lcmap.inference.resume.journal import CommittedJournal, Record, last, read_records
from lcmap.inference.resume.plan import Plan, differences, normalised, read_plan, write_plan
from lcmap.inference.resume.publication import (
    already_named,
    finish_naming,
    give_names,
    is_ready,
    left_by_a_killed_run,
    make_file,
    naming_record,
)
from lcmap.inference.resume.tile_store import TileStore
from lcmap.inference.resume.work_folder import (
    WorkFolder,
    check_work_folder,
    is_regular,
    journal_path,
    plan_path,
    remove,
    work_folder_path,
    writing_to,
)
from lcmap.interruption import uninterrupted
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.destination import stream_at
from lcmap.raster.grid import Grid
from lcmap.raster.input_watch import current_watch
from lcmap.raster.making import note_outputs
from lcmap.raster.output_set import OutputSet
from lcmap.raster.threads import available_threads
from lcmap.raster.windows import Window
from lcmap.raster.writing import sync_folder

Step = Literal["tile", "verified"]
"""What is done to a tile: its arrays are stored, they are compared with a second prediction."""

Item = TypeVar("Item")

LAYOUT = 2
"""Of the work folder; one of another layout is not continued."""

_CHECKSUM = "checksum"
"""What the record of a tile calls the checksum of its arrays."""

logger = logging.getLogger(__name__)


def check_before_work(files: OutputFiles) -> None:
    """Refuse outputs that cannot be written; those of a run that is to be continued may exist.

    Raises:
        UsageError, OutputExistsError, CannotWriteError: as `OutputFiles.check`.
    """
    own: set[str] = set()
    if files.resumable:
        folder = work_folder_path(files.codes)
        check_work_folder(folder, str(files.codes))
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
        needed = plan_path(folder), journal_path(folder)
        if folder.is_dir() and not all(path.exists() for path in needed):
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

    continued: bool = False
    """Whether an earlier run did a part, or all."""

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
        self._plan = normalised(plan | {"layout": LAYOUT})
        self._windows = windows
        self._groups = files.groups if groups is None else groups
        self._output = str(files.codes)
        self._inputs = current_watch()
        self._damaged: set[int] = set()
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
        gone = self._damaged if step == "tile" else ()
        return [
            {name: value for name, value in record.items() if name != _CHECKSUM}
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
        self.done("tile", number, **{_CHECKSUM: checksum}, **facts)
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
        ready = begun and all(is_ready(self._path, records, file.waiting) for file in left)
        # a raster that is made again takes what waits beside it along, so all are
        to_make = [] if ready else left
        with rasterio.Env(GDAL_NUM_THREADS=str(threads or available_threads())):
            # a sidecar comes after its raster, beside which GDAL may have made one
            for file in reversed(to_make):
                make_file(file, self._store, self._grid, self._path, progress)
        if to_make:
            files.check(self._own | own)
            with writing_to(self._output):
                self._journal.add(naming_record(files, self._path, report))
            self.commit()
        waiting = {file.path: self._path / file.waiting for file in files.in_naming_order}
        made = {name: path if path.exists() else Path(name) for name, path in waiting.items()}
        note_outputs(made, beside=[file.path for file in files.sidecars])
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
                self.continued = True
                return
        if old != self._plan or last(records, "naming") != self._files.naming:
            self._own = finish_naming(self._files, self._path, records)
        if old != self._plan or not self._is_whole():
            self._files.check(self._own)
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
        """Tell whether the journal and all arrays are there, and the journal is of this map."""
        pixels = sum(window.height * window.width for window in self._windows)
        arrays = {self._path / f"{group.name}.raw": group for group in self._groups}
        if not all(map(is_regular, (journal_path(self._path), *arrays))):
            return False
        return all(
            path.stat().st_size == pixels * group.pixel_bytes for path, group in arrays.items()
        ) and all(
            record["tile"] in range(len(self._windows)) and _CHECKSUM in record
            for record in read_records(journal_path(self._path))
            if "tile" in record
        )

    def _find_damaged(self) -> None:
        """Find the tiles that are not on the disk as they were stored."""
        stored = {
            record["tile"]: record[_CHECKSUM]
            for record in self._journal.records
            if "tile" in record
        }
        for number, checksum in stored.items():
            if self._store.checksum(self._windows[number]) != checksum:
                self._damaged.add(number)
                logger.debug("%s: tile %d is damaged and made again", self._output, number)

    def _open(self, stack: ExitStack) -> None:
        for path in self._path.iterdir():
            if path.is_dir():  # of an output that a killed run did not finish
                remove(path)
        self._store = TileStore(self._path, self._windows, self._groups)
        stack.callback(self._store.close)
        self._folder.check_space(self._store.missing_bytes())
        self._journal = CommittedJournal(
            journal_path(self._path), self._flush, durable=self._files.resumable
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
