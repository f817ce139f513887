"""How often intervals hold the truth, by what is drawn and how ends are made of the draws.

    python benchmarks/coverage.py --data ../shared/data/flair [--samples 200]

Two Random Forests of pixels, one with a neighbourhood and one without, map each FLAIR zone of 1.6 m
from the other four. All blocks of 4 × 4 tiles of 32 px of the five zones are the population: its
scores are the truth. A sample is some of them at random; its interval holds the truth or not. Each
class that the population has is in its mIoU, also where a sample lacks it.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from scipy import ndimage, stats
from sklearn.ensemble import RandomForestClassifier

from lcmap.accuracy.confusion import cells, count, margins
from lcmap.accuracy.measures import Scores, scores
from lcmap.nomenclature import load_crosswalk

ZONES = (0, 1, 2, 4, 5)
TILE, SIDE = 32, 4
BLOCKS = (6, 12, 24)
DRAWS = 200
RULES = ("left out", "kept", "as 0", "drawn again")


def population(data: Path) -> NDArray[np.float64]:
    """Return margins [blocks, tiles, maps, 3, K] of two maps of all zones."""
    crosswalk = load_crosswalk("flair19:flair7")
    classes = len(crosswalk.target)
    pixels, labels = {}, {}
    for zone in ZONES:
        with rasterio.open(data / f"zone{zone}_1.6m_rgbn.tif") as dataset:
            image = dataset.read().astype(np.float32)
        with rasterio.open(data / f"zone{zone}_1.6m_labels.tif") as dataset:
            labels[zone] = crosswalk.table[dataset.read(1)].astype(int)
        around = [ndimage.uniform_filter(band, 7) for band in image]
        pixels[zone] = np.concatenate([image, around]).reshape(8, -1).T
    random = np.random.default_rng(0)
    blocks = []
    for zone in ZONES:
        features, codes = [], []
        for other in ZONES:
            if other != zone:
                chosen = random.choice(labels[other].size, 4000, replace=False)
                features.append(pixels[other][chosen])
                codes.append(labels[other].ravel()[chosen])
        x, y = np.concatenate(features), np.concatenate(codes)
        x, y = x[y > 0], y[y > 0]
        first = RandomForestClassifier(30, min_samples_leaf=5, random_state=0).fit(x, y)
        second = RandomForestClassifier(30, min_samples_leaf=5, random_state=1, max_features=1).fit(
            x[:, :4], y
        )
        found = [first.predict(pixels[zone]), second.predict(pixels[zone][:, :4])]
        shape = labels[zone].shape
        states = [(codes.reshape(shape) - 1).astype(np.uint8) for codes in found]
        truth = np.where(labels[zone] > 0, labels[zone] - 1, classes).astype(np.uint8)
        edge = TILE * SIDE
        for row in range(0, shape[0] - edge + 1, edge):
            for col in range(0, shape[1] - edge + 1, edge):
                windows = [
                    np.s_[row + r : row + r + TILE, col + c : col + c + TILE]
                    for r in range(0, edge, TILE)
                    for c in range(0, edge, TILE)
                ]
                of_tiles = [
                    [
                        margins(
                            count(cells(truth[window], item[window], classes), classes)[
                                :classes, : classes + 1
                            ]
                        )
                        for item in states
                    ]
                    for window in windows
                ]
                blocks.append(of_tiles)
    return np.array(blocks, np.float64)


def with_difference(found: Scores) -> NDArray[np.float64]:
    """Return overall measures [..., 3, 4] of two maps and of the second minus the first."""
    both = found.overall
    return np.concatenate([both, both[..., 1:, :] - both[..., :1, :]], axis=-2)


def draws(
    sample: NDArray[np.float64], random: np.random.Generator, rule: str
) -> NDArray[np.float64]:
    """Return measures of draws of a sample; the rule is for a class that a draw lacks."""
    n = len(sample)
    weights = random.multinomial(n, np.full(n, 1 / n), DRAWS).astype(float)
    sums = (weights @ sample.reshape(n, -1)).reshape(DRAWS, *sample.shape[1:])
    found, whole = scores(sums), scores(sample.sum(axis=0))
    present = sample[:, 0, 1].sum(axis=0) > 0
    if rule == "drawn again":
        full = (sums[:, 0, 1][:, present] > 0).all(axis=-1)
        return with_difference(Scores(found.per_class[full], found.overall[full]))
    if rule != "left out":
        iou = found.per_class[:, :, 0]
        missing = whole.per_class[:, 0] if rule == "kept" else np.zeros_like(iou)
        filled = np.where(np.isnan(iou), missing, iou)
        found.overall[..., 0] = filled[..., present].mean(axis=-1)
    return with_difference(found)


def intervals(
    drawn: NDArray[np.float64], value: NDArray[np.float64], n: int
) -> dict[str, NDArray[np.float64]]:
    """Return 95 % intervals [2, 3, 4] by each way to make ends of draws."""
    t = stats.t.ppf(0.975, n - 1)
    inflated = np.sqrt(n / (n - 1))
    tail = stats.norm.cdf(-inflated * t)  # Hesterberg 2015, section 5.3
    half = t * drawn.std(axis=0, ddof=1) * inflated
    return {
        "percentiles": np.quantile(drawn, [0.025, 0.975], axis=0),
        "Student's": np.stack([value - half, value + half]),
        "widened percentiles": np.quantile(drawn, [tail, 1 - tail], axis=0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=200)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # draws without a class have measures that are NaN
    tiles = population(arguments.data)
    blocks = tiles.sum(axis=1)
    truth = with_difference(scores(blocks.sum(axis=0)))
    print(f"{len(blocks)} blocks; mIoU, OA of two maps and the difference:", truth[:, :2].tolist())
    random = np.random.default_rng(0)
    for size in BLOCKS:
        held, width = defaultdict(list), defaultdict(list)
        for _ in range(arguments.samples):
            chosen = random.integers(len(blocks), size=size)
            of_tiles = draws(tiles[chosen].reshape(-1, *tiles.shape[2:]), random, "left out")
            found = {"tiles, left out, percentiles": np.quantile(of_tiles, [0.025, 0.975], axis=0)}
            value = with_difference(scores(blocks[chosen].sum(axis=0)))
            for rule in RULES:
                drawn = draws(blocks[chosen], random, rule)
                if len(drawn) >= 20:
                    for name, ends in intervals(drawn, value, size).items():
                        found[f"blocks, {rule}, {name}"] = ends
            for name, (low, high) in found.items():
                held[name].append((low <= truth) & (truth <= high))
                width[name].append(high - low)
        print(f"{size} blocks: coverage of mIoU, OA, difference in mIoU, in OA; width of mIoU, OA")
        for name in held:
            share, wide = np.mean(held[name], axis=0), 100 * np.mean(width[name], axis=0)
            figures = [share[0, 0], share[0, 1], share[2, 0], share[2, 1]]
            text = " ".join(f"{figure:.2f}" for figure in figures)
            print(f"  {name:40} {text}   {wide[0, 0]:.1f} {wide[0, 1]:.1f}", flush=True)


if __name__ == "__main__":
    main()
