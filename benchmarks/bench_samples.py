"""What samples cost: a batch with each variation of the recipe, a step with unlabelled crops.

    python benchmarks/bench_samples.py [--rounds 24] [--steps 5]

Printed are the milliseconds of processor time for a batch of the default recipe, and for one with
each field that varies or chooses samples, once what they need is made (the first batch makes it);
then the seconds for a step, by how many crops without labels it has. Data: FLAIR zones 0 and 1 at
0.8 m beside the project (LCMAP_DATA, else ../shared/data); in steps zone 1 has no labels. One
thread. All are medians, of contenders in turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from compare_unet_resnet34 import prepare_zones

from lcmap.dataset.tile_index import read_tile_index
from lcmap.training.batches import Sampler
from lcmap.training.options import TrainOptions
from lcmap.training.recipe import DEFAULT, Consistency, Jitter, Sampling
from lcmap.training.run import make_network
from lcmap.training.samples import SampleSource, read_training_set
from lcmap.training.trainer import Trainer

JITTER = Jitter(0.1, 0.05, 0.0)
PLAIN = replace(DEFAULT, jitter=JITTER, sampling=Sampling())
"""The default recipe without levers."""

RECIPES = {
    "none of these": PLAIN,
    "default": DEFAULT,
    "zoom 0.3": replace(PLAIN, zoom=0.3),
    "jitter: gamma 0.3": replace(PLAIN, jitter=replace(JITTER, gamma=0.3)),
    "jitter: content 0.5": replace(PLAIN, jitter=replace(JITTER, content=0.5)),
    "jitter: noise 0.05": replace(PLAIN, jitter=replace(JITTER, noise=0.05)),
    "jitter: blur 0.5": replace(PLAIN, jitter=replace(JITTER, blur=0.5)),
    "sampling: balance 0.5": replace(PLAIN, sampling=Sampling(balance=0.5)),
    "sampling: paste 2": replace(PLAIN, sampling=Sampling(paste=2.0)),
    "all of these": replace(
        PLAIN,
        zoom=0.3,
        jitter=replace(JITTER, gamma=0.3, content=0.5, noise=0.05, blur=0.5),
        sampling=Sampling(balance=0.5, paste=2.0),
    ),
}


def in_turns(contenders: Mapping[str, Callable[[int], object]], rounds: int) -> dict[str, float]:
    """Return the median processor seconds of each contender's calls, after one call before."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, call in contenders.items():
            started = time.process_time()
            call(number)
            if number:
                taken[name].append(time.process_time() - started)
    return {name: statistics.median(values) for name, values in taken.items()}


def batches(indexes: list[Path], rounds: int) -> None:
    data = read_training_set(indexes)
    side = DEFAULT.crop or data.tile_size
    with data.reader() as reader:
        source = SampleSource(reader)
        for tile in data.train:
            source.read(tile)
        samplers = {
            name: Sampler(source, data.train, recipe, side, 0).batch
            for name, recipe in RECIPES.items()
        }
        print(f"milliseconds for a batch of {DEFAULT.batch_size} × {side}² px:")
        for name, seconds in in_turns(samplers, rounds).items():
            print(f"  {name:24} {1000 * seconds:.1f}")


def steps(labelled: Path, unlabelled: Path, rounds: int) -> None:
    trainers: dict[str, Callable[[int], object]] = {}
    options = TrainOptions(epochs=10**4, device="cpu")
    for crops in (0, 2, 4, 8):
        data = read_training_set([labelled], unlabelled=[unlabelled] if crops else ())
        share = max(crops, 1) / DEFAULT.batch_size
        recipe = replace(DEFAULT, consistency=Consistency(share=share))
        network, _ = make_network(data, recipe, options)
        trainer = Trainer(data, SampleSource(data.reader()), network, recipe, options)
        trainers[f"{crops} crops without labels"] = partial(step, trainer)
    found = in_turns(trainers, rounds)
    first = next(iter(found.values()))
    print("seconds for a step:")
    for name, seconds in found.items():
        print(f"  {name:24} {seconds:.2f}, {seconds / first:.2f} times")


def step(trainer: Trainer, number: int) -> None:
    trainer.step(trainer.sampler.batch(number))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--steps", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        indexes = prepare_zones([0, 1], Path(folder))
        batches(indexes, arguments.rounds)
        steps(indexes[0], read_tile_index(indexes[1]).tiles[0].image, arguments.steps)


if __name__ == "__main__":
    main()
