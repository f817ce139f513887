"""The shards of a map, found and checked, and their arrays read as one."""

from __future__ import annotations

import json
import os
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from lcmap.errors import InputMissingError, ShardError
from lcmap.inference.band_groups import BandGroup
from lcmap.inference.resume.journal import Record, last, read_records
from lcmap.inference.resume.plan import Plan, differences, read_plan, tiling_facts
from lcmap.inference.resume.shard import OWN_FACTS, Shard, found_shards, shard_name
from lcmap.inference.resume.tile_store import TilePartition, TileStore
from lcmap.inference.resume.tile_work import LAYOUT, damaged_tiles
from lcmap.inference.resume.work_folder import WorkFolder, journal_path, plan_path
from lcmap.paths import PathLike
from lcmap.progress import Progress
from lcmap.raster.windows import Window

_MOST_NAMED = 8
_MOST_OPEN = 64


@dataclass(frozen=True)
class FoundShard:
    """A shard as its run left it: the plan of the whole map, its own tiles, and its records."""

    shard: Shard
    folder: WorkFolder
    plan: Plan
    windows: dict[int, Window]
    records: list[Record]

    @property
    def done(self) -> set[int]:
        """The numbers of the tiles that are finished."""
        return {record["tile"] for record in self.records if "tile" in record}

    @property
    def is_finished(self) -> bool:
        """Whether its run came to the end."""
        return last(self.records, "report") is not None and self.done >= self.windows.keys()

    @property
    def groups(self) -> list[BandGroup]:
        """The band groups that are stored of each tile."""
        return [BandGroup(*group) for group in self.plan["outputs"]]

    def open_store(self) -> TileStore:
        """Open its arrays.

        Raises:
            OSError: they cannot be read.
        """
        return TileStore(self.folder.path, list(self.windows.values()), self.groups)


def lock_shards(stack: ExitStack, output: PathLike) -> list[FoundShard]:
    """Return the shards that are beside a map, locked; they stay if nobody discards them.

    Raises:
        LockedError: one is being made.
        ShardError: one is not of this version of lcmap, or of another user.
        CannotWriteError: a folder may not be written.
    """
    shards, unreadable = [], []
    for shard, path in found_shards(output).items():
        folder = WorkFolder(shard_name(output, shard), resumable=True, place=path)
        stack.enter_context(folder)
        if folder.is_empty():  # another run was removing it
            continue
        folder.keep()
        found = _read(shard, folder)
        if found is None:
            unreadable.append(shard)
        else:
            shards.append(found)
    if unreadable:
        raise ShardError(
            output,
            f"{_named(unreadable)} of another version of lcmap or another user, or damaged",
            f"delete {_folders(output, unreadable)}, and run that again",
        )
    return shards


def _read(shard: Shard, folder: WorkFolder) -> FoundShard | None:
    plan = read_plan(plan_path(folder.path))
    # another user's might name any file as an output
    of_this_user = os.stat(folder.path).st_uid == os.geteuid()
    if plan is None or plan.get("layout") != LAYOUT or not of_this_user:
        return None
    try:
        windows = {number: Window(*window) for number, window in plan["tiles"]}
        if Shard(**plan["shard"]) != shard:
            return None
    except (KeyError, TypeError, ValueError):
        return None
    common = {name: fact for name, fact in plan.items() if name not in OWN_FACTS}
    return FoundShard(shard, folder, common, windows, read_records(journal_path(folder.path)))


def check_complete(output: PathLike, shards: Sequence[FoundShard]) -> None:
    """Check that these are all shards of one run of a map, each finished.

    Raises:
        InputMissingError: there are none.
        ShardError: some are missing, of another run, or not finished.
    """
    if not shards:
        raise InputMissingError(
            output, "has no shards beside it", "make them first, as with lcmap predict `shard=1/20`"
        )
    counts = sorted({found.shard.count for found in shards})
    if len(counts) > 1:
        raise ShardError(
            output,
            f"has shards of {' and of '.join(map(str, counts))}",
            f"delete the folders {Path(output).parent}/.{Path(output).name}.lcmap-shard-*-of-N of "
            "those that are not wanted",
        )
    _check_one_run(output, shards)
    there = {found.shard for found in shards}
    missing = [
        shard for count in counts for number in range(1, count + 1)
        if (shard := Shard(number, count)) not in there
    ]  # fmt: skip
    if missing:
        raise ShardError(output, f"{_named(missing)} missing", _make(missing[0]))
    unfinished = [found.shard for found in shards if not found.is_finished]
    if unfinished:
        raise ShardError(
            output, f"{_named(unfinished)} not finished",
            f"{_make(unfinished[0])} again, which continues it",
        )  # fmt: skip
    windows = {number: tile for found in shards for number, tile in found.windows.items()}
    plan = shards[0].plan
    in_order = [windows.get(number) for number in range(len(windows))]
    whole = None not in in_order and all(
        plan.get(name) == fact
        for name, fact in tiling_facts(plan["tile"], in_order).items()  # type: ignore[arg-type]
    )
    if not whole:
        raise ShardError(output, "its shards do not make up the whole map", "run them all again")


def _check_one_run(output: PathLike, shards: Sequence[FoundShard]) -> None:
    texts = [json.dumps(found.plan, sort_keys=True) for found in shards]
    ((usual, _),) = Counter(texts).most_common(1)
    others = [found for found, text in zip(shards, texts, strict=True) if text != usual]
    if not others:
        return
    reference = shards[texts.index(usual)]
    names = {name: None for found in others for name in differences(reference.plan, found.plan)}
    raise ShardError(
        output,
        f"{_named([found.shard for found in others])} of another run than shard "
        f"{reference.shard}: these differ: {', '.join(names)}",
        f"{_make(others[0].shard)} again, like the others",
    )


def check_undamaged(output: PathLike, shards: Sequence[FoundShard], progress: Progress) -> None:
    """Check that the arrays of finished shards are on the disk as they were stored.

    Raises:
        ShardError: some are not.
        OSError: they cannot be read.
    """
    damaged = []
    for number, found in enumerate(shards, start=1):
        if not _is_undamaged(found):
            damaged.append(found.shard)
        progress(number, len(shards), "checking")
    if damaged:
        raise ShardError(
            output, f"{_named(damaged)} damaged",
            f"{_make(damaged[0])} again, which mends it",
        )  # fmt: skip


def _is_undamaged(found: FoundShard) -> bool:
    store = found.open_store()
    try:
        return not damaged_tiles(store, found.windows, found.records)
    except (KeyError, OSError):
        return False
    finally:
        store.close()


class GatheredArrays:
    """The arrays of all shards of a map, read as those of one; a context manager."""

    def __init__(self, shards: Sequence[FoundShard]) -> None:
        """Read from these shards, which make up the map."""
        self._shards = shards
        self._owner = {
            (tile.row, tile.col): number
            for number, found in enumerate(shards)
            for tile in found.windows.values()
        }
        self._partition = TilePartition(
            [tile for found in shards for tile in found.windows.values()]
        )
        self._groups = {group.name: group for group in shards[0].groups}
        self._open: OrderedDict[int, TileStore] = OrderedDict()

    def __enter__(self) -> GatheredArrays:
        """Return it; files are opened when they are read."""
        return self

    def read(self, name: str, window: Window, bands: slice = slice(None)) -> npt.NDArray[Any]:
        """Return a window of a band group, [bands, rows, columns].

        Raises:
            OSError: it cannot be read.
        """
        group = self._groups[name]  # type: ignore[index]
        count = len(range(group.bands)[bands])
        result = np.zeros((count, window.height, window.width), group.dtype)
        for tile in self._partition.crossed(window):
            part = tile.intersection(window)
            assert part is not None
            store = self._store(self._owner[tile.row, tile.col])
            into = part.shifted(-window.row, -window.col).slices
            result[:, *into] = store.read(name, part, bands)
        return result

    def _store(self, number: int) -> TileStore:
        """Return the open arrays of a shard; those that were not read for long are closed."""
        store = self._open.pop(number, None) or self._shards[number].open_store()
        self._open[number] = store
        if len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return store

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the files."""
        for store in self._open.values():
            store.close()


def _make(shard: Shard) -> str:
    """Return how a user makes a shard, which merge does not."""
    return f"run lcmap predict, or what made the others, with `shard={shard}`"


def _named(shards: Iterable[Shard]) -> str:
    """Return the beginning of a sentence about shards: "shard 3/20 is", "shards 3/20, 4/20 are"."""
    names = [str(shard) for shard in shards]
    listed = ", ".join(names[:_MOST_NAMED])
    if len(names) > _MOST_NAMED:
        listed += f" and {len(names) - _MOST_NAMED} more"
    return f"shard {listed} is" if len(names) == 1 else f"shards {listed} are"


def _folders(output: PathLike, shards: Sequence[Shard]) -> str:
    found = found_shards(output)
    return ", ".join(str(found[shard]) for shard in shards[:_MOST_NAMED])
