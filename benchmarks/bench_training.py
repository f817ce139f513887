"""Speed of a training step, and whether the data keeps up with it.

    python benchmarks/bench_training.py [--steps 20] [--rounds 3] [--zones 0 1] [--compile]

Printed are (1) the seconds of a step of the default recipe's network and batch, forward, backward
and optimizer, for number formats and memory layouts, with padding, pooling and unpooling in
PyTorch's own operations, on CUDA without CUDA graphs too, and with --compile by torch.compile,
which needs a C++ compiler; (2) steps per second on batches cut from real tiles (FLAIR zones beside
the project: LCMAP_DATA, else ../shared/data) and on one fixed batch, in turns, and their ratio. All
are medians of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from compare_unet_resnet34 import prepare_zones

from lcmap.dataset.reading import TileReader
from lcmap.network import LandCoverNetwork, land_cover_network, operations
from lcmap.training import muon, trainer
from lcmap.training.batches import Batch, Sampler, batches_ahead
from lcmap.training.cuda_graphs import Passes
from lcmap.training.initialisation import initialise
from lcmap.training.options import TrainOptions
from lcmap.training.precision import choose_device
from lcmap.training.ranks import ALONE, Ranks
from lcmap.training.recipe import DEFAULT
from lcmap.training.samples import SampleSource, TrainingSet, read_training_set
from lcmap.training.trainer import Trainer


def new_trainer(
    data: TrainingSet, source: SampleSource, *, bfloat16: bool | None, ranks: Ranks = ALONE
) -> Trainer:
    """Return a trainer of the default recipe, in bfloat16 as told, or where the device has it."""
    network = LandCoverNetwork([4], len(data.nomenclature), DEFAULT.architecture)
    initialise(network, DEFAULT.initialisation, 0)
    options = TrainOptions(epochs=10**4)
    run = Trainer(data, source, network, DEFAULT, options, ranks=ranks)
    if bfloat16 is not None:
        run.bfloat16 = bfloat16
    return run


def seconds(run: Trainer, steps: int, take: Callable[[], object]) -> float:
    """Return the seconds of so many calls, the last one's computation included."""
    started = time.perf_counter()
    for _ in range(steps):
        take()
    if run.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def step_table(
    batch: Batch,
    make: Callable[..., Trainer],
    steps: int,
    rounds: int,
    compiled: bool,
) -> None:
    device = choose_device("auto")
    runs: dict[str, tuple[Trainer, Batch, bool]] = {}
    plain = Batch(tuple(image.contiguous() for image in batch.images), batch.labels)
    for name, layout, bfloat16, own in (
        ("float32, channels first, PyTorch's operations", torch.contiguous_format, False, False),
        ("float32, channels last, PyTorch's operations", torch.channels_last, False, False),
        ("bfloat16, channels last, PyTorch's operations", torch.channels_last, True, False),
        ("float32, channels last, lcmap's operations", torch.channels_last, False, True),
        ("bfloat16, channels last, lcmap's operations", torch.channels_last, True, True),
    ):
        run = make(bfloat16=bfloat16)
        run.network.to(memory_format=layout)
        runs[name] = run, batch if layout == torch.channels_last else plain, own
    if device.type == "cuda":
        with without_graphs():
            run = make(bfloat16=True)
        runs["bfloat16, lcmap's operations, without CUDA graphs"] = run, batch, True
    for own in (False, True) if compiled else ():
        run = make(bfloat16=False)
        run.network.compile()
        with operations_of(own):
            took = seconds(run, 1, lambda r=run: r.step(batch))
        name = f"float32, compiled, {'lcmap' if own else 'PyTorch'}'s operations"
        print(f"{name}: the first step took {took:.0f} s", flush=True)
        runs[name] = run, batch, own
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, (run, given, own) in runs.items():
            with operations_of(own):
                took = seconds(run, max(steps // 4, 1), lambda r=run, b=given: r.step(b))
            if number:
                taken[name].append(took / max(steps // 4, 1))
    print(f"seconds per step of {len(batch.labels)} × {batch.labels.shape[1]}² px on {device}:")
    for name, values in taken.items():
        print(f"  {name:48} {statistics.median(values):.3f}")


@contextmanager
def without_graphs() -> Iterator[None]:
    """Let trainers that are made here compute operation by operation."""
    with (
        patch.object(trainer, "Passes", lambda network, recorded: Passes(network, recorded=False)),
        patch.object(muon, "Recorded", lambda function: function),
    ):
        yield


@contextmanager
def operations_of(own: bool) -> Iterator[None]:
    """Run the network with lcmap's fused operations, or with PyTorch's own."""
    if own:
        yield
        return
    with (
        patch.multiple(land_cover_network, **PYTORCHS),
        patch.object(operations.NormReluPad, "forward", pytorch_norm_relu_pad),
    ):
        yield


def pytorch_unpool_and_join(
    x: torch.Tensor, indices: torch.Tensor, skip: torch.Tensor
) -> torch.Tensor:
    unpooled = torch.nn.functional.max_unpool2d(x, indices, 2)
    return operations.plain_mirror_pad(torch.cat((unpooled, skip), dim=1))


def pytorch_norm_relu_pad(norm: torch.nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
    y = torch.nn.functional.relu(torch.nn.BatchNorm2d.forward(norm, x), inplace=True)
    return operations.plain_mirror_pad(y)


PYTORCHS = {
    "mirror_pad": operations.plain_mirror_pad,
    "unpool_and_join": pytorch_unpool_and_join,
}


def pipeline_ratio(sampler: Sampler, make: Callable[..., Trainer], steps: int, rounds: int) -> None:
    run = make(bfloat16=None)
    fixed = sampler.batch(0)
    real, still = [], []
    for number in range(rounds + 1):
        with batches_ahead(sampler, 0, steps) as batches:
            took = seconds(run, steps, lambda b=batches: run.step(next(b)))
        still_took = seconds(run, steps, lambda: run.step(fixed))
        if number:  # the first round fills the cache and the allocator
            real.append(steps / took)
            still.append(steps / still_took)
    ratio = statistics.median(a / b for a, b in zip(real, still, strict=True))
    print(
        f"steps per second: {statistics.median(real):.3f} on real tiles, "
        f"{statistics.median(still):.3f} on a fixed batch, ratio {ratio:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--zones", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = read_training_set(prepare_zones(arguments.zones, Path(folder)))
        with TileReader(data.nomenclature) as reader:
            side = DEFAULT.crop or data.tile_size
            source = SampleSource(reader)
            make = partial(new_trainer, data, source)
            sampler = Sampler(source, data.train, DEFAULT, side, 0)
            pipeline_ratio(sampler, make, arguments.steps, arguments.rounds)
            step_table(sampler.batch(0), make, arguments.steps, arguments.rounds, arguments.compile)


if __name__ == "__main__":
    main()
