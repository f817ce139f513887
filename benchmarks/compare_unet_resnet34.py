"""The default recipe, the paper's, and a U-Net ResNet-34, trained for the same time and scored.

    python benchmarks/compare_unet_resnet34.py --minutes 10 [--zones 0 1 2 4 5] [--seed 0] \
        [--contenders default paper unet-resnet34] [-o comparison.json]

Data: the FLAIR zones at 0.8 m beside the project (LCMAP_DATA, else ../shared/data), nomenclature
flair7, split `blocks` with seed 0. The U-Net ResNet-34 is segmentation_models_pytorch's, without
pretrained weights, trained by lcmap's loop with the default recipe: same tiles, crops, batch size,
loss, schedule, augmentation, average, number format and validation; only the network differs.
The contenders take turns, an epoch each, so that a disturbance of the machine hits all alike, and
each has its own clock for training and validation. Kept is what scores best on the validation
tiles; it predicts every zone whole, and `lcmap score` counts the pixels of the test tiles.

The head of study.py says how to install segmentation_models_pytorch, in an environment of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from trials import grounds
from trials.declaration import Contender, Smp
from trials.networks import network_of

from lcmap.accuracy.measures import PER_CLASS
from lcmap.accuracy.options import BootstrapOptions, ClassOptions, ReportOptions, SplitOptions
from lcmap.accuracy.score import score
from lcmap.dataset.normalisation import scale
from lcmap.dataset.reading import TileReader
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster
from lcmap.raster.windows import Window
from lcmap.raster.writing import RasterFormat, atomic_raster
from lcmap.training.options import TrainOptions
from lcmap.training.recipe import DEFAULT, PAPER, Recipe
from lcmap.training.samples import SampleSource, TrainingSet, read_training_set
from lcmap.training.trainer import Trainer
from lcmap.training.validation import padded_image

FLAIR = grounds.DATA / "flair"
CONTENDERS = {
    "default": Contender("default", DEFAULT),
    "paper": Contender("paper", PAPER),
    "unet-resnet34": Contender("unet-resnet34", DEFAULT, smp=Smp("Unet", "resnet34")),
}


def prepare_zones(zones: list[int], folder: Path) -> list[Path]:
    """Stack and tile the FLAIR zones at 0.8 m in a folder; return the tile indexes."""
    images = {
        str(zone): (FLAIR / f"zone{zone}_0.8m_rgbn.tif", FLAIR / f"zone{zone}_0.8m_labels.tif")
        for zone in zones
    }
    return list(grounds.prepare_zones(images, folder, "flair19:flair7").values())


def contender(
    name: str, data: TrainingSet, source: SampleSource, seed: int, **budget: Any
) -> tuple[Trainer, Recipe, int]:
    """Return a contender's trainer for `minutes` or `epochs`, its recipe, its network's stride."""
    recipe = CONTENDERS[name].recipe
    network = network_of(CONTENDERS[name], data, seed)
    trainer = Trainer(data, source, network, recipe, TrainOptions(seed=seed, **budget))
    return trainer, recipe, network.stride


def predict_zone(
    network: nn.Module, stride: int, reader: TileReader, stack: Path, data: TrainingSet, map_: Path
) -> None:
    """Write the map of a whole zone."""
    with open_raster(stack) as dataset:
        grid = Grid.of(dataset)
    image, valid = reader.image(stack, Window(0, 0, *grid.shape))
    scaled = scale(image, reader.quantiles(stack), valid)
    with torch.inference_mode():
        scores = network(torch.from_numpy(padded_image(scaled, stride))[None])
    winners = scores[0, :, : grid.height, : grid.width].argmax(dim=0).numpy()
    with atomic_raster(
        map_, grid, RasterFormat(count=1, dtype="uint8", nodata=0), overwrite=True
    ) as dataset:
        codes = data.nomenclature.index_to_code[winners]
        dataset.write(np.where(valid, codes, np.uint8(0)), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--zones", type=int, nargs="+", default=[0, 1, 2, 4, 5])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("-o", "--output", type=Path, default=Path("comparison.json"))
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        indexes = prepare_zones(arguments.zones, folder)
        results = []
        with ExitStack() as stack:
            data, readers, running = {}, {}, {}
            for each in arguments.contenders:
                scaling = CONTENDERS[each].recipe.scaling
                data[each] = read_training_set(indexes, scaling=scaling)
                readers[each] = stack.enter_context(data[each].reader())
                running[each] = contender(
                    each, data[each], SampleSource(readers[each]), arguments.seed,
                    minutes=arguments.minutes,
                )  # fmt: skip
            while not all(trainer.ended for trainer, *_ in running.values()):
                for each, (trainer, *_) in running.items():
                    if not trainer.ended:
                        trainer.epoch()
                        row = trainer.rows[-1]
                        print(
                            f"{each}: {row['seconds']:.0f} s, {row['steps']} steps, "
                            f"loss {row['loss']:.3f}, validation mIoU {row['miou']:.3f}",
                            file=sys.stderr, flush=True,
                        )  # fmt: skip
            for each, (trainer, _, stride) in running.items():
                network = trainer.network
                network.load_state_dict(trainer.best)
                maps = folder / each
                maps.mkdir()
                for zone in arguments.zones:
                    predict_zone(
                        network.to("cpu").eval(), stride, readers[each],
                        folder / f"zone{zone}.stack.tif", data[each], maps / f"zone{zone}.tif",
                    )  # fmt: skip
        report = score(
            [folder / each for each in running],
            [FLAIR / f"zone{zone}_0.8m_labels.tif" for zone in arguments.zones],
            classes=ClassOptions(reference_crosswalk="flair19:flair7"),
            split=SplitOptions(tuple(indexes), "test"),
            bootstrap=BootstrapOptions(replicates=0),
            outputs=ReportOptions(names=tuple(running)),
        )
        names = [c.short for c in next(iter(data.values())).nomenclature.classes]
        for item, (each, (trainer, recipe, _)) in zip(report.maps, running.items(), strict=True):
            last, best = trainer.rows[-1], trainer.rows[trainer.best_epoch - 1]
            iou = item.scores.per_class[PER_CLASS.index("iou")]
            results.append(
                {
                    "contender": each,
                    "parameters": sum(p.numel() for p in trainer.network.parameters()),
                    "minutes": last["seconds"] / 60,
                    "steps": last["steps"],
                    "validation_miou": best["miou"],
                    "test_miou": float(item.scores.overall[0]),
                    "test_oa": float(item.scores.overall[1]),
                    "test_iou": dict(zip(names, map(float, iou), strict=True)),
                    "curve": trainer.rows,
                    "recipe": dataclasses.asdict(recipe),
                }
            )
    arguments.output.write_text(
        json.dumps({"arguments": vars(arguments) | {"output": None}, "results": results}, indent=1)
    )
    print(f"{'':14} {'min':>5} {'steps':>6} {'val mIoU':>8} {'mIoU':>6} {'OA':>6}  IoU:", *names)
    for r in results:
        print(
            f"{r['contender']:14} {r['minutes']:5.1f} {r['steps']:6d} {r['validation_miou']:8.3f} "
            f"{r['test_miou']:6.3f} {r['test_oa']:6.3f}       ",
            *(f"{value:.2f}" for value in r["test_iou"].values()),
        )


if __name__ == "__main__":
    main()
