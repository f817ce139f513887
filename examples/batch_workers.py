"""Run an lcmap command on workers that Slurm or PBS starts, as many as are asked for.

    python examples/batch_workers.py slurm --workers 20 --cores 16 --memory 32GB \\
        --walltime 02:00:00 --queue QUEUE -- predict spot.tif -m model.onnx -o map.tif

Needs pip install 'lcmap[distributed]'. Start it where it may run as long as the map takes and where
the workers can reach it, as in a job of its own: it holds the scheduler, and writes the map. Each
worker is a job with a node's cores. Jobs that start late join; those that end early are replaced.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from dask_jobqueue import PBSCluster, SLURMCluster

SYSTEMS = {"slurm": SLURMCluster, "pbs": PBSCluster}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--memory", default="32GB")
    parser.add_argument("--walltime", default="02:00:00")
    parser.add_argument("--queue")
    parser.add_argument("command", nargs="+", help="an lcmap command, after --")
    given = parser.parse_args()
    with SYSTEMS[given.system](
        queue=given.queue,
        cores=given.cores,
        processes=1,  # one copy of the network for all cores of the node
        memory=given.memory,
        walltime=given.walltime,
    ) as cluster:
        # jobs that were lost are started again
        cluster.adapt(minimum_jobs=given.workers, maximum_jobs=given.workers)
        words = [sys.executable, "-m", "lcmap", *given.command]
        return subprocess.run([*words, "--scheduler", cluster.scheduler_address]).returncode


if __name__ == "__main__":
    sys.exit(main())
