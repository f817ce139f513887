"""What several machines cost: shards with merge, and Dask workers, beside one process.

    python benchmarks/bench_shards.py MODEL.onnx [--size 4096] [--rounds 3] [--tile 768]
    python benchmarks/bench_shards.py --simulate [--workers 1000] [--blocks 4000] [--seconds 10]

The first takes turns on the cores of this machine, each way with all of them: `lcmap predict` as it
is; on a Dask cluster of a worker for each core; and in two shards, one after the other, and merge.
Every process counts from its start to its end, and the maps must be the same to the byte. Printed
are medians of the seconds, and of the speed relative to the first in each round, by the clock and
by processor time, which other programs on the machine disturb less.

The second computes nothing: workers wait --seconds for each block, as long as a large one takes on
a core, and return its codes, which are stored as those of a map are. Overhead is the time that the
run takes beyond blocks × seconds / workers. The workers are threads of few processes.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from distributed import LocalCluster
from rasterio.crs import CRS

from lcmap.inference import cluster
from lcmap.inference.cluster import compute_on_cluster
from lcmap.inference.cluster_worker import Computed, Job
from lcmap.inference.options import MapOutputs
from lcmap.inference.output_files import output_files
from lcmap.inference.resume.plan import tiling_facts
from lcmap.inference.resume.resumable_map import ResumableMap
from lcmap.nomenclature import load_nomenclature
from lcmap.progress import silent
from lcmap.raster.grid import Grid
from lcmap.raster.threads import available_threads
from lcmap.raster.windows import Window, iter_blocks

SHARDS = 2
PROCESSES = 4
SIDE = 512
PROJECT = Path(__file__).resolve().parent.parent


def processor_seconds(who: int) -> float:
    """Return the processor time, user's and system's, of this process or of its children."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def lcmap(*arguments: object) -> None:
    """Run a command in a process of its own."""
    subprocess.run(
        [sys.executable, "-m", "lcmap", *map(str, arguments), "-q"],
        check=True, env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )  # fmt: skip


def compare(arguments: argparse.Namespace) -> None:
    from bench_predict import write_mosaic

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image, output = folder / "image.tif", folder / "map.tif"
        write_mosaic(image, arguments.size)
        command = ("predict", image, "-m", arguments.model, "-o", output, "--overwrite",
                   "--tile", arguments.tile)  # fmt: skip

        def alone() -> None:
            lcmap(*command)

        def shards() -> None:
            for number in range(1, SHARDS + 1):
                lcmap(*command, "--shard", f"{number}/{SHARDS}")
            lcmap("merge", output)

        def workers() -> None:
            lcmap(*command, "--scheduler", dask.scheduler_address)

        ways = {"one process": alone, f"{SHARDS} shards and merge": shards, "Dask workers": workers}
        seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(arguments.rounds):
            made = []
            for way, run in ways.items():
                dask = None
                if run is workers:
                    dask = LocalCluster(
                        n_workers=available_threads(), threads_per_worker=1, memory_limit=None,
                        dashboard_address=None,
                    )  # fmt: skip
                start, used = time.perf_counter(), processor_seconds(resource.RUSAGE_CHILDREN)
                own = processor_seconds(resource.RUSAGE_SELF)
                run()
                taken = time.perf_counter() - start
                if dask is not None:
                    dask.close()  # the time of its workers counts once they have ended
                used = processor_seconds(resource.RUSAGE_CHILDREN) - used
                used += processor_seconds(resource.RUSAGE_SELF) - own
                seconds[way].append((taken, used))
                made.append(output.read_bytes())
                output.unlink()
            assert made[1:] == made[:-1], "the maps differ"
        print(f"{arguments.size} x {arguments.size} px, {available_threads()} cores, medians of "
              f"{arguments.rounds} rounds; the maps are the same")  # fmt: skip
        for way, found in seconds.items():
            medians = [statistics.median(each) for each in zip(*found, strict=True)]
            ratios = [
                statistics.median(one[i] / it[i] for one, it in
                                  zip(seconds["one process"], found, strict=True))
                for i in range(2)
            ]  # fmt: skip
            print(f"{way}: {medians[0]:.1f} s, {medians[1]:.1f} s of processor time; "
                  f"speed {ratios[0]:.2f}, by processor time {ratios[1]:.2f}")  # fmt: skip


def waiting(seconds: float) -> Any:
    """Return what stands for the computation of a block that takes so many seconds."""

    def compute_tile(_: object, tile: Any) -> Computed:
        time.sleep(seconds)
        return Computed({"codes": np.full((1, tile.height, tile.width), 7, np.uint8)}, 1)

    return compute_tile


def simulate(arguments: argparse.Namespace) -> None:
    columns = 40
    height, width = SIDE * -(-arguments.blocks // columns), SIDE * columns
    windows: list[Window] = list(iter_blocks(height, width, SIDE))
    grid = Grid(CRS.from_epsg(2154), Affine(0.8, 0, 7e5, 0, -0.8, 6.3e6), width, height)
    cluster.compute_tile = waiting(arguments.seconds)
    job = Job((), "", None, None, (), (), {})  # type: ignore[arg-type]
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(
            n_workers=PROCESSES, threads_per_worker=arguments.workers // PROCESSES,
            memory_limit=None, dashboard_address=None,
        ) as dask,
    ):  # fmt: skip
        outputs = MapOutputs(Path(folder) / "map.tif", qml=False)
        files = output_files(outputs, load_nomenclature("topo6"), (), {})
        plan = tiling_facts(SIDE, windows)
        with ResumableMap(files, grid, plan, windows) as work:
            start, used = time.perf_counter(), processor_seconds(resource.RUSAGE_SELF)
            compute_on_cluster(
                work,
                windows,
                job,
                dask.scheduler_address,
                silent,  # type: ignore[arg-type]
            )
            taken = time.perf_counter() - start
            used = processor_seconds(resource.RUSAGE_SELF) - used
    blocks, wanted = len(windows), len(windows) * arguments.seconds / arguments.workers
    print(
        f"{blocks} blocks of {arguments.seconds:g} s on {arguments.workers} workers: {taken:.1f} s "
        f"for {wanted:.1f} s; overhead of a block {100 * (taken / wanted - 1):.1f} %; scheduler "
        f"and writer together {1000 * used / blocks:.1f} ms of processor time a block, "
        f"{100 * used / taken:.0f} % of a core"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--tile", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--simulate", action="store_true")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--blocks", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    if arguments.simulate:
        simulate(arguments)
    elif arguments.model is None:
        parser.error("name a model")
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
