"""Which tiles a worker of a cluster gets next, and how many in one task: arithmetic, without Dask.

A scheduler serves a few hundred tasks a second, however long they take. So a task of many workers
is several tiles, the more the faster the cluster is. Towards the end tasks become shorter, so that
no worker is left with much to do while others have nothing: those that a worker has at once are
half of its share of what is left (Hummel, Schonberg, Flynn, 1992. Factoring: a method for
scheduling parallel loops. Communications of the ACM 35(8)).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import NamedTuple

from lcmap.graph.halo import BorderSides
from lcmap.inference.tiling import Tile

TASKS_A_SECOND = 25.0
"""How many tasks all workers together end, at most: the scheduler and the process that stores have
a few ms for each, see `benchmarks/bench_cluster.py`."""

_SHORTER = 4
"""How many times shorter tasks become towards the end: so many more a second go just well."""

MOST_TASK_BYTES = 1 << 26
"""Of the arrays of a task, which are in the worker's memory and in that of the process that stores
at once."""

NumberedTile = tuple[int, Tile]
Kind = tuple[BorderSides, int, int]


class Pace(NamedTuple):
    """What is known of how fast tiles are computed.

    `lanes` tasks run at once, and one takes `tile_seconds` for each of its tiles, of `tile_bytes`.
    """

    lanes: int
    tile_seconds: float
    tile_bytes: int


def task_length(waiting: int, pace: Pace) -> int:
    """Return how many of the tiles that wait make a task: 1 as long as no tile was computed.

    An example. 2 000 lanes (1 000 workers of 2) that each compute a tile in 2 s end 1 000 tiles a
    second. Tasks of 40 tiles make 25 tasks a second of them. When 120 000 tiles are left, a task
    takes 20, when 6 000 are left 10, the fourth part of 40.
    """
    if not pace.lanes or not pace.tile_seconds:
        return 1
    of_rate = pace.lanes / (pace.tile_seconds * TASKS_A_SECOND)
    of_end = max(waiting / (3 * pace.lanes), of_rate / _SHORTER)
    of_memory = MOST_TASK_BYTES / max(pace.tile_bytes, 1)
    return max(int(min(of_rate, of_end, of_memory)), 1)


class TileQueue:
    """Tiles that wait for a worker.

    A worker loads a network for each kind of tile that it gets, so it gets one kind as long as
    there are any. Tiles that were lost with their workers come first, each alone, so that one that
    ends its worker takes no others with it.
    """

    def __init__(self, tiles: Iterable[NumberedTile]) -> None:
        """Let tiles wait, each with its number."""
        self._kinds: dict[Kind, deque[NumberedTile]] = {}
        self._alone: deque[NumberedTile] = deque()
        self._has: dict[str, Kind] = {}
        for number, tile in tiles:
            self._kinds.setdefault(_kind(tile), deque()).append((number, tile))

    def __len__(self) -> int:
        """Return how many tiles wait."""
        return len(self._alone) + sum(map(len, self._kinds.values()))

    def take(self, worker: str, count: int) -> list[NumberedTile]:
        """Return up to `count` tiles of one kind for a worker; none if none wait."""
        if self._alone:
            return [self._alone.popleft()]
        kind = self._has.get(worker)
        if kind not in self._kinds:
            if not self._kinds:
                return []
            others = Counter(self._has.values())
            kind = max(self._kinds, key=lambda kind: len(self._kinds[kind]) / (1 + others[kind]))
            self._has[worker] = kind
        tiles = self._kinds[kind]
        taken = [tiles.popleft() for _ in range(min(count, len(tiles)))]
        if not tiles:
            del self._kinds[kind]
        return taken

    def put_back(self, tiles: Iterable[NumberedTile]) -> None:
        """Let tiles wait again that were not computed, through no fault of theirs."""
        for number, tile in tiles:
            self._kinds.setdefault(_kind(tile), deque()).appendleft((number, tile))

    def put_back_alone(self, tiles: Iterable[NumberedTile]) -> None:
        """Let tiles wait again whose worker was lost."""
        self._alone.extend(tiles)


def _kind(tile: Tile) -> Kind:
    return tile.border, tile.input_window.height, tile.input_window.width
