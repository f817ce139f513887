"""A map on its way from finished tiles to files, which the same command continues after a kill."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path

import rasterio

from lcmap.errors import LcmapError, OutputExistsError
from lcmap.inference.band_groups import BandGroup
from lcmap.inference.output_files import OutputFiles
from lcmap.inference.resume.journal import Record, last, read_records
from lcmap.inference.resume.plan import Plan, normalised, read_plan
from lcmap.inference.resume.publication import (
    already_named,
    finish_naming,
    give_names,
    is_ready,
    left_by_a_killed_run,
    make_file,
    naming_record,
)
from lcmap.inference.resume.tile_store import StoredArrays
from lcmap.inference.resume.tile_work import TileWork
from lcmap.inference.resume.work_folder import (
    WorkFolder,
    check_work_folder,
    journal_path,
    plan_path,
    work_folder_path,
    writing_to,
)
from lcmap.inference.tiling import Block
from lcmap.interruption import uninterrupted
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.destination import stream_at
from lcmap.raster.grid import Grid
from lcmap.raster.making import note_outputs
from lcmap.raster.output_set import OutputSet
from lcmap.raster.threads import available_threads
from lcmap.raster.windows import Window

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
    with suppress(LcmapError), OutputSet(files.locked, overwrite=True):
        folder = work_folder_path(files.codes)
        needed = plan_path(folder), journal_path(folder)
        if folder.is_dir() and not all(path.exists() for path in needed):
            with WorkFolder(files.codes, resumable=True):
                pass


def continued_tile(output: PathLike, facts: Plan) -> int | Block | None:
    """Return the tile size of the run that `facts` continue, None where there is no such run."""
    plan = read_plan(plan_path(work_folder_path(output)))
    if plan is None or any(plan.get(name) != fact for name, fact in normalised(facts).items()):
        return None
    match plan.get("tile"):
        case int() as side:
            return side
        case [int() as height, int() as width]:
            return Block(height, width)
    return None


class ResumableMap(TileWork):
    """A map that is being made of tiles, in a work folder beside it until its files are whole.

        with ResumableMap(files, grid, plan, windows) as work:
            for number, window in work.pending(windows):
                work.store(number, arrays)
            work.publish(report)

    A run of the same plan continues where the last commit of a killed one was, some seconds before
    its end, and ends with the same bytes. Left by an error, what is done stays; left without one,
    or after `discard`, nothing does.

    One process makes a map, and holds the folder's lock, wherever the arrays are computed. Several
    processes make the parts of a map each in a folder of its own: see `shard`.
    """

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
        super().__init__(
            WorkFolder(files.codes, resumable=files.resumable, tmpdir=tmpdir),
            plan,
            dict(enumerate(windows)),
            files.groups if groups is None else groups,
            durable=files.resumable,
        )
        self._files = files
        self._grid = grid
        # an earlier run may have used the same names, so all are this one's until it ends
        self._outputs = OutputSet(files.locked, overwrite=True)
        self._own: set[str] = set()

    def publish(
        self,
        report: Record,
        *,
        threads: int | None = None,
        progress: Progress = silent,
        arrays: StoredArrays | None = None,
    ) -> None:
        """Make the files from the stored arrays, and give them their names, the map last.

        What an earlier run did of it is not done again. The `report` goes on record with the names.
        `arrays` are those that others stored, where that is not this work.

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
        # a raster that is made again takes what waits beside it along, so all are; the rest is made
        # with the map or of it
        needed = left if files.rasters[0] in left else [*left, files.rasters[0]]
        to_make = [] if ready else needed
        with rasterio.Env(GDAL_NUM_THREADS=str(threads or available_threads())):
            for file in reversed(to_make):
                make_file(file, arrays or self._store, self._grid, self._path, progress)
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

    def _enter(self, stack: ExitStack) -> None:
        """Lock the outputs before the folder.

        Raises:
            LockedError: another run is making one of them.
            UsageError, OutputExistsError: an output may not be written.
        """
        stack.enter_context(self._outputs)
        super()._enter(stack)

    def _begin(self, stack: ExitStack) -> None:
        """Open what is there of this plan, else start afresh; nothing where the map is complete."""
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
        super()._begin(stack)
