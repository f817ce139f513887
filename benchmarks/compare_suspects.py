"""How many wrong labels `lcmap train --suspect-labels` finds, and how many right ones it doubts.

    python benchmarks/compare_suspects.py FLAIR --minutes 5

Objects of zones of FLAIR at 1.6 m get another class at random; the model and its judges are trained
on these labels. What the labels of FLAIR have wrong by themselves counts as doubted wrongly.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from scipy import ndimage

from lcmap.nomenclature import load_crosswalk

ZONES = (0, 1, 2)
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


def main() -> None:
    """Print precision and recall, by pixel and by object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", default="5")
    parser.add_argument("--share", type=float, default=0.03)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    table = load_crosswalk("flair19:flair7")
    with tempfile.TemporaryDirectory() as name:
        folder, objects, indexes = Path(name), {}, []
        for zone in ZONES:
            stem = options.data / f"zone{zone}_1.6m"
            with rasterio.open(f"{stem}_labels.tif") as dataset:
                profile, codes = dataset.profile, table.apply(dataset.read(1), stem)
            changed, objects[zone] = corrupt(codes, options.share, random)
            with rasterio.open(folder / f"l{zone}.tif", "w", **profile) as dataset:
                dataset.write(changed, 1)
            indexes.append(str(folder / f"z{zone}.tiles.geojson"))
            _lcmap("prepare", f"{stem}_rgbn.tif", "--labels", folder / f"l{zone}.tif",
                   "--nomenclature", "flair7", "--tiles", indexes[-1],
                   "-o", folder / f"z{zone}.tif")  # fmt: skip
        _lcmap("train", *indexes, "-o", folder / "m.onnx", "--minutes", options.minutes,
               "--suspect-labels", folder / "suspects")  # fmt: skip
        wrong, doubted, both, seen, hit = 0, 0, 0, 0, 0
        for zone in ZONES:
            with rasterio.open(folder / "suspects" / f"z{zone}.labels.suspects.tif") as dataset:
                suspect = dataset.read(1) > 0
            numbers = objects[zone]
            sizes = np.bincount(numbers.ravel())[1:]
            found = np.bincount(numbers[suspect].ravel(), minlength=len(sizes) + 1)[1:]
            seen, hit = seen + np.count_nonzero(sizes), hit + np.count_nonzero(2 * found > sizes)
            wrong, doubted = wrong + np.count_nonzero(numbers), doubted + np.count_nonzero(suspect)
            both += np.count_nonzero(suspect & (numbers > 0))
    print(f"{wrong} wrong pixels in {seen} objects, {doubted} suspect: precision "
          f"{both / max(doubted, 1):.3f}, recall {both / max(wrong, 1):.3f}, "
          f"{hit} objects found for the most part")  # fmt: skip


def _lcmap(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "lcmap", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
