"""Processor time of a training step of two versions of lcmap, step by step in turns.

    git worktree add ../before b675e45
    python benchmarks/bench_training_steps.py ../before . [--rounds 24] [--avx2]
        [--bfloat16] [--without-convolutions]

Each version trains the same network, of width 16 and depth 4, on the same batch of 8 × 192² px in a
process of its own. Printed are the processor and clock seconds of a step, and the median of what it
takes as a share of the step of the first version in the same round. Processor time is the steadier
beside other work; it is that of one thread unless OMP_NUM_THREADS is set, so that none waits for
another. The page faults are arrays that the system mapped anew. --without-convolutions puts noise
in the place of what convolutions return: that is what is left of a step where they are fast, as
with AMX in bfloat16, and it can be measured on every processor. --avx2 makes a newer processor
behave as one with AVX2.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

KEEPING = "lcmap.training.memory"
"""The module by which a version keeps freed memory, where it has one."""

AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}

CLASSES = 7


@functools.cache
def noise(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    layout = torch.channels_last if len(shape) == 4 else torch.contiguous_format
    return torch.randn(shape).to(dtype).to(memory_format=layout)


class WithoutConvolution(torch.autograd.Function):
    """A convolution whose result and gradients are noise of the right shapes."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """Return [N, K, H, W], of a convolution without padding."""
        dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else x.dtype
        ctx.x = x.dtype, *x.shape
        ctx.parameters = weight.shape, None if bias is None else bias.shape
        n, _, height, width = x.shape
        channels, _, kernel, _ = weight.shape
        return noise(dtype, n, channels, height - kernel + 1, width - kernel + 1).detach()

    @staticmethod
    def backward(ctx: Any, *_: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return gradients of image, kernel and bias."""
        to_x = noise(*ctx.x) if ctx.needs_input_grad[0] else None
        return to_x, *(shape and noise(torch.float32, *shape) for shape in ctx.parameters)


def new_trainer(bfloat16: bool) -> tuple[Any, Any]:
    """Return a trainer of the default recipe and a batch of noise."""
    from lcmap.network import LandCoverNetwork
    from lcmap.raster.windows import Window
    from lcmap.training.batches import Batch
    from lcmap.training.initialisation import initialise
    from lcmap.training.options import TrainOptions
    from lcmap.training.recipe import DEFAULT
    from lcmap.training.trainer import Trainer

    # whatever the default recipe of a tree is, the network and the optimizer are the same
    alike = {"width": 16, "depth": 4, "stem": "full", "context": 0, "optimizer": "adamw"}
    alike = {name: value for name, value in alike.items() if hasattr(DEFAULT, name)}
    recipe = dataclasses.replace(DEFAULT, **alike)
    side = DEFAULT.crop or 192
    data: Any = SimpleNamespace(
        train=[SimpleNamespace(window=Window(0, 0, side, side))],
        shares=np.full(CLASSES, 1 / CLASSES),
        tile_size=side,
        pixels=side**2,
        unlabelled=(),
    )
    architecture = getattr(DEFAULT, "architecture", None)
    size = (recipe.width, recipe.depth) if architecture is None else (recipe.architecture,)
    network = LandCoverNetwork([4], CLASSES, *size)
    initialise(network, recipe.initialisation, 0)
    # the batch is there, so no tile is read
    with patch("lcmap.training.trainer.Sampler"):
        trainer = Trainer(data, data, network, recipe, TrainOptions(epochs=10**4, device="cpu"))
    trainer.bfloat16 = bfloat16
    torch.manual_seed(0)
    images = torch.rand(DEFAULT.batch_size, 4, side, side).to(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (DEFAULT.batch_size, side, side))
    return trainer, Batch((images,), labels)


def work(arguments: argparse.Namespace) -> None:
    """Take one step for every line of stdin, and print what it took."""
    trainer, batch = new_trainer(arguments.bfloat16)
    if arguments.without_convolutions:
        torch.nn.Conv2d.forward = (  # type: ignore[method-assign]
            lambda layer, x: WithoutConvolution.apply(x, layer.weight, layer.bias)
        )
    keeping: Any = contextlib.nullcontext()
    if importlib.util.find_spec(KEEPING):
        keeping = importlib.import_module(KEEPING).freed_memory_kept()
    with keeping:
        for _ in sys.stdin:
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            started = time.process_time(), time.perf_counter()
            loss = float(trainer.step(batch))
            took = time.process_time() - started[0], time.perf_counter() - started[1]
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
            print(json.dumps([*took, faults, loss]), flush=True)


def start(tree: str, avx2: bool) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *sys.argv, "--work"],
        env={"OMP_NUM_THREADS": "1"}
        | os.environ
        | {"PYTHONPATH": os.path.abspath(tree)}
        | (AVX2 if avx2 else {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def take_step(process: subprocess.Popen[str]) -> list[float]:
    assert process.stdin and process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trees", nargs="+", help="roots of versions of the project")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--avx2", action="store_true")
    parser.add_argument("--without-convolutions", action="store_true")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments)
        return
    processes = [start(tree, arguments.avx2) for tree in arguments.trees]
    rounds = [[take_step(process) for process in processes] for _ in range(arguments.rounds + 2)]
    taken = np.array(rounds[2:])  # [rounds, versions, figures]; the first ones warm up
    shares = np.median(taken[..., :2] / taken[:, :1, :2], axis=0)
    print("version        processor s  share   clock s  share   page faults    loss")
    for tree, figures, share in zip(arguments.trees, np.median(taken, axis=0), shares, strict=True):
        processor, clock, faults, loss = figures
        print(
            f"{tree:14} {processor:11.3f} {share[0]:6.3f} {clock:9.3f} {share[1]:6.3f} "
            f"{faults:13.0f} {loss:7.3f}"
        )
    for process in processes:
        process.communicate()


if __name__ == "__main__":
    main()
