"""From the shards of a map, made by several runs, to its files."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from lcmap.errors import ShardError, UsageError
from lcmap.inference.map_draft import MapDraft
from lcmap.inference.options import MapOutputs
from lcmap.inference.report import MapReport
from lcmap.inference.resume.journal import Record, last
from lcmap.inference.resume.merging import (
    FoundShard,
    GatheredArrays,
    check_complete,
    check_undamaged,
    lock_shards,
)
from lcmap.inference.resume.plan import Plan, read_plan
from lcmap.inference.resume.resumable_map import ResumableMap, check_before_work
from lcmap.inference.resume.work_folder import (
    WorkFolder,
    plan_path,
    work_folder_path,
    writing_to,
)
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.destination import stream_at
from lcmap.raster.making import files_up_to_date
from lcmap.raster.making_elsewhere import earlier_making
from lcmap.raster.output_lock import OutputLocks, lock_path

logger = logging.getLogger(__name__)

_MERGED = "merged"
"""The fact that tells the plan of a merge from that of a run that made the whole map: the account
of the making (see `Making.account`) of a shard, None where there was none."""


@dataclass(frozen=True)
class MergeReport(MapReport):
    """What was merged, and the files that it became."""

    outputs: MapOutputs


def merge(
    output: PathLike, *, overwrite: bool = False, progress: Progress = silent
) -> MergeReport | None:
    """Write the files of a map from its shards, which are beside it, and remove these.

    The files are those that the shards were asked for, with the bytes that one run would have
    given them. Nothing is written, and no shard removed, before all are there, finished, undamaged
    and of one run: the same inputs, model, engine, options and version of lcmap. A run that is
    killed is continued by the same call. None is returned where there is no shard, since the map
    was merged before and is up to date.

    Raises:
        UsageError: the output is no file.
        InputMissingError: there is no shard.
        ShardError: shards are missing, not finished, damaged, or of different runs.
        LockedError: a shard or the map is being made.
        OutputExistsError, CannotWriteError: an output cannot be written.
    """
    if stream_at(output) is not None:
        raise UsageError(output, "is no file that shards can be beside", "name the map")
    with ExitStack() as locks:
        shards = lock_shards(locks, output)
        plan = _plan(output, shards)
        if plan is None:
            return None
        draft = _draft(output, plan, overwrite=overwrite)
        with earlier_making(plan[_MERGED], output, overwrite=draft.outputs.overwrite) as finish:
            report = _merge(draft, plan, shards, progress, locks, finish)
    if report["mapped"] == 0:
        logger.warning("%s: no pixel was valid in any shard, so the map is all 0", output)
    return MergeReport(**report, outputs=draft.outputs)


def _merge(
    draft: MapDraft,
    plan: Plan,
    shards: Sequence[FoundShard],
    progress: Progress,
    locks: ExitStack,
    finish: Callable[[], None],
) -> Record:
    """Write the files, unless an earlier run has, and remove the shards; return the report.

    `finish` is called before the shards go, without which nothing else tells that all is done.
    """
    output, files = draft.outputs.codes, draft.files()
    check_before_work(files)
    # no tile is stored again: the files are made from the arrays where they are
    with ResumableMap(files, draft.grid, plan, (), groups=()) as work:
        report = work.published
        if report is None:
            check_complete(output, shards)
            report = dataclasses.asdict(_report(draft, shards))
            with writing_to(str(output)), GatheredArrays(shards) as arrays:
                check_undamaged(output, shards, progress)
                work.publish(report, progress=progress, arrays=arrays)
        finish()
        # before the record of the merge goes, so that a killed one can be continued
        for found in shards:
            found.folder.discard()
        locks.close()
    return report


def _plan(output: PathLike, shards: Sequence[FoundShard]) -> Plan | None:
    """Return the plan of the merge that is to be done, or to be continued; None if all is done.

    Raises:
        InputMissingError, ShardError: as `check_complete`.
        LockedError: another run is making the map.
    """
    folder = work_folder_path(output)
    left = read_plan(plan_path(folder))
    of_merge = left is not None and _MERGED in left
    made = None if shards else files_up_to_date(output)
    if made is not None:
        if any(lock_path(file).exists() for file in made):
            with OutputLocks(made):  # which removes those of a merge that was killed last of all
                pass
        if folder.is_dir():
            _remove_what_is_over(output, of_merge=of_merge)
        return None
    if left is not None and of_merge:
        common = {name: fact for name, fact in left.items() if name != _MERGED}
        if all(found.plan == common for found in shards):
            return left
    check_complete(output, shards)
    return shards[0].plan | {_MERGED: last(shards[0].records, "account")}


def _remove_what_is_over(output: PathLike, *, of_merge: bool) -> None:
    """Remove the folder that a merge left which was killed last of all; another run's stays."""
    with WorkFolder(output, resumable=True) as folder:
        if not (of_merge or folder.is_empty()):
            folder.keep()


def _draft(output: PathLike, plan: Plan, *, overwrite: bool) -> MapDraft:
    try:
        draft = MapDraft.from_dict(plan["map"], output)
    except (KeyError, TypeError, ValueError) as error:
        raise ShardError(output, "its shards cannot be read", "make them again") from error
    if not overwrite:
        return draft
    return dataclasses.replace(draft, outputs=dataclasses.replace(draft.outputs, overwrite=True))


def _report(draft: MapDraft, shards: Sequence[FoundShard]) -> MapReport:
    reports = [last(found.records, "report") for found in shards]
    mapped = sum(report["mapped"] for report in reports)
    return MapReport(math.prod(draft.grid.shape), mapped, reports[0]["computed_by"], True)
