"""What a block costs beside its computation when --scheduler has many workers.

    python benchmarks/bench_cluster.py [--workers 1000] [--seconds 1] [--spread 0.5] [--minutes 2]
    python benchmarks/bench_cluster.py --tile-by-tile
    python benchmarks/bench_cluster.py --transfer

A Dask scheduler, the process that stores, and the workers are real and talk through sockets. Only
the computation is not: a worker sleeps for each block, lognormally long with the mean --seconds and
--spread, and returns pixels of a small block. Hundreds of workers live in one process each, which
their event loops allow; nothing of their cost is left out of the figures of the scheduler.

In the middle half of the run, the time that workers had a block is compared with the time that they
were there: the rest is overhead. A sleep that ends late, since hundreds of workers share a core, is
the block's. Processor time is that of the scheduler and of the process that stores, each, for a
task and for a block. With --tile-by-tile a task is one block, whatever the cluster's size. With
--transfer two workers return blocks of real size at once: bytes a second that come to the process
that stores and are stored.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dask
import numpy as np
import psutil
from affine import Affine
from rasterio.crs import CRS

from lcmap.graph.halo import BorderSides
from lcmap.inference import cluster
from lcmap.inference.cluster_connection import Connection, scheduler_address
from lcmap.inference.cluster_worker import Computed, ComputedTask, Job
from lcmap.inference.options import MapOutputs
from lcmap.inference.output_files import output_files
from lcmap.inference.resume.plan import tiling_facts
from lcmap.inference.resume.resumable_map import ResumableMap
from lcmap.inference.tiling import Tile
from lcmap.nomenclature import load_nomenclature
from lcmap.progress import silent
from lcmap.raster.grid import Grid
from lcmap.raster.windows import iter_blocks

PROCESSES = 2
SIDE = 64
LARGE_SIDE = 1024
COLUMNS = 200
MOST_SLEPT = 10**9
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "10s",
    "distributed.admin.system-monitor.interval": "60s",
    "distributed.worker.memory.terminate": False,
}


async def serve(address: str, count: int) -> None:
    """Be so many workers, until killed."""
    from distributed import Worker

    with tempfile.TemporaryDirectory() as folder:
        workers = [
            Worker(address, nthreads=1, memory_limit=0, local_directory=folder, dashboard=False)
            for _ in range(count)
        ]
        for first in range(0, count, 20):
            await asyncio.gather(*workers[first : first + 20])
        await asyncio.gather(*(worker.finished() for worker in workers))


@contextmanager
def started(workers: int) -> Iterator[tuple[str, psutil.Process]]:
    """Yield the address and the process of a scheduler with so many workers."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        file = Path(name) / "scheduler.json"

        def start(*arguments: object) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, *map(str, arguments)], stderr=subprocess.DEVNULL
            )
            stack.callback(process.kill)
            return process

        scheduler = start("-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", 0,
                          "--no-dashboard", "--scheduler-file", file)  # fmt: skip
        while not file.exists():
            time.sleep(0.1)
        address = scheduler_address(str(file))
        processes = min(PROCESSES, workers)
        for number in range(processes):
            share = workers // processes + (number < workers % processes)
            start(Path(__file__).resolve(), "--serve", address, share)
        with Connection(address) as connection:
            connection.client.wait_for_workers(workers, timeout=300)
        yield address, psutil.Process(scheduler.pid)


def sleeping(seconds: float, spread: float) -> Callable[..., ComputedTask]:
    """Return what stands for the computation of blocks; `mapped` says when it ended, and slept."""

    def compute(_: object, tiles: list[Tile]) -> ComputedTask:
        lengths = np.random.default_rng().lognormal(-(spread**2) / 2, spread, len(tiles)) * seconds
        computed = []
        start = at = time.clock_gettime(time.CLOCK_MONOTONIC)  # of all processes of a machine
        for tile, length in zip(tiles, lengths, strict=True):
            time.sleep(length)
            pixels = np.full((1, tile.output_window.height, tile.output_window.width), 7, np.uint8)
            at, before = time.clock_gettime(time.CLOCK_MONOTONIC), at
            facts = int(at * 1e6) * MOST_SLEPT + int((at - before) * 1e6)
            computed.append(Computed({"codes": pixels}, facts))
        return ComputedTask(computed, at - start)

    return compute


def map_of(blocks: int, side: int, folder: Path) -> tuple[ResumableMap, list[Tile]]:
    """Return a map that is to be made of so many blocks, and their tiles."""
    height, width = side * -(-blocks // COLUMNS), side * COLUMNS
    windows = list(iter_blocks(height, width, side))
    grid = Grid(CRS.from_epsg(2154), Affine(1.5, 0, 7e5, 0, -1.5, 6.3e6), width, height)
    files = output_files(MapOutputs(folder / "map.tif", qml=False), load_nomenclature("topo6"),
                         (), {})  # fmt: skip
    inside = BorderSides(False, False, False, False)
    tiles = [Tile(window, window, window, inside) for window in windows]
    return ResumableMap(files, grid, tiling_facts(side, windows), windows), tiles


def processor_seconds(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def run(arguments: argparse.Namespace, blocks: int, side: int) -> list[tuple[float, ...]]:
    """Compute so many blocks; return when each ended, slept, both processor times, tasks."""
    cluster.compute_tiles = sleeping(arguments.seconds, arguments.spread)
    seen: list[tuple[float, ...]] = []
    own = psutil.Process()
    tasks = 0
    with started(arguments.workers) as (address, scheduler), tempfile.TemporaryDirectory() as name:
        work, tiles = map_of(blocks, side, Path(name))
        submit = cluster._ClusterRun._give

        def give(*given: Any) -> None:
            nonlocal tasks
            tasks += 1
            submit(*given)

        cluster._ClusterRun._give = give  # type: ignore[method-assign]
        store = work.store
        used = [0.0, 0.0]

        def stored(number: int, arrays: Any, *, mapped: int) -> None:
            if len(seen) % 200 == 0:
                used[:] = processor_seconds(scheduler), processor_seconds(own)
            ended, slept = divmod(mapped, MOST_SLEPT)
            seen.append((ended / 1e6, slept / 1e6, *used, tasks))
            store(number, arrays, mapped=mapped)

        work.store = stored  # type: ignore[method-assign]
        with work:
            job = Job((), "", None, None, (), (), {})  # type: ignore[arg-type]
            start = time.clock_gettime(time.CLOCK_MONOTONIC)
            cluster.compute_on_cluster(work, tiles, job, address, silent)
    cluster._ClusterRun._give = submit  # type: ignore[method-assign]
    return [(at - start, *rest) for at, *rest in seen]


def overhead(arguments: argparse.Namespace) -> None:
    workers = arguments.workers
    blocks = int(workers * arguments.minutes * 60 / arguments.seconds)
    seen = np.array(run(arguments, blocks, SIDE))
    slept, end = seen[:, 1].sum(), seen[:, 0].max()
    first, last = end / 4, end * 3 / 4
    ends, starts = seen[:, 0].clip(first, last), (seen[:, 0] - seen[:, 1]).clip(first, last)
    busy, taken = (ends - starts).sum(), last - first
    middle = seen[(seen[:, 0] >= first) & (seen[:, 0] < last)]
    done, tasks = len(middle), middle[-1, 4] - middle[0, 4]
    print(
        f"{workers} workers, {len(seen)} blocks of {arguments.seconds:g} s (lognormal, "
        f"{arguments.spread:g}), in {end:.0f} s\n"
        f"middle half: {done / tasks:.1f} blocks a task, {tasks / taken:.0f} tasks a second; "
        f"overhead of a block {100 * (workers * taken / busy - 1):.1f} %\n"
        f"whole run, with its start and its end: {100 * (workers * end / slept - 1):.1f} %"
    )
    for place, name in ((2, "scheduler"), (3, "process that stores")):
        used = middle[-1, place] - middle[0, place]
        print(
            f"{name}: {1e3 * used / tasks:.2f} ms of processor time a task, "
            f"{1e3 * used / done:.3f} ms a block, {100 * used / taken:.0f} % of a core"
        )


def transfer(arguments: argparse.Namespace) -> None:
    arguments.workers, arguments.seconds = 2, 1e-4
    seen = run(arguments, 1000, LARGE_SIDE)
    first, last = seen[len(seen) // 4], seen[len(seen) * 3 // 4]
    volume = len(seen) / 2 * LARGE_SIDE**2
    print(f"blocks of {LARGE_SIDE} px, a byte each: {volume / (last[0] - first[0]) / 1e6:.0f} MB/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--spread", type=float, default=0.5)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--tile-by-tile", action="store_true")
    parser.add_argument("--transfer", action="store_true")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    dask.config.set(QUIET)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started ends too
    if arguments.serve:
        address, count = arguments.serve
        asyncio.run(serve(address, int(count)))
        return
    if arguments.tile_by_tile:
        cluster.task_length = lambda *_: 1
    if arguments.transfer:
        transfer(arguments)
    else:
        overhead(arguments)


if __name__ == "__main__":
    main()
