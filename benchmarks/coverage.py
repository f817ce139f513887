"""How often intervals hold the truth, by what is drawn and how ends are made of the draws.

    python benchmarks/coverage.py --data ../shared/data/flair [--samples 200] [--of images]

Two Random Forests of pixels, one with a neighbourhood and one without, map each FLAIR zone of 1.6 m
from the other four. All blocks of 4 × 4 tiles of 32 px of the five zones are the population: its
scores are the truth. A sample is some of them at random; its interval holds the truth or not. Each
class that the population has is in its mIoU, also where a sample lacks it.

`--of images` makes images of such blocks. An image has a home block, and each of its 6 to 18 blocks
is that with probability √s, else any: so s is the share of the variance that is between images, and
the population's scores stay the truth. `--of runs` makes 40 runs of each forest, small ones that
other pixels teach; their mean scores are the truth. How much of the variance is between runs
follows from how much is left of the deviation of blocks, and of runs, from their mean.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from scipy import ndimage, stats
from sklearn.ensemble import RandomForestClassifier

from lcmap.accuracy.between_images import images_differ
from lcmap.accuracy.confusion import cells, count, margins
from lcmap.accuracy.intervals import Intervals, block_bootstrap
from lcmap.accuracy.measures import Scores, scores
from lcmap.nomenclature import load_crosswalk

ZONES = (0, 1, 2, 4, 5)
TILE, SIDE = 32, 4
BLOCKS = (6, 12, 24)
DRAWS = 200
RULES = ("left out", "kept", "as 0", "drawn again")
IMAGES = (2, 3, 5, 8, 12)
IMAGE_BLOCKS = (6, 18)
BETWEEN_IMAGES = (0.0, 0.1, 0.3, 1.0)
RUNS = (2, 3, 5)
ALL_RUNS, RUN_PIXELS, RUN_BLOCKS = 40, 2000, 24
DEVIATIONS = ((1.0, 0.0), (1.0, 0.5), (1.0, 1.0), (0.5, 1.0), (0.25, 1.0), (0.0, 1.0))
FIGURES = ((0, 0), (0, 1), (2, 0), (2, 1))  # of the first map and of the difference


class Ground(NamedTuple):
    """Features [pixels, 8] and codes [height, width] of each zone, and the number of classes."""

    features: dict[int, NDArray[np.float32]]
    labels: dict[int, NDArray[np.int64]]
    classes: int


def read_ground(data: Path) -> Ground:
    """Return the zones: four bands, and their means around each pixel."""
    crosswalk = load_crosswalk("flair19:flair7")
    features, labels = {}, {}
    for zone in ZONES:
        with rasterio.open(data / f"zone{zone}_1.6m_rgbn.tif") as dataset:
            image = dataset.read().astype(np.float32)
        with rasterio.open(data / f"zone{zone}_1.6m_labels.tif") as dataset:
            labels[zone] = crosswalk.table[dataset.read(1)].astype(int)
        around = [ndimage.uniform_filter(band, 7) for band in image]
        features[zone] = np.concatenate([image, around]).reshape(8, -1).T
    return Ground(features, labels, len(crosswalk.target))


def taught(
    ground: Ground, zone: int, size: int, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return so many pixels of each other zone, and their codes."""
    features, codes = [], []
    for other in ZONES:
        if other != zone:
            chosen = random.choice(ground.labels[other].size, size, replace=False)
            features.append(ground.features[other][chosen])
            codes.append(ground.labels[other].ravel()[chosen])
    x, y = np.concatenate(features), np.concatenate(codes)
    return x[y > 0], y[y > 0]


def by_tile(
    ground: Ground, zone: int, maps: Sequence[NDArray[np.int64]]
) -> Iterator[list[list[NDArray[np.int64]]]]:
    """Yield margins [3, K] by tile and map of each block of a zone, of maps of codes [pixels]."""
    labels, classes = ground.labels[zone], ground.classes
    states = [(codes.reshape(labels.shape) - 1).astype(np.uint8) for codes in maps]
    truth = np.where(labels > 0, labels - 1, classes).astype(np.uint8)
    edge = TILE * SIDE
    for row in range(0, labels.shape[0] - edge + 1, edge):
        for col in range(0, labels.shape[1] - edge + 1, edge):
            windows = [
                np.s_[row + r : row + r + TILE, col + c : col + c + TILE]
                for r in range(0, edge, TILE)
                for c in range(0, edge, TILE)
            ]
            yield [
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


def population(ground: Ground) -> NDArray[np.float64]:
    """Return margins [blocks, tiles, maps, 3, K] of two maps of all zones."""
    random = np.random.default_rng(0)
    blocks: list[list[list[NDArray[np.int64]]]] = []
    for zone, pixels in ground.features.items():
        x, y = taught(ground, zone, 4000, random)
        first = RandomForestClassifier(30, min_samples_leaf=5, random_state=0).fit(x, y)
        second = RandomForestClassifier(30, min_samples_leaf=5, random_state=1, max_features=1).fit(
            x[:, :4], y
        )
        blocks += by_tile(ground, zone, [first.predict(pixels), second.predict(pixels[:, :4])])
    return np.array(blocks, np.float64)


def population_of_runs(ground: Ground) -> NDArray[np.float64]:
    """Return margins [blocks, methods, runs, 3, K] of two methods' runs."""
    blocks = []
    for zone, pixels in ground.features.items():
        maps = []
        for bands in (8, 4):
            for run in range(ALL_RUNS):
                x, y = taught(ground, zone, RUN_PIXELS, np.random.default_rng(100 * zone + run))
                forest = RandomForestClassifier(10, min_samples_leaf=5, random_state=run)
                maps.append(forest.fit(x[:, :bands], y).predict(pixels[:, :bands]))
        of_blocks = [np.sum(block, axis=0) for block in by_tile(ground, zone, maps)]
        blocks.append(np.array(of_blocks, np.float64))
    found = np.concatenate(blocks)
    return found.reshape(len(found), 2, ALL_RUNS, *found.shape[2:])


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
    return measured(sample, weights, rule)


def measured(
    sample: NDArray[np.float64], weights: NDArray[np.float64], rule: str
) -> NDArray[np.float64]:
    """Return measures of draws that hold each of a sample as often as their weights say."""
    sums = (weights @ sample.reshape(len(sample), -1)).reshape(len(weights), *sample.shape[1:])
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


def of_blocks(ground: Ground, samples: int) -> None:
    """Print coverage of samples of blocks, by what is drawn, rules and ends."""
    tiles = population(ground)
    blocks = tiles.sum(axis=1)
    truth = with_difference(scores(blocks.sum(axis=0)))
    print(f"{len(blocks)} blocks; mIoU, OA of two maps and the difference:", truth[:, :2].tolist())
    random = np.random.default_rng(0)
    for size in BLOCKS:
        table = Table(truth)
        for _ in range(samples):
            chosen = random.integers(len(blocks), size=size)
            of_tiles = draws(tiles[chosen].reshape(-1, *tiles.shape[2:]), random, "left out")
            table.add("tiles, left out, percentiles", np.quantile(of_tiles, [0.025, 0.975], axis=0))
            value = with_difference(scores(blocks[chosen].sum(axis=0)))
            for rule in RULES:
                drawn = draws(blocks[chosen], random, rule)
                if len(drawn) >= 20:
                    for name, ends in intervals(drawn, value, size).items():
                        table.add(f"blocks, {rule}, {name}", ends)
        table.show(f"{size} blocks")


def of_images(ground: Ground, samples: int) -> None:
    """Print coverage of samples of images, by what is drawn of them."""
    blocks = population(ground).sum(axis=1)
    truth = with_difference(scores(blocks.sum(axis=0)))
    random = np.random.default_rng(0)
    for share in BETWEEN_IMAGES:
        for size in IMAGES:
            table, warned = Table(truth), 0
            for _ in range(samples):
                images = []
                for home in random.integers(len(blocks), size=size):
                    some = random.integers(IMAGE_BLOCKS[0], IMAGE_BLOCKS[1] + 1)
                    chosen = random.integers(len(blocks), size=some)
                    chosen[random.random(some) < np.sqrt(share)] = home
                    images.append(blocks[chosen])
                each = np.concatenate(images)
                whole = np.stack([image.sum(axis=0) for image in images])
                for name, units in (("blocks", each), ("images", whole)):
                    table.add(name, ends_of(scored(units)))
                keyed = {(i, 0, b): of for i, im in enumerate(images) for b, of in enumerate(im)}
                warned += images_differ(keyed)
                drawn = in_two_stages(images, random)
                value = with_difference(scores(each.sum(axis=0)))
                for name, ends in intervals(drawn, value, size).items():
                    table.add(f"images, blocks in them, {name}", ends)
            table.show(
                f"{size} images, {share:.0%} of the variance between them, "
                f"warned of in {warned / samples:.0%}"
            )


def in_two_stages(
    images: Sequence[NDArray[np.float64]], random: np.random.Generator
) -> NDArray[np.float64]:
    """Return measures of draws of images, and in each of its blocks."""
    starts = np.cumsum([0, *map(len, images)])
    weights = np.zeros((DRAWS, starts[-1]))
    for row in weights:
        for image in random.integers(len(images), size=len(images)):
            chosen = random.integers(starts[image], starts[image + 1], size=len(images[image]))
            np.add.at(row, chosen, 1)
    return measured(np.concatenate(images), weights, "kept")


def of_runs(ground: Ground, samples: int) -> None:
    """Print coverage of runs of two methods on samples of blocks, as of `score --replicate`."""
    runs = population_of_runs(ground)
    random = np.random.default_rng(0)
    for of_blocks_left, of_runs_left in DEVIATIONS:
        mean_run = runs.mean(axis=2, keepdims=True)
        alike = mean_run + of_runs_left * (runs - mean_run)
        mean_block = alike.mean(axis=0)
        blocks = mean_block + of_blocks_left * (alike - mean_block)
        each = scores(blocks.sum(axis=0)).overall  # [methods, runs, 4]
        truth = np.stack([*each.mean(axis=1), each[1].mean(axis=0) - each[0].mean(axis=0)])
        between = each[0].var(axis=0, ddof=1)
        mean_map = blocks[:, 0].mean(axis=1)
        drawn = random.integers(len(blocks), size=(samples, RUN_BLOCKS))
        ground_alone = scores(mean_map[drawn].sum(axis=1)).overall.var(axis=0, ddof=1)
        share = between / (between + ground_alone)
        for size in RUNS:
            table = Table(truth)
            for _ in range(samples):
                chosen = blocks[random.integers(len(blocks), size=RUN_BLOCKS)]
                of_methods = [chosen[:, m, random.integers(ALL_RUNS, size=size)] for m in (0, 1)]
                methods = [list(range(size)), list(range(size, 2 * size))]
                maps = np.concatenate(of_methods, axis=1)
                table.add("half-widths squared add up", ends_of(scored(maps, methods)))
                values = scores(np.sum(of_methods, axis=1)).overall  # [methods, runs, 4]
                ends = with_one_freedom(ends_of(scored(maps, methods, level=50)), values)
                table.add("degrees of freedom of Satterthwaite", ends)
            table.show(
                f"{size} runs, {RUN_BLOCKS} blocks, {share[0]:.0%} (mIoU) and {share[1]:.0%} (OA) "
                "of the variance of one run's figure between runs"
            )


def scored(
    units: NDArray[np.float64], methods: list[list[int]] | None = None, level: float = 95
) -> Intervals:
    """Return the intervals that `lcmap score` makes of units."""
    return block_bootstrap(units, replicates=DRAWS, seed=0, level=level, methods=methods)


def ends_of(found: Intervals) -> NDArray[np.float64]:
    """Return intervals [2, 3, 4] of two maps and of their difference."""
    pairs = zip(found.values, found.differences, strict=True)
    return np.stack([np.concatenate([own.overall, to.overall[1:]]) for own, to in pairs])


def with_one_freedom(ends: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return intervals [2, 3, 4] as Satterthwaite's degrees of freedom make them.

    The ends are of 50 %, which are not cut at 0 and 1, so that the variance on the ground follows.
    """
    runs = values.shape[1]
    each = np.concatenate([values, values[1:] - values[:1]])
    mean, of_runs = each.mean(axis=1), each.var(axis=1, ddof=1) / runs
    student = [stats.t.ppf(0.75, freedom) for freedom in (runs - 1, RUN_BLOCKS - 1)]
    of_ground = ((ends[1] - mean) ** 2 - student[0] ** 2 * of_runs) / student[1] ** 2
    total = of_runs + of_ground
    freedom = total**2 / (of_runs**2 / (runs - 1) + of_ground**2 / (RUN_BLOCKS - 1))
    half = stats.t.ppf(0.975, freedom) * np.sqrt(total)
    return np.stack([mean - half, mean + half])


class Table:
    """How often intervals held a truth [3, 4], and how wide they were, by their names."""

    def __init__(self, truth: NDArray[np.float64]) -> None:
        """Begin without an interval."""
        self.truth = truth
        self.ends: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)

    def add(self, name: str, ends: NDArray[np.float64]) -> None:
        """Add an interval [2, 3, 4]."""
        self.ends[name].append(ends)

    def show(self, title: str) -> None:
        """Print the shares, and the mean widths in points."""
        print(f"{title}: coverage of mIoU, OA, difference in mIoU, in OA; widths of the same")
        for name, ends in self.ends.items():
            low, high = np.moveaxis(np.array(ends), 1, 0)
            share = ((low <= self.truth) & (self.truth <= high)).mean(axis=0)
            wide = 100 * (high - low).mean(axis=0)
            text = " ".join(f"{share[place]:.2f}" for place in FIGURES)
            print(f"  {name:40} {text}  ", *(f"{wide[place]:.1f}" for place in FIGURES), flush=True)


def main() -> None:
    of = {"blocks": of_blocks, "images": of_images, "runs": of_runs}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--of", nargs="+", choices=of, default=["blocks"])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # draws without a class have measures that are NaN
    ground = read_ground(arguments.data)
    for name in arguments.of:
        of[name](ground, arguments.samples)


if __name__ == "__main__":
    main()
