"""Sensor fusion on Berlin: 3.6 m alone, 30 m alone, fusion by network, late fusion.

    python benchmarks/compare_fusion.py --data ../shared/data/berlin --work /tmp/fusion --seeds 3
                                        [--beside "fusion on pixels"]

Level_2 of the reference without its four polygons "Other". Every seed draws another spatial split
and other first weights. Each network is trained for the same number of steps on the same tiles; the
30 m image is brought onto the 3.6 m grid for its own network, as in the paper (section 3.2), and
stays on its own for the fusion, which takes it on the cells that `prepare` chooses, and once more
on the pixels of the other. Scores pool the test tiles of all seeds; intervals come from a bootstrap
of tiles by place, the same for all maps. What a run has made stays in --work and is not made again.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import rasterio
from compare_oso import made
from trials.berlin import TILE, Reference, prepare_reference, prepare_tiles

from lcmap.accuracy.confusion import cells, count, margins
from lcmap.accuracy.intervals import block_bootstrap
from lcmap.accuracy.measures import OVERALL, scores
from lcmap.dataset.tile_index import read_tile_index
from lcmap.nomenclature import load_nomenclature

MAPS = (
    "3.6 m alone", "30 m alone", "fusion", "fusion on pixels", "late: product", "late: mean",
)  # fmt: skip


def maps_of_a_seed(
    seed: int, data: Path, work: Path, reference: Reference, options: list[object]
) -> tuple[Path, list[Path]]:
    """Make the maps of one seed in the order of MAPS; return the tile index of their split too."""
    fine, coarse = data / "vhr_36.tif", data / "s2like_30m.tif"
    folder = work / f"seed{seed}"
    stacks, indexes = prepare_tiles(seed, data, folder, reference)
    maps, probabilities = [], []
    for name in ("fine", "coarse"):
        model = made(folder / f"{name}.onnx", "train", indexes[name], "--seed", seed, *options)
        own = folder / f"{name}.p.tif"
        maps.append(
            made(folder / f"{name}.map.tif", "predict", stacks[name], "-m", model,
                 "--probabilities", own)
        )  # fmt: skip
        probabilities.append(own)
    for name in ("both", "pixels"):
        model = made(folder / f"{name}.onnx", "train", indexes[name], "--seed", seed, *options)
        maps.append(made(folder / f"{name}.map.tif", "fuse", fine, coarse, "-m", model))
    for rule in ("product", "mean"):
        maps.append(
            made(folder / f"late.{rule}.tif", "fuse", *probabilities,
                 "--late", rule)
        )  # fmt: skip
    return indexes["fine"], maps


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--beside", choices=MAPS, default=MAPS[0], help="what others differ from")
    arguments = parser.parse_args()
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    reference = prepare_reference(arguments.data, work)
    nomenclature = load_nomenclature(reference.nomenclature)
    truth = nomenclature.code_to_index[read(reference.labels)]
    classes = len(nomenclature)
    truth[truth == 255] = classes
    options = ["--epochs", arguments.epochs, "--batch-size", arguments.batch_size]
    names = sorted(MAPS, key=lambda name: name != arguments.beside)
    by_place: dict[tuple[int, int], np.ndarray] = defaultdict(
        lambda: np.zeros((len(MAPS), 3, classes), np.int64)
    )
    of_seeds = []
    for seed in range(arguments.seeds):
        index, paths = maps_of_a_seed(seed, arguments.data, work, reference, options)
        of_name = dict(zip(MAPS, paths, strict=True))
        predicted = [nomenclature.code_to_index[read(of_name[name])] for name in names]
        of_seed = np.zeros((len(MAPS), 3, classes), np.int64)
        for tile in read_tile_index(index).split("test"):
            here = tile.window.slices
            place = tile.window.row // TILE, tile.window.col // TILE
            for number, codes in enumerate(predicted):
                states = np.minimum(codes[here], classes).astype(np.uint8)
                counts = count(cells(truth[here], states, classes), classes)
                found = margins(counts[:classes, : classes + 1])
                by_place[place][number] += found
                of_seed[number] += found
        of_seeds.append(scores(of_seed).overall)
    blocks = np.stack(list(by_place.values()))
    overall = scores(blocks.sum(axis=0)).overall
    per_class = scores(blocks.sum(axis=0)).per_class[:, 0]
    intervals = block_bootstrap(blocks, replicates=2000, seed=0, level=95)
    shorts = " ".join(f"{item.short:>5}" for item in nomenclature.classes)
    print(f"{len(blocks)} places, {int(blocks[:, 0, 1].sum())} scored pixels of all seeds")
    print(f"{'':16}{'mIoU':>6} {'OA':>6}   IoU {shorts}   mIoU minus {names[0]} (95 %)   by seed")
    for number, name in enumerate(names):
        low, high = (
            100 * end.overall[number, OVERALL.index("miou")] for end in intervals.differences
        )
        ious = " ".join(f"{100 * value:5.1f}" for value in per_class[number])
        seeds = " ".join(f"{100 * each[number, 0]:.1f}" for each in of_seeds)
        difference = 100 * (overall[number, 0] - overall[0, 0])
        print(
            f"{name:16}{100 * overall[number, 0]:6.1f} {100 * overall[number, 1]:6.1f}"
            f"       {ious}   {difference:+.1f} ({low:+.1f} to {high:+.1f})   {seeds}"
        )


if __name__ == "__main__":
    main()
