"""The tiles of a map on the workers of a Dask cluster; one process, this one, stores them.

A worker opens the files of a `cluster_worker.Job` by their paths, and keeps them and the network
open. What comes back of a tile are the arrays of its band groups. Dask computes the tiles of lost
workers again and gives work to those that join.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from typing import Any, NamedTuple, TypeVar

from lcmap.errors import UnavailableError
from lcmap.inference.cluster_connection import Connection, is_reachable
from lcmap.inference.cluster_queue import NumberedTile, Pace, TileQueue, task_length
from lcmap.inference.cluster_worker import Computed, ComputedTask, Job, PackedJob, compute_tiles
from lcmap.inference.resume.tile_work import TileWork
from lcmap.inference.tiling import Tile
from lcmap.progress import Progress

_MOST_AT_ONCE = 2
"""Tasks that a worker has under way, a tile of one read while one of the other is computed, if it
has so many threads; one more waits there."""

_MOST_BYTES = 1 << 26
"""Of the arrays that a thread brings here together."""

_AT_ONCE = 4
"""Times that arrays of several tasks are on their way here at once."""

_LOOK_AGAIN = 0.02
"""Seconds after which it is looked whether other tasks are finished while arrays are fetched."""

_MOST_LOST = 4
"""How often a worker may be lost that had a tile."""

_COUNTED_EVERY = 2.0
"""Seconds between two counts of the cluster's workers."""

_WEIGHT = 0.1
"""Of a task in the mean of the time that a tile takes."""

Answer = TypeVar("Answer")
Fetched = Future[list[ComputedTask] | None]

logger = logging.getLogger(__name__)


def compute_on_cluster(
    work: TileWork, tiles: Sequence[Tile], job: Job, scheduler: str, progress: Progress
) -> None:
    """Compute the tiles that are not done yet on a cluster, and store them as they come.

    Raises:
        UnavailableError: dask.distributed is not installed; the scheduler does not answer or went
            away; a worker has other versions or inputs than this process; a tile was lost with its
            workers again and again.
        LcmapError: whatever a worker finds wrong with the inputs.
        CannotWriteError: no space left.
    """
    pending = work.pending(tiles)
    if not pending:
        return
    with Connection(scheduler) as connection:
        pixels = 0
        run = _ClusterRun(connection, scheduler, job, pending)
        for finished, (number, computed) in enumerate(run.results(), start=1):
            work.store(number, computed.arrays, mapped=computed.mapped)
            pixels += tiles[number].output_window.pixels
            progress(finished, len(pending), "predicting", amount=pixels)
    work.commit()


class _Task(NamedTuple):
    """Tiles on their way to a worker and back."""

    worker: str
    tiles: list[NumberedTile]
    future: Any


class _ClusterRun:
    """Tiles on their way to the workers and back, as many at once as the cluster has use for.

    Each task is for one worker, so that the fast ones get more. Dask keeps to that; what becomes of
    the tasks of a worker that is lost is seen to here.
    """

    def __init__(
        self, connection: Connection, scheduler: str, job: Job, pending: Sequence[NumberedTile]
    ) -> None:
        self._connection = connection
        self._scheduler = scheduler
        self._job = PackedJob.of(job)
        self._queue = TileQueue(pending)
        self._running: dict[str, _Task] = {}
        self._completed = self._nothing_completed()
        self._finished: deque[Any] = deque()
        self._fetching: dict[Fetched, list[Any]] = {}
        self._lost: Counter[int] = Counter()
        self._threads: dict[str, int] = {}
        self._direct: bool | None = None
        self._pace = Pace(0, 0.0, 1)
        self._keys = 0
        self._has_use = True
        self._counted_at = float("-inf")

    def results(self) -> Iterator[tuple[int, Computed]]:
        """Yield the number of each tile with what was computed of it, in any order."""
        self._submit()
        if not self._threads:
            logger.info("%s: no worker is there yet; waiting", self._scheduler)
        try:
            while self._running or self._queue:
                for future in self._completed.next_batch(block=False):
                    if self._is_done(future):
                        self._finished.append(future)
                while self._finished and len(self._fetching) < _AT_ONCE:
                    self._begin_fetching(self._next())
                ready, _ = wait(self._fetching, _LOOK_AGAIN, FIRST_COMPLETED)
                if not self._fetching:
                    time.sleep(_LOOK_AGAIN)
                results = [result for fetched in ready for result in self._taken(fetched)]
                self._submit()  # before these are stored, so that no worker waits for that
                yield from results
        finally:
            for fetched in self._fetching:
                fetched.cancel()

    @property
    def _client(self) -> Any:
        return self._connection.client

    def _nothing_completed(self) -> Any:
        """Return what tells which tasks of the client are completed, and has none yet."""
        from distributed import as_completed

        return as_completed([], loop=self._client.loop)

    def _next(self) -> list[Any]:
        """Return finished tasks whose arrays are brought here together."""
        futures: list[Any] = []
        size = 0
        while self._finished and (not futures or size < _MOST_BYTES):
            futures.append(self._finished.popleft())
            task = self._running.get(futures[-1].key)
            size += self._pace.tile_bytes * len(task.tiles) if task else 0
        return futures

    def _begin_fetching(self, futures: list[Any]) -> None:
        """Let the arrays of finished tasks come here, while others are fetched as well."""
        loop = self._client.loop.asyncio_loop
        self._fetching[asyncio.run_coroutine_threadsafe(self._fetch(futures), loop)] = futures

    async def _fetch(self, futures: list[Any]) -> list[ComputedTask] | None:
        """Return the arrays of finished tasks; None if some were lost again meanwhile.

        That takes long, or for ever, where the worker that has them hangs.
        """
        from distributed import KilledWorker

        try:
            found: list[ComputedTask] = await self._client.gather(
                futures, direct=self._direct, asynchronous=True
            )
        except (KilledWorker, CancelledError, asyncio.CancelledError, OSError):
            return None
        return found

    def _taken(self, fetched: Fetched) -> list[tuple[int, Computed]]:
        """Return arrays with the numbers of their tiles; wait for those that were lost again."""
        futures, results = self._fetching.pop(fetched), fetched.result()
        if results is None:
            self._wait_again(futures)
            return []
        taken: list[tuple[int, Computed]] = []
        for future, result in zip(futures, results, strict=True):
            task = self._running.pop(future.key, None)
            future.release()
            if task is None:  # given up before it came
                continue
            self._has_use = True
            self._time(result)
            numbers = (number for number, _ in task.tiles)
            taken += zip(numbers, result.tiles, strict=True)
        return taken

    def _time(self, result: ComputedTask) -> None:
        """Take the time and size of a task's tiles into the pace."""
        seconds = result.seconds / len(result.tiles)
        size = max(sum(a.nbytes for a in tile.arrays.values()) for tile in result.tiles)
        if self._pace.tile_seconds:
            seconds = (1 - _WEIGHT) * self._pace.tile_seconds + _WEIGHT * seconds
        size = max(self._pace.tile_bytes, size)
        self._pace = self._pace._replace(tile_seconds=seconds, tile_bytes=size)

    def _submit(self) -> None:
        """Give each worker as many tasks as it has use for."""
        if time.monotonic() - self._counted_at >= _COUNTED_EVERY:
            self._count_workers()
        if not self._queue or not self._has_use:
            return
        self._restore_connection()
        self._has_use = False
        under_way = Counter(task.worker for task in self._running.values())
        for waiting in range(_MOST_AT_ONCE + 1):  # so that none has two before all have one
            for worker, threads in self._threads.items():
                if under_way[worker] <= waiting <= threads:
                    tiles = self._queue.take(worker, task_length(len(self._queue), self._pace))
                    if not tiles:
                        return
                    self._give(worker, tiles)
                    under_way[worker] += 1

    def _give(self, worker: str, tiles: list[NumberedTile]) -> None:
        key = f"lcmap-{self._job.token}-{self._keys}"
        self._keys += 1
        future = self._client.submit(
            compute_tiles, self._job, [tile for _, tile in tiles], key=key, workers=[worker]
        )
        self._running[key] = _Task(worker, tiles, future)
        self._completed.add(future)

    def _count_workers(self) -> None:
        """Look which workers there are; what those had that are gone waits again."""
        self._threads = dict(self._asked(lambda: self._client.nthreads()))
        if self._direct is None and self._threads:
            self._direct = is_reachable(next(iter(self._threads)))
            if not self._direct:
                logger.info("%s: workers cannot be reached from here, so that their arrays come "
                            "through it, which is slower", self._scheduler)  # fmt: skip
        lanes = sum(min(threads, _MOST_AT_ONCE) for threads in self._threads.values())
        self._pace = self._pace._replace(lanes=lanes)
        gone = [
            key for key, task in self._running.items()
            if task.worker not in self._threads and task.future.status not in ("error", "cancelled")
        ]  # fmt: skip
        for key in gone:
            self._give_up(key)
        for fetched, futures in list(self._fetching.items()):
            if any(future.key in gone for future in futures):
                fetched.cancel()
                del self._fetching[fetched]
                self._wait_again(futures)
        self._has_use = True
        self._counted_at = time.monotonic()

    def _wait_again(self, futures: list[Any]) -> None:
        """Wait for tasks whose arrays did not come, but for those that were given up."""
        for future in futures:
            if future.key in self._running:
                self._completed.add(future)

    def _is_done(self, future: Any) -> bool:
        """Tell whether a task has arrays; the tiles of one that was lost wait again."""
        from distributed import KilledWorker

        if future.key not in self._running:
            return False
        status = future.status
        if status == "finished":
            return True
        if status == "cancelled":  # with all others, when this process lost its connection
            self._queue.put_back(self._running.pop(future.key).tiles)
            self._restore_connection()
        elif status == "error":
            error = future.exception()
            if not isinstance(error, KilledWorker):
                raise error
            self._give_up(future.key)
        else:  # the worker that had it was lost meanwhile
            self._completed.add(future)
        return False

    def _give_up(self, key: str) -> None:
        """Let the tiles of a task wait again whose worker was lost.

        Raises:
            UnavailableError: one of them was lost too often.
        """
        task = self._running.pop(key)
        task.future.release()
        for number, _ in task.tiles:
            self._lost[number] += 1
            if self._lost[number] == _MOST_LOST:
                raise UnavailableError(
                    self._scheduler, f"tile {number} was lost with its worker again and again",
                    "give workers more memory, or `memory` less",
                )  # fmt: skip
        self._queue.put_back_alone(task.tiles)

    def _asked(self, question: Callable[[], Answer]) -> Answer:
        """Return what the scheduler answers, asked again where the connection was lost meanwhile.

        Raises:
            UnavailableError: it went away.
        """
        while True:
            try:
                return question()
            except (OSError, CancelledError):
                self._restore_connection()
                time.sleep(_LOOK_AGAIN)

    def _restore_connection(self) -> None:
        """See to a client that is connected; what another one had under way waits again.

        Raises:
            UnavailableError: the scheduler went away.
        """
        if not self._connection.restore():
            return
        for fetched in self._fetching:
            fetched.cancel()
        for task in self._running.values():
            self._queue.put_back(task.tiles)
        self._fetching.clear()
        self._running.clear()
        self._finished.clear()
        self._completed = self._nothing_completed()
