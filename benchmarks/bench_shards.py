"""What several machines cost: shards with merge, and Dask workers, beside one process.

    python benchmarks/bench_shards.py MODEL.onnx [--size 4096] [--rounds 3] [--tile 768]

Takes turns on the cores of this machine, each way with all of them: `lcmap predict` as it
is; on a Dask cluster of a worker for each core; and in two shards, one after the other, and merge.
Every process counts from its start to its end, and the maps must be the same to the byte. Printed
are medians of the seconds, and of the speed relative to the first in each round, by the clock and
by processor time, which other programs on the machine disturb less; and the speed by round.
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

from distributed import LocalCluster

from lcmap.raster.threads import available_threads

SHARDS = 2
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
            speeds = [
                [one[i] / it[i] for one, it in zip(seconds["one process"], found, strict=True)]
                for i in range(2)
            ]
            ratios = [statistics.median(speed) for speed in speeds]
            by_round = ", ".join(f"{speed:.2f}" for speed in speeds[0])
            print(
                f"{way}: {medians[0]:.1f} s, {medians[1]:.1f} s of processor time; "
                f"speed {ratios[0]:.2f} ({by_round}), by processor time {ratios[1]:.2f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--tile", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=3)
    compare(parser.parse_args())


if __name__ == "__main__":
    main()
