"""The tiles of a map on the workers of a Dask cluster; one process, this one, stores them.

A worker opens the files of a `cluster_worker.Job` by their paths, and keeps them and the network
open. What comes back of a tile are the arrays of its band groups. Dask computes the tiles of lost
workers again and gives work to those that join.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lcmap.errors import InputMissingError, LcmapError, UnavailableError, UsageError
from lcmap.inference.cluster_worker import Computed, Job, PackedJob, compute_tile
from lcmap.inference.resume.tile_work import TileWork
from lcmap.inference.tiling import Tile
from lcmap.json_text import parse_json
from lcmap.paths import PathLike
from lcmap.progress import Progress
from lcmap.raster.pipes import STANDARD_STREAM

_AHEAD = 2
"""Tiles that are given to the cluster for each thread that it has."""

_LEAST_AHEAD = 16
"""Tiles that are given to it before it is known how many it has."""

_MOST_BYTES = 1 << 26
"""Of the arrays that a thread brings here together."""

_AT_ONCE = 4
"""Threads that bring arrays here."""

_LOOK_AGAIN = 0.02
"""Seconds after which it is looked whether other tiles are finished while arrays are fetched."""

_MOST_LOST = 4
"""How often Dask may give a tile up, each time because several workers that had it were lost."""

_COUNTED_EVERY = 2.0
"""Seconds between two counts of the cluster's threads."""

Fetched = Future[tuple[list[Any], list[Computed] | None]]

logger = logging.getLogger(__name__)


def check_scheduler(scheduler: str, inputs: Sequence[PathLike]) -> None:
    """Check that what names a scheduler names one, and that workers can open the inputs.

    Raises:
        UsageError: it is neither an address nor a scheduler file; an input is a pipe.
        InputMissingError: there is no such file.
    """
    if STANDARD_STREAM in [os.fspath(path) for path in inputs]:
        raise UsageError("`scheduler`", "needs inputs in files", "name files, and not -")
    if "://" in scheduler:
        return
    if not scheduler.endswith(".json"):
        raise UsageError(
            f"`scheduler={scheduler}`", "is neither an address nor a scheduler file",
            "write local, tcp://HOST:PORT or FILE.json",
        )  # fmt: skip
    if not os.path.isfile(scheduler):
        raise InputMissingError(
            scheduler, "no such file", "dask scheduler --scheduler-file writes it"
        )


def _address(scheduler: str) -> str:
    """Return the address of a scheduler that is named by it or by the file that it writes.

    Raises:
        UnavailableError: the file names none.
    """
    if "://" in scheduler:
        return scheduler
    try:
        return str(parse_json(Path(scheduler).read_bytes())["address"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnavailableError(
            scheduler, "does not name a scheduler", "dask scheduler --scheduler-file writes it"
        ) from error


@contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    """Yield the client of a scheduler.

    Raises:
        UnavailableError: dask.distributed is not installed, or the scheduler does not answer.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise UnavailableError(
            "`scheduler`", f"dask.distributed cannot be imported ({error})",
            "pip install 'lcmap[distributed]', or choose local",
        ) from error  # fmt: skip
    # it warns, in a form of its own, of tiles that are lost, which are computed again
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    address = _address(scheduler)
    try:
        client = Client(address, set_as_default=False, name="lcmap")
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"`scheduler={scheduler}`", f"does not answer ({error})", "start it: dask scheduler"
        ) from error
    with client:
        yield client


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
    with _connected(scheduler) as client:
        run = _ClusterRun(client, scheduler, job, pending)
        for finished, (number, computed) in enumerate(run.results(), start=1):
            work.store(number, computed.arrays, mapped=computed.mapped)
            progress(finished, len(pending), "predicting")
    work.commit()


class _ClusterRun:
    """Tiles on their way to the workers and back, as many at once as the cluster has use for."""

    def __init__(
        self, client: Any, scheduler: str, job: Job, pending: Sequence[tuple[int, Tile]]
    ) -> None:
        from distributed import as_completed

        self._client = client
        self._scheduler = scheduler
        self._job = PackedJob.of(job)
        self._waiting = deque(pending)
        self._running: dict[str, tuple[int, Tile]] = {}
        self._completed = as_completed([], loop=client.loop)
        self._lost: Counter[int] = Counter()
        self._threads = 0
        self._tile_bytes = 1
        self._counted_at = float("-inf")

    def results(self) -> Iterator[tuple[int, Computed]]:
        """Yield the number of each tile with what was computed of it, in any order."""
        self._submit()
        if not self._threads:
            logger.info("%s: no worker is there yet; waiting", self._scheduler)
        fetching: set[Fetched] = set()
        finished: deque[Any] = deque()
        pool = ThreadPoolExecutor(_AT_ONCE, "fetch")
        try:
            while self._running:
                idle = not fetching
                finished += filter(self._is_done, self._completed.next_batch(block=idle))
                while finished and len(fetching) < _AT_ONCE:
                    count = min(max(_MOST_BYTES // self._tile_bytes, 1), len(finished))
                    futures = [finished.popleft() for _ in range(count)]
                    fetching.add(pool.submit(self._fetch, futures))
                ready, fetching = wait(fetching, _LOOK_AGAIN, FIRST_COMPLETED)
                results = [result for fetched in ready for result in self._taken(*fetched.result())]
                self._submit()  # before these are stored, so that no worker waits for that
                yield from results
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, futures: list[Any]) -> tuple[list[Any], list[Computed] | None]:
        """Return finished tiles with their arrays; None if those were lost again meanwhile.

        That takes long where a worker is lost that had one, while other threads fetch others.
        """
        from distributed import KilledWorker

        try:
            with self._asking():
                return futures, self._client.gather(futures)
        except (KilledWorker, CancelledError):
            return futures, None

    def _taken(
        self, futures: list[Any], results: list[Computed] | None
    ) -> list[tuple[int, Computed]]:
        """Return arrays with the numbers of their tiles; wait for those that were lost again."""
        if results is None:
            for future in futures:
                self._completed.add(future)
            return []
        numbers = [self._running.pop(future.key)[0] for future in futures]
        for future, result in zip(futures, results, strict=True):
            size = sum(values.nbytes for values in result.arrays.values())
            self._tile_bytes = max(self._tile_bytes, size)
            future.release()
        return list(zip(numbers, results, strict=True))

    def _submit(self) -> None:
        """Give the cluster as many tiles as it has use for."""
        now = time.monotonic()
        if now - self._counted_at >= _COUNTED_EVERY:
            with self._asking():
                self._threads = sum(self._client.nthreads().values())
            self._counted_at = now
        ahead = max(_AHEAD * self._threads, _LEAST_AHEAD)
        while self._waiting and len(self._running) < ahead:
            number, tile = self._waiting.popleft()
            key = f"lcmap-{self._job.token}-{number}-{self._lost[number]}"
            future = self._client.submit(compute_tile, self._job, tile, key=key)
            self._running[key] = number, tile
            self._completed.add(future)

    def _is_done(self, future: Any) -> bool:
        """Tell whether a tile has arrays; one that was lost is waiting again."""
        from distributed import KilledWorker

        status = future.status
        if status == "finished":
            return True
        if status not in ("error", "cancelled"):  # the worker that had it was lost meanwhile
            self._completed.add(future)
            return False
        if status == "cancelled" and self._client.status != "running":
            raise self._gone()
        number, tile = self._running.pop(future.key)
        error = future.exception() if status == "error" else None
        if error is not None and not isinstance(error, KilledWorker):
            raise error
        self._lost[number] += 1
        if self._lost[number] == _MOST_LOST:
            raise UnavailableError(
                self._scheduler,
                f"tile {number} was lost with its worker again and again",
                "give workers more memory, or `memory` less",
            ) from error
        self._waiting.appendleft((number, tile))
        return False

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Say that the scheduler went away if it does not answer what is asked inside."""
        try:
            yield
        except LcmapError:
            raise
        except OSError as error:
            raise self._gone() from error

    def _gone(self) -> UnavailableError:
        return UnavailableError(
            f"`scheduler={self._scheduler}`", "went away",
            "start it and its workers again, then the same command, which continues",
        )  # fmt: skip
