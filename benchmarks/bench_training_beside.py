"""Clock time of training steps beside other processes, by how OpenMP's threads wait for each other.

    python benchmarks/bench_training_beside.py [--others 0 2] [--rounds 5] [--ways "as lcmap does"]

Steps of the network of width 16 and depth 4 on a batch of 8 × 192² px, and of 2 × 96² px, whose
threads have less to do between one wait and the next. Every way has a process of its own, and they
take their steps in turns. The others are trainings too, of one thread each, in a session of their
own, as those of another user or of cron are: Linux divides its processors among sessions first.
Printed are the medians of the rounds, in seconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
from bench_training_steps import new_trainer

from lcmap.openmp import wait_briefly
from lcmap.training.batches import Batch
from lcmap.training.memory import freed_memory_kept

SIZES = {"8 × 192² px": (8, 192), "2 × 96² px": (2, 96)}


def ways() -> dict[str, dict[str, str]]:
    """Return what each way to wait sets in the environment."""
    ours: dict[str, str] = {}
    wait_briefly(ours)
    return {
        "as GNU's OpenMP does": {},
        "as lcmap does": ours,
        "asleep at once": {"OMP_WAIT_POLICY": "passive"},
        "one thread": {"OMP_NUM_THREADS": "1"},
    }


def work(endless: bool) -> None:
    """Take steps: one of each size for every line of stdin, printed; or ever more."""
    trainer, whole = new_trainer(bfloat16=False)
    batches = [
        Batch(tuple(x[:n, :, :side, :side] for x in whole.images), whole.labels[:n, :side, :side])
        for n, side in SIZES.values()
    ]
    with freed_memory_kept():
        while endless:
            trainer.step(batches[0])
        for _ in sys.stdin:
            for batch in batches:
                started = time.perf_counter()
                trainer.step(batch)
                print(time.perf_counter() - started, flush=True)


@contextmanager
def process(
    environment: dict[str, str], *arguments: str, own_session: bool
) -> Iterator[subprocess.Popen[str]]:
    """Run this script's work in another process."""
    free = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    started = subprocess.Popen(
        [sys.executable, __file__, "--work", *arguments],
        env=free | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=own_session,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def take_steps(process: subprocess.Popen[str]) -> list[float]:
    assert process.stdin and process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    return [float(process.stdout.readline()) for _ in SIZES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--others", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", nargs="+", choices=ways(), default=list(ways()))
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--endless", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.endless)
        return
    print(f"{'others':6}  {'threads wait':20}  {'  '.join(SIZES)}")
    for others in arguments.others:
        with ExitStack() as stack:
            for _ in range(others):
                stack.enter_context(
                    process({"OMP_NUM_THREADS": "1"}, "--endless", own_session=False)
                )
            started = [
                stack.enter_context(process(ways()[way], own_session=True))
                for way in arguments.ways
            ]
            taken = [[take_steps(one) for one in started] for _ in range(arguments.rounds + 1)]
        for way, medians in zip(arguments.ways, np.median(taken[1:], axis=0), strict=True):
            figures = "  ".join(
                f"{s:{len(size)}.3f}" for s, size in zip(medians, SIZES, strict=True)
            )
            print(f"{others:6}  {way:20}  {figures}")


if __name__ == "__main__":
    main()
