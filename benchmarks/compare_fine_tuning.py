"""Fine-tuning to a new image against training anew, by the number of its labelled tiles.

    python benchmarks/compare_fine_tuning.py --data ../shared/data/flair --work /tmp/tuning
        [--gsd 0.8] [--zones 0 1] [--tiles 2 4 8 16] [--epochs 8] [--more 3] [--seeds 1]

Each zone in turn is the new image. A model is trained on the other zones for --epochs, with the
spatial split. Of the new image one half gives labelled tiles of 102 m, the other is tested. By
number of tiles, one in four of them for validation, these are compared:

- the model as it is;
- the model fine-tuned on the tiles for --more epochs (`--init-from`);
- a network trained anew on the tiles alone for --epochs;
- a network trained anew on the other zones and the tiles for --epochs.

The tiles of a number are among those of the next; a zone that has not so many is left out of a
number. A seed draws other tiles and trains all anew. What is in --work is not made again. curve.png
and curve.json are written there, and two tables are printed: means over zones and seeds, and their
differences, with intervals from draws of zones and, in each, of seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from compare_oso import made
from numpy.typing import NDArray
from trials.grounds import prepare_zones

from lcmap.accuracy.confusion import cells, count, margins
from lcmap.accuracy.measures import scores
from lcmap.dataset.reading import IGNORE, TileReader
from lcmap.dataset.tile_index import IndexedTile, TileIndex, read_tile_index, write_tile_index
from lcmap.imagery.tiles import Tiling
from lcmap.raster.opening import open_raster
from lcmap.raster.windows import Window

ZONES = ("0", "1", "2", "4", "5")
CROSSWALK = "flair19:flair7"
TILES = {0.8: 128, 1.6: 64}
"""Pixels along a side of the new image's tiles, by the size of a pixel in metres."""

OTHER_TILES = {0.8: 256, 1.6: 96}
"""Those of the other zones, of which crops show as much ground at either size of a pixel."""

REPLICATES = 2000
KINDS = {
    "as it is": "the model as it is",
    "tuned": "fine-tuned on the tiles",
    "anew": "trained anew on the tiles",
    "joint": "trained anew on all ground",
}
"""What is compared, and its name in the table."""


def halves(index: TileIndex, side: int) -> tuple[list[IndexedTile], list[Window]]:
    """Return the labelled tiles of one half of an image, and the windows of those of the other.

    The halves lie along the longer side; a column or row of tiles, of `side` pixels, between them
    is of neither.
    """
    rows, cols = (
        max(tile.window[axis] + tile.window[axis + 2] for tile in index.tiles) for axis in (0, 1)
    )
    axis, length = (0, rows) if rows >= cols else (1, cols)
    pool = [tile for tile in index.tiles if tile.window[axis] + side <= length / 2]
    apart = [tile.window for tile in index.tiles if tile.window[axis] >= length / 2 + side / 2]
    return [tile for tile in pool if tile.class_counts], apart


def chosen(pool: list[IndexedTile], number: int, seed: int) -> tuple[IndexedTile, ...]:
    """Return so many tiles, one in four of them for validation, among those of a larger number."""
    order = np.random.default_rng(seed).permutation(len(pool))[:number]
    return tuple(
        dataclasses.replace(pool[place], split="train" if i % 4 != 1 else "validation")
        for i, place in enumerate(order)
    )


def tested(map_path: Path, labels: Path, windows: list[Window], index: TileIndex) -> float:
    """Return the mIoU of a map in windows."""
    assert index.nomenclature is not None
    classes = len(index.nomenclature)
    counts = np.zeros((classes + 2, classes + 2), np.int64)
    with TileReader(index.nomenclature) as reader, open_raster(map_path) as dataset:
        for window in windows:
            truth = reader.labels(labels, window)
            found = index.nomenclature.code_to_index[dataset.read(1, window=window.ranges)]
            reference = np.where(truth == IGNORE, np.uint8(classes), truth)
            counts += count(cells(reference, found, classes), classes)
    return float(scores(margins(counts[:classes, : classes + 1])).overall[0])


Curve = dict[str, dict[int, float]]
"""mIoU by kind and number of tiles; as it is, the same for each."""


def compare_zone(zone: str, seed: int, arguments: argparse.Namespace) -> Curve:
    """Return the curve of one zone as the new image."""
    gsd = arguments.gsd
    images = {
        z: tuple(arguments.data / f"zone{z}_{gsd:g}m_{what}.tif" for what in ("rgbn", "labels"))
        for z in ZONES
    }
    tiling = Tiling(tile_size=OTHER_TILES[gsd])
    others = prepare_zones(images, arguments.work / "others", CROSSWALK, tiling)
    del others[zone]
    folder = arguments.work / f"zone{zone}.seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    stack, tiles = folder / "new.stack.tif", folder / "new.tiles.geojson"
    made(
        stack, "prepare", images[zone][0], "--labels", images[zone][1], "--crosswalk", CROSSWALK,
        "--tile-size", TILES[gsd], "--tiles", tiles,
    )  # fmt: skip
    index = read_tile_index(tiles)
    pool, windows = halves(index, TILES[gsd])
    labels = index.tiles[0].labels
    assert labels is not None
    long = ("--epochs", arguments.epochs, "--seed", seed)
    short = ("--epochs", arguments.more, "--seed", seed)
    base = made(folder / "base.onnx", "train", *others.values(), *long)

    def miou(model: Path) -> float:
        found = made(model.with_suffix(".tif"), "predict", stack, "-m", model)
        return tested(found, labels, windows, index)

    curve: Curve = {kind: {} for kind in KINDS}
    numbers = [number for number in arguments.tiles if number <= len(pool)]
    curve["as it is"] = dict.fromkeys((0, *numbers), miou(base))
    for number in numbers:
        part = folder / f"{number}.tiles.geojson"
        some = dataclasses.replace(index, path=part, tiles=chosen(pool, number, seed))
        write_tile_index(some, overwrite=True)
        inputs = {
            "tuned": (part, "--init-from", base, *short),
            "anew": (part, *long),
            "joint": (*others.values(), part, *long),
        }
        for kind, words in inputs.items():
            if kind in arguments.kinds:
                model = folder / f"{kind}{number}.onnx"
                curve[kind][number] = miou(made(model, "train", *words, "--resume"))
    return curve


def values(curves: dict[str, list[Curve]], kind: str, number: int) -> list[NDArray[np.float64]]:
    """Return the mIoU of each seed, an array for each zone that has so many tiles."""
    of_zones = (
        [c[kind][number] for c in of_zone if number in c[kind]] for of_zone in curves.values()
    )
    return [np.array(mious) for mious in of_zones if mious]


def mean(of_zones: list[NDArray[np.float64]]) -> float:
    """Return the mean over zones of the mean over seeds."""
    return float(np.mean([mious.mean() for mious in of_zones]))


def interval(of_zones: list[NDArray[np.float64]]) -> tuple[float, float]:
    """Return the 95 % interval of a mean from draws of zones and, in each, of seeds."""
    random = np.random.default_rng(0)
    draws = [
        mean([random.choice(of_zones[zone], len(of_zones[zone])) for zone in drawn])
        for drawn in random.integers(len(of_zones), size=(REPLICATES, len(of_zones)))
    ]
    low, high = np.percentile(draws, (2.5, 97.5))
    return float(low), float(high)


def table_of_means(curves: dict[str, list[Curve]], numbers: list[int]) -> str:
    """Return the means as a table of Markdown, mIoU in percent."""
    lines = ["| labelled tiles | " + " | ".join(map(str, (0, *numbers))) + " |"]
    lines.append("| --- |" + " --- |" * (len(numbers) + 1))
    for kind, title in KINDS.items():
        found = [values(curves, kind, number) for number in (0, *numbers)]
        texts = [f"{100 * mean(of_zones):.1f}" if of_zones else "" for of_zones in found]
        if any(texts):
            lines.append(f"| {title} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def table_of_differences(curves: dict[str, list[Curve]], numbers: list[int]) -> str:
    """Return what fine-tuning has over the others as a table of Markdown, points of mIoU."""
    lines = ["| fine-tuned, less | " + " | ".join(map(str, numbers)) + " |"]
    lines.append("| --- |" + " --- |" * len(numbers))
    for kind in (kind for kind in KINDS if kind != "tuned"):
        texts = []
        for number in numbers:
            pair = [values(curves, "tuned", number), values(curves, kind, number)]
            if not (pair[0] and pair[1]):
                continue
            apart = [100 * (tuned - other) for tuned, other in zip(*pair, strict=True)]
            low, high = interval(apart)
            texts.append(f"{mean(apart):+.1f} ({low:+.1f} to {high:+.1f})")
        if texts:
            lines.append(f"| {KINDS[kind]} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def draw(curves: dict[str, list[Curve]], numbers: list[int], arguments: argparse.Namespace) -> None:
    """Draw the means against the number of tiles."""
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    as_it_is = mean(values(curves, "as it is", 0))
    axes.axhline(100 * as_it_is, color="0.5", ls="--", label=KINDS["as it is"])
    for kind, marker in (("tuned", "o"), ("joint", "s"), ("anew", "^")):
        if kind in arguments.kinds:
            means = [100 * mean(values(curves, kind, number)) for number in numbers]
            axes.plot(numbers, means, marker=marker, label=KINDS[kind])
    side = TILES[arguments.gsd]
    axes.set(xscale="log", xlabel=f"labelled tiles of {side} px", ylabel="mIoU (%)")
    axes.set_xticks(numbers, list(map(str, numbers)))
    axes.minorticks_off()
    axes.legend()
    figure.savefig(arguments.work / "curve.png", dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--gsd", type=float, choices=sorted(TILES), default=0.8)
    parser.add_argument("--zones", nargs="+", choices=ZONES, default=["0", "1"])
    parser.add_argument("--tiles", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS)[1:], default=list(KINDS)[1:])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--more", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    curves: dict[str, list[Curve]] = {zone: [] for zone in arguments.zones}
    for seed in range(arguments.seeds):
        for zone in arguments.zones:
            curves[zone].append(compare_zone(zone, seed, arguments))
    (arguments.work / "curve.json").write_text(json.dumps(curves, indent=1) + "\n")
    numbers = [number for number in arguments.tiles if values(curves, arguments.kinds[0], number)]
    draw(curves, numbers, arguments)
    print(table_of_means(curves, numbers))
    print()
    print(table_of_differences(curves, numbers))


if __name__ == "__main__":
    main()
