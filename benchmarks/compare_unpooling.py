"""Unpooling to the first maximum of a cell, as PyTorch does, and to every maximum: accuracy, speed.

    python benchmarks/compare_unpooling.py [--epochs 6] [--seeds 0 1] [--zones 0 1 2 4 5] \
        [--side 768] [--rounds 7]

Where several pixels of a cell are its maximum, which after ReLU is often so (all are 0), lcmap
unpools to the first of them, to the bit as `max_unpool2d` does. A comparison with the maximum laid
over its cell is cheaper, but unpools to all of them: another network, which has to be trained so.
Both are trained with the default recipe on the FLAIR zones at 0.8 m beside the project (LCMAP_DATA,
else ../shared/data), flair7, split `blocks` with seed 0, in turns, an epoch each; what is best on
the validation tiles is scored on the pixels of the test tiles. The speed is that of onnxruntime on
the exported graphs, for a mirror-padded tile of SIDE² px, in turns, and for the paper's width and
depth too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from bench_engines import in_turns, print_times
from compare_unet_resnet34 import FLAIR, contender, predict_zone, prepare_zones
from torch import Tensor

from lcmap.accuracy.options import BootstrapOptions, ClassOptions, ReportOptions, SplitOptions
from lcmap.accuracy.score import score
from lcmap.dataset.reading import TileReader
from lcmap.engines.onnxruntime import OnnxRuntimeSession
from lcmap.network import LandCoverNetwork, land_cover_network, operations
from lcmap.training.export import to_onnx
from lcmap.training.initialisation import initialise
from lcmap.training.recipe import DEFAULT, PAPER
from lcmap.training.samples import SampleSource, read_training_set


def pool_with_every_maximum(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maxima, and every pixel that is its cell's, bool [N, C, H, W]."""
    maxima = F.max_pool2d(x, 2)
    return maxima, x == F.interpolate(maxima, scale_factor=2.0, mode="nearest")


def unpool_to_every_maximum(x: Tensor, is_maximum: Tensor, skip: Tensor) -> Tensor:
    """Return what `unpool_and_join` returns, unpooled to these pixels."""
    joined = torch.cat((operations.plain_unpool(x, is_maximum), skip), dim=1)
    return operations.mirror_pad(joined)


FORMS: dict[str, dict[str, Callable[..., object]]] = {
    "first maximum": {
        "max_pool": operations.max_pool, "unpool_and_join": operations.unpool_and_join
    },
    "every maximum": {
        "max_pool": pool_with_every_maximum, "unpool_and_join": unpool_to_every_maximum
    },
}  # fmt: skip


def pooling(form: str) -> AbstractContextManager[object]:
    """Let networks pool and unpool in one of the forms."""
    return patch.multiple(land_cover_network, **FORMS[form])


def compare_accuracy(seed: int, epochs: int, zones: list[int], folder: Path) -> None:
    """Train both, map the zones and score the maps."""
    folder.mkdir()
    indexes = prepare_zones(zones, folder)
    data = read_training_set(indexes)
    with TileReader(data.nomenclature) as reader:
        source = SampleSource(reader)
        trainers = {}
        for form in FORMS:
            trainers[form], *_ = contender("default", data, source, seed, epochs=epochs)
        for _ in range(epochs):
            for form, trainer in trainers.items():
                with pooling(form):
                    trainer.epoch()
                row = trainer.rows[-1]
                print(
                    f"seed {seed}, {form}: {row['steps']} steps, {row['seconds']:.0f} s, "
                    f"validation mIoU {100 * row['miou']:.1f}",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
        for form, trainer in trainers.items():
            (folder / form).mkdir()
            network = trainer.network
            network.load_state_dict(trainer.best)
            with pooling(form):
                for zone in zones:
                    predict_zone(
                        network.to("cpu").eval(), network.stride, reader,
                        folder / f"zone{zone}.stack.tif", data, folder / form / f"zone{zone}.tif",
                    )  # fmt: skip
    report = score(
        [folder / form for form in FORMS],
        [FLAIR / f"zone{zone}_0.8m_labels.tif" for zone in zones],
        classes=ClassOptions(reference_crosswalk="flair19:flair7"),
        split=SplitOptions(tuple(indexes), "test"),
        bootstrap=BootstrapOptions(replicates=0),
        outputs=ReportOptions(names=tuple(FORMS)),
    )
    for form, item in zip(FORMS, report.maps, strict=True):
        miou, oa = 100 * item.scores.overall[:2]
        best = trainers[form].rows[trainers[form].best_epoch - 1]
        print(f"seed {seed}, {form}: test mIoU {miou:.2f}, OA {oa:.2f}, "
              f"validation mIoU {100 * best['miou']:.2f}", flush=True)  # fmt: skip


def compare_speed(side: int, rounds: int) -> None:
    """Time the exported graphs of both."""
    for recipe in (DEFAULT, PAPER):
        network = LandCoverNetwork([4], 7, recipe.architecture)
        initialise(network, recipe.initialisation, 0)
        image = np.random.default_rng(0).random((1, 4, side, side), np.float32)
        runs = {}
        for form in FORMS:
            with pooling(form):
                runs[form] = partial(
                    OnnxRuntimeSession(to_onnx(network, ["image"])).run, {"image": image}
                )
        print(f"a tile of {side}² px, width {recipe.width}, depth {recipe.depth}:", flush=True)
        print_times(in_turns(runs, rounds), side**2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--zones", type=int, nargs="+", default=[0, 1, 2, 4, 5])
    parser.add_argument("--side", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    compare_speed(arguments.side, arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            compare_accuracy(seed, arguments.epochs, arguments.zones, Path(folder) / str(seed))


if __name__ == "__main__":
    main()
