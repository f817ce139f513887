"""Speed of two processes with a thread each against one process with two.

    python benchmarks/bench_ranks.py [--steps 3] [--rounds 5]

torchrun starts the processes. Both take steps of the default recipe on the same batch of a FLAIR
zone (beside the project: LCMAP_DATA, else ../shared/data), in turns. Printed are the
seconds of a step, on the clock and of the processors, medians of the rounds, and medians of the
ratios in each round.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from bench_training import new_trainer
from compare_unet_resnet34 import prepare_zones

from lcmap.dataset.reading import TileReader
from lcmap.launch import launched
from lcmap.training.batches import Batch, Sampler
from lcmap.training.ranks import Ranks, all_ranks
from lcmap.training.recipe import DEFAULT
from lcmap.training.samples import SampleSource, read_training_set
from lcmap.training.trainer import Trainer


def seconds_of(run: Trainer, batch: Batch, steps: int, threads: int) -> tuple[float, float]:
    """Return the seconds of a step on the clock and of this process's processors."""
    torch.set_num_threads(threads)
    clock, processor = time.perf_counter(), time.process_time()
    for _ in range(steps):
        run.step(batch)
    return (time.perf_counter() - clock) / steps, (time.process_time() - processor) / steps


def compare(ranks: Ranks, folder: Path, steps: int, rounds: int) -> None:
    # each process prepares the zone for itself
    data = read_training_set(prepare_zones([0], folder))
    first = ranks.launch.rank == 0
    with TileReader(data.nomenclature) as reader:
        source = SampleSource(reader)
        make = partial(new_trainer, data, source, bfloat16=None)
        batch_of = partial(Sampler, source, data.train, DEFAULT, DEFAULT.crop, 0)
        alone, whole = make(), batch_of().batch(0)
        together, share = make(ranks=ranks), batch_of(ranks).batch(0)
        found = []
        for number in range(rounds + 1):
            one = seconds_of(alone, whole, steps, ranks.launch.size) if first else (0.0, 0.0)
            ranks.of_first(number)  # the others wait here
            two, processor = seconds_of(together, share, steps, 1)
            spent = float(ranks.sum(torch.tensor(processor)))
            if number:  # the first round fills the allocator
                found.append((*one, two, spent))
    if first:
        for name, place in (("on the clock", 0), ("of processors", 1)):
            pairs = [(row[place], row[place + 2]) for row in found]
            one, two = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(b / a for a, b in pairs)
            print(f"seconds {name}: one process {one:.3f}, {ranks.launch.size} {two:.3f}, "
                  f"ratio {ratio:.3f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if launched().size == 1:
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        sys.exit(subprocess.call([*start, "--nproc-per-node", "2", __file__, *sys.argv[1:]]))
    with tempfile.TemporaryDirectory() as folder, all_ranks("auto") as ranks:
        compare(ranks, Path(folder), arguments.steps, arguments.rounds)


if __name__ == "__main__":
    main()
