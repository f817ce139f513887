"""How many wrong labels `lcmap train --suspect-labels` finds, and how many right ones it doubts.

    python benchmarks/compare_suspects.py --data ../shared/data/flair --work /tmp/suspects
        [--gsd 0.8] [--zones 0 1 2] [--epochs 10] [--share 0.03]

Objects of zones of FLAIR get another class at random; the model and its judges are trained on these
labels, for --epochs each. What the labels of FLAIR have wrong by themselves counts as doubted
wrongly. Printed are, for suspects of which the judge is at least so sure, the share of them that is
wrong, of the wrong pixels that are found, and the objects of which more than half is; by chance the
first would be the share of all labels that is wrong. Then the same of the areas in the order of
suspects.gpkg. suspects.png in --work shows each zone: its image, what was changed, and what was
found. What is in --work is not made again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pyogrio.raw
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from scipy import ndimage

from lcmap.nomenclature import load_crosswalk

SURE = (0, 50, 60, 70, 80, 90, 95)
"""Percent."""

FIRST = (10, 20, 50, 100, 200)
"""Areas."""

_LEAST, _LARGEST = 60, 4000
"""Pixels of the objects whose class is changed."""


def corrupt(
    codes: NDArray[np.uint8], share: float, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return codes [h, w] with objects in another class, about a share of their pixels, and the
    number of the object that each changed pixel belongs to, from 1 on."""
    changed, objects = codes.copy(), np.zeros(codes.shape, np.int32)
    classes = [int(code) for code in np.unique(codes) if code]
    found = []
    for code in classes:
        numbers, _ = ndimage.label(codes == code)
        sizes = np.bincount(numbers.ravel())
        chosen = np.flatnonzero((sizes >= _LEAST) & (sizes <= _LARGEST))
        found += [(code, numbers == number) for number in chosen if number]
    wanted = share * np.count_nonzero(codes)
    for number, place in enumerate(random.permutation(len(found)), start=1):
        code, where = found[place]
        changed[where] = random.choice([other for other in classes if other != code])
        objects[where] = number
        if np.count_nonzero(objects) >= wanted:
            break
    return changed, objects


class Zone(NamedTuple):
    """The stem of a zone's files, its changed objects by number, where it has labels, [h, w]."""

    stem: Path
    objects: NDArray[np.int32]
    labelled: NDArray[np.bool_]


def changed_labels(arguments: argparse.Namespace) -> dict[str, Zone]:
    """Write the labels of all zones with another class for some objects."""
    random = np.random.default_rng(0)
    table = load_crosswalk("flair19:flair7")
    zones = {}
    for name in arguments.zones:
        stem = arguments.data / f"zone{name}_{arguments.gsd}m"
        with rasterio.open(f"{stem}_labels.tif") as dataset:
            profile, codes = dataset.profile, table.apply(dataset.read(1), stem)
        changed, objects = corrupt(codes, arguments.share, random)
        with rasterio.open(arguments.work / f"l{name}.tif", "w", **profile) as dataset:
            dataset.write(changed, 1)
        zones[name] = Zone(stem, objects, codes > 0)
    return zones


def train(zones: dict[str, Zone], arguments: argparse.Namespace) -> None:
    """Train a model and its judges on the changed labels."""
    work, indexes = arguments.work, []
    for name, zone in zones.items():
        indexes.append(work / f"z{name}.tiles.geojson")
        _lcmap("prepare", f"{zone.stem}_rgbn.tif", "--labels", work / f"l{name}.tif",
               "--nomenclature", "flair7", "--tiles", indexes[-1],
               "-o", work / f"z{name}.tif", "--overwrite")  # fmt: skip
    _lcmap("train", *indexes, "-o", work / "m.onnx", "--epochs", arguments.epochs,
           "--suspect-labels", work / "suspects", "--overwrite")  # fmt: skip


def confidence_of(work: Path, name: str) -> NDArray[np.uint8]:
    """Return how sure the judges are of what they suggest, in percent, 0 where they do not."""
    suspects = work / "suspects" / f"z{name}.labels.suspects.tif"
    with (
        rasterio.open(suspects) as suggested,
        rasterio.open(suspects.with_suffix(".confidence.tif")) as confidence,
    ):
        found: NDArray[np.uint8] = np.where(suggested.read(1) > 0, confidence.read(1), 0)
    return found


def by_confidence(zones: dict[str, Zone], work: Path) -> str:
    """Return a table of Markdown: how good suspects are of which the judges are so sure."""
    lines = ["| sure by at least | suspect | of these wrong | of the wrong found | objects |"]
    lines.append("| --- | --- | --- | --- | --- |")
    labelled = sum(np.count_nonzero(zone.labelled) for zone in zones.values())
    wrong = sum(np.count_nonzero(zone.objects) for zone in zones.values())
    for least in SURE:
        suspects = both = objects = hit = 0
        for name, zone in zones.items():
            found = confidence_of(work, name) >= max(least, 1)
            suspects, both = suspects + found.sum(), both + (found & (zone.objects > 0)).sum()
            sizes = np.bincount(zone.objects.ravel())[1:]
            of_each = np.bincount(zone.objects[found], minlength=len(sizes) + 1)[1:]
            objects, hit = objects + (sizes > 0).sum(), hit + (2 * of_each > sizes).sum()
        lines.append(
            f"| {least} % | {100 * suspects / labelled:.2f} % of the labels "
            f"| {100 * both / max(suspects, 1):.1f} % | {100 * both / wrong:.1f} % "
            f"| {hit} of {objects} |"
        )
    lines.append(f"\nBy chance {100 * wrong / labelled:.1f} % of suspects would be wrong.")
    return "\n".join(lines)


def by_rank(zones: dict[str, Zone], work: Path) -> str:
    """Return a table of Markdown: how many of the first areas are changed for the most part."""
    meta, _, geometry, columns = pyogrio.raw.read(work / "suspects" / "suspects.gpkg")
    fields = dict(zip(meta["fields"], columns, strict=True))
    shapes = shapely.from_wkb(geometry)
    right = np.zeros(len(shapes), bool)
    for name, zone in zones.items():
        with rasterio.open(work / f"z{name}.tif") as dataset:
            transform = dataset.transform
        for number in np.flatnonzero(fields["labels"] == f"z{name}.labels.tif"):
            inside = geometry_mask([shapes[number]], zone.objects.shape, transform, invert=True)
            right[number] = 2 * np.count_nonzero(zone.objects[inside]) > np.count_nonzero(inside)
    orders = {
        "largest first": np.arange(len(shapes)),
        "surest first": np.argsort(-fields["confidence"], kind="stable"),
    }
    lines = ["| areas | " + " | ".join(map(str, FIRST)) + f" | all {len(shapes)} |"]
    lines.append("| --- |" + " --- |" * (len(FIRST) + 1))
    for title, order in orders.items():
        counts = [np.count_nonzero(right[order[:number]]) for number in (*FIRST, len(shapes))]
        lines.append(f"| {title}, wrong | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines)


def draw(zones: dict[str, Zone], work: Path) -> None:
    """Draw each zone: its image, the changed objects, the suspects by how sure the judges are."""
    figure, axes = plt.subplots(
        len(zones), 3, figsize=(12, 4 * len(zones)), layout="constrained", squeeze=False
    )
    for row, (name, zone) in zip(axes, zones.items(), strict=True):
        with rasterio.open(f"{zone.stem}_rgbn.tif") as dataset:
            rgb = np.moveaxis(dataset.read([1, 2, 3]), 0, 2)
        sure = confidence_of(work, name)
        row[0].imshow(rgb)
        row[1].imshow(rgb)
        row[1].imshow(np.ma.masked_equal(zone.objects > 0, False), cmap="autumn", alpha=0.8)
        row[2].imshow(np.ma.masked_equal(sure, 0), cmap="viridis", vmin=0, vmax=100)
        titles = (f"zone {name}", "labels that were changed", "suspects, by confidence (%)")
        for place, title in zip(row, titles, strict=True):
            place.set(title=title, xticks=[], yticks=[])
    figure.savefig(work / "suspects.png", dpi=80)


def main() -> None:
    """Print how good the suspects are, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--gsd", choices=("0.8", "1.6"), default="0.8")
    parser.add_argument("--zones", nargs="+", default=["0", "1", "2"])
    parser.add_argument("--epochs", default="10")
    parser.add_argument("--share", type=float, default=0.03)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    zones = changed_labels(arguments)
    if not (arguments.work / "suspects" / "suspects.gpkg").exists():
        train(zones, arguments)
    print(by_confidence(zones, arguments.work))
    print(by_rank(zones, arguments.work))
    draw(zones, arguments.work)


def _lcmap(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "lcmap", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
