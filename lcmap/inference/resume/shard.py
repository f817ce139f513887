"""A part of a map's tiles, made in a folder of its own beside the map, for `merging` to gather.

The work folder of a shard is like that of a whole map (see `work_folder`), with some of the tiles
alone. It stays when they are done. Its plan also says which tiles they are, and all that the files
of the map are made from beside the arrays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from lcmap.errors import UsageError
from lcmap.inference.map_draft import MapDraft
from lcmap.inference.resume.journal import Record, last
from lcmap.inference.resume.plan import Plan
from lcmap.inference.resume.tile_work import TileWork, logger
from lcmap.inference.resume.work_folder import WorkFolder, writing_to
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.destination import file_at
from lcmap.raster.making import current_making
from lcmap.raster.windows import Window

MOST_SHARDS = 500
"""`merging` holds the lock of each, and a process may commonly have 1024 files open."""

OWN_FACTS = ("shard", "tiles")
"""What the plans of the shards of one map differ in."""


@dataclass(frozen=True, order=True)
class Shard:
    """One of so many parts of a map, numbered from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard that a text such as 3/20 names.

        Raises:
            UsageError: it names none.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        shard = cls(*map(int, found.groups())) if found else cls(0, 0)
        if not 1 <= shard.number <= shard.count:
            raise UsageError(f"`shard={text}`", "is not one of a number of parts", "as in 3/20")
        if shard.count > MOST_SHARDS:
            raise UsageError(
                f"`shard={text}`", f"is of more than {MOST_SHARDS}", "make larger parts"
            )
        return shard

    def __str__(self) -> str:
        """Return it as it is written on the command line."""
        return f"{self.number}/{self.count}"

    def of(self, windows: Sequence[Window]) -> dict[int, Window]:
        """Return the tiles of this part, by their numbers from 0: a run of them.

        The parts are as large as one another to a tile, and may be empty where tiles are few.
        """
        before = list(accumulate((tile.height * tile.width for tile in windows), initial=0))
        return {
            number: tile
            for number, tile in enumerate(windows)
            # the part in which the middle of the tile is
            if (before[number] + before[number + 1]) * self.count // (2 * before[-1])
            == self.number - 1
        }


def shard_path(output: PathLike, shard: Shard) -> Path:
    """Return the folder of a shard, beside the file of the map that links lead to."""
    path = file_at(output)
    return path.with_name(f".{path.name}.lcmap-shard-{shard.number}-of-{shard.count}")


def found_shards(output: PathLike) -> dict[Shard, Path]:
    """Return the folders of the shards of a map, in order."""
    path = file_at(output)
    pattern = re.compile(re.escape(f".{path.name}.lcmap-shard-") + r"(\d{1,9})-of-(\d{1,9})")
    found = {}
    with suppress(OSError):
        for folder in path.parent.iterdir():
            name = pattern.fullmatch(folder.name)
            if name and folder.is_dir():
                found[Shard(*map(int, name.groups()))] = folder
    return dict(sorted(found.items(), key=lambda item: (item[0].count, item[0].number)))


def shard_name(output: PathLike, shard: Shard) -> str:
    """Return what messages call a shard."""
    return f"{output}, shard {shard}"


class ResumableShard(TileWork):
    """A part of a map that is being made of tiles: `publish` leaves it for `merging`.

    Left by an error, what is done stays, and the same command continues.
    """

    def __init__(
        self, draft: MapDraft, shard: Shard, plan: Plan, windows: Sequence[Window]
    ) -> None:
        """Make those tiles of a map's `windows` that are in this shard."""
        own = shard.of(windows)
        facts = {"map": draft.to_dict(), "shard": asdict(shard), "tiles": list(own.items())}
        folder = WorkFolder(
            shard_name(draft.outputs.codes, shard),
            resumable=True,
            place=shard_path(draft.outputs.codes, shard),
        )
        super().__init__(folder, plan | facts, own, draft.files().groups)

    def publish(
        self, report: Record, *, threads: int | None = None, progress: Progress = silent
    ) -> None:
        """Leave the tiles for merging; the `report` goes on record, and how they were made.

        Raises:
            CannotWriteError: no space left.
        """
        with writing_to(self._output):
            making = current_making()
            account = making.account() if making else None
            self._journal.add({"report": report, "account": account})
        self.commit()
        self._folder.keep()

    def _begin(self, stack: ExitStack) -> None:
        super()._begin(stack)
        report: Any = last(self._journal.records, "report")
        if report is not None and len(self.records("tile")) == len(self._windows):
            logger.info("%s: is complete already", self._output)
            self.published = report
            self._folder.keep()
