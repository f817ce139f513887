"""Fine-tuning to a new image against training anew, by the number of its labelled tiles.

    python benchmarks/compare_fine_tuning.py --data ../shared/data/flair --work /tmp/tuning
        [--zones 0 1] [--tiles 2 4 8 16] [--epochs 8] [--more 3] [--seeds 1]

Each zone in turn is the new image. A model is trained on the other zones at 0.8 m for --epochs,
with the spatial split. Of the new image one half gives labelled tiles of 128 px, the other is
tested. By number of tiles, one in four of them for validation, these are compared:

- the model as it is;
- the model fine-tuned on the tiles for --more epochs (`--init-from`);
- a network trained anew on the tiles alone for --epochs;
- a network trained anew on the other zones and the tiles for --epochs.

The tiles of a number are among those of the next. What is in --work is not made again. curve.png
and curve.json are written there, and the table is printed.
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
from trials.grounds import prepare_zones

from lcmap.accuracy.confusion import cells, count, margins
from lcmap.accuracy.measures import scores
from lcmap.dataset.reading import IGNORE, TileReader
from lcmap.dataset.tile_index import IndexedTile, TileIndex, read_tile_index, write_tile_index
from lcmap.raster.opening import open_raster
from lcmap.raster.windows import Window

ZONES = ("0", "1", "2", "4", "5")
CROSSWALK = "flair19:flair7"
TILE = 128
KINDS = {
    "as it is": "the model as it is",
    "tuned": "fine-tuned on the tiles",
    "anew": "trained anew on the tiles",
    "joint": "trained anew on all ground",
}
"""What is compared, and its name in the table."""


def halves(index: TileIndex) -> tuple[list[IndexedTile], list[Window]]:
    """Return the tiles of one half of an image, and the windows of those of the other.

    The halves lie along the longer side; a column or row of tiles between them is of neither.
    """
    rows, cols = (
        max(tile.window[axis] + tile.window[axis + 2] for tile in index.tiles) for axis in (0, 1)
    )
    axis, length = (0, rows) if rows >= cols else (1, cols)
    pool = [tile for tile in index.tiles if tile.window[axis] + TILE <= length / 2]
    apart = [tile.window for tile in index.tiles if tile.window[axis] >= length / 2 + TILE / 2]
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


def compare_zone(
    zone: str, seed: int, arguments: argparse.Namespace
) -> dict[str, dict[int, float]]:
    """Return mIoU by kind and number of tiles for one zone as the new image."""
    images = {
        z: tuple(arguments.data / f"zone{z}_0.8m_{what}.tif" for what in ("rgbn", "labels"))
        for z in ZONES
    }
    others = prepare_zones(images, arguments.work / "others", CROSSWALK)
    del others[zone]
    folder = arguments.work / f"zone{zone}.seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    stack, tiles = folder / "new.stack.tif", folder / "new.tiles.geojson"
    made(
        stack, "prepare", images[zone][0], "--labels", images[zone][1], "--crosswalk", CROSSWALK,
        "--tile-size", TILE, "--tiles", tiles,
    )  # fmt: skip
    index = read_tile_index(tiles)
    pool, windows = halves(index)
    labels = index.tiles[0].labels
    assert labels is not None
    long = ("--epochs", arguments.epochs, "--seed", seed)
    short = ("--epochs", arguments.more, "--seed", seed)
    base = made(folder / "base.onnx", "train", *others.values(), *long)

    def miou(model: Path) -> float:
        found = made(model.with_suffix(".tif"), "predict", stack, "-m", model)
        return tested(found, labels, windows, index)

    found: dict[str, dict[int, float]] = {kind: {} for kind in KINDS}
    found["as it is"][0] = miou(base)
    for number in arguments.tiles:
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
                found[kind][number] = miou(made(folder / f"{kind}{number}.onnx", "train", *words))
    return found


def mean_of(results: list[dict[str, dict[int, float]]], kind: str, number: int) -> float | None:
    """Return the mean over zones and seeds, None where a kind was not compared."""
    values = [result[kind][number] for result in results if number in result[kind]]
    return sum(values) / len(values) if values else None


def table(results: list[dict[str, dict[int, float]]], numbers: list[int]) -> str:
    """Return the means as a table of Markdown, mIoU in percent."""
    lines = ["| labelled tiles | " + " | ".join(map(str, (0, *numbers))) + " |"]
    lines.append("| --- |" + " --- |" * (len(numbers) + 1))
    for kind, title in KINDS.items():
        values = [mean_of(results, kind, number) for number in (0, *numbers)]
        texts = ["" if value is None else f"{100 * value:.1f}" for value in values]
        if any(texts):
            lines.append(f"| {title} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def draw(results: list[dict[str, dict[int, float]]], numbers: list[int], path: Path) -> None:
    """Draw the means against the number of tiles."""
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    base = mean_of(results, "as it is", 0)
    assert base is not None
    axes.axhline(100 * base, color="0.5", ls="--", label=KINDS["as it is"])
    for kind, marker in (("tuned", "o"), ("joint", "s"), ("anew", "^")):
        values = [mean_of(results, kind, number) for number in numbers]
        if None not in values:
            axes.plot(numbers, [100 * (v or 0.0) for v in values], marker=marker, label=KINDS[kind])
    axes.set(xscale="log", xlabel=f"labelled tiles of {TILE} px", ylabel="mIoU (%)")
    axes.set_xticks(numbers, list(map(str, numbers)))
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--zones", nargs="+", choices=ZONES, default=["0", "1"])
    parser.add_argument("--tiles", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS)[1:], default=list(KINDS)[1:])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--more", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    results = [
        compare_zone(zone, seed, arguments)
        for seed in range(arguments.seeds)
        for zone in arguments.zones
    ]
    (arguments.work / "curve.json").write_text(json.dumps(results, indent=1) + "\n")
    draw(results, arguments.tiles, arguments.work / "curve.png")
    print(table(results, arguments.tiles))


if __name__ == "__main__":
    main()
