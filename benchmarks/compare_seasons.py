"""Simulated seasons: image alone, image and one date, image and series, and a Random Forest.

    python benchmarks/compare_seasons.py --data ../shared/data/flair --work /tmp/seasons

SIMULATED, see `seasons.py`: it says which use of a season tells more apart, not how well real land
is mapped. Zones are cut into square blocks that are for training or for the test; pixels of
training near a block of the test are left out. All networks have the layers of the default recipe
(`--width` for its width) and the same number of steps, drawn alike; dates are dropped at random in
training. The Random Forest is of pixels of 10 m and of the same dates, gaps filled by linear
interpolation in time; its map is brought onto the image's grid by the nearest pixel. Intervals come
from a bootstrap of blocks, the same for all maps. The training here is a plain loop, for `lcmap
train` does not take series yet.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rasterio.warp import Resampling, reproject
from scipy import ndimage
from seasons import Season, days_of, write_season
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor, nn
from trials.phenology import COVERS

from lcmap.accuracy.confusion import cells, count, margins
from lcmap.accuracy.intervals import block_bootstrap
from lcmap.accuracy.measures import scores
from lcmap.network import LandCoverNetwork
from lcmap.network.series import FEATURES, SeriesEncoder
from lcmap.raster.grid import Grid
from lcmap.training.initialisation import initialise
from lcmap.training.recipe import DEFAULT

LEVEL = 2
CELL = 1 << LEVEL
BLOCK = 160
GAP = 16
CLASSES = len(COVERS)
NONE = CLASSES
"""The index of what has no label."""


class Zone(NamedTuple):
    """A zone as arrays.

    image: float32 [4, H, W], 0 to 1. labels: uint8 [H, W], indices of classes or NONE.
    series: float32 [T, 10, H/4, W/4], 0 to 1; valid: float32 [T, H/4, W/4]; days: float32 [T].
    season: its files. test, learnt: bool [H, W], which pixels are for the test and for training.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    series: NDArray[np.float32]
    valid: NDArray[np.float32]
    days: NDArray[np.float32]
    season: Season
    test: NDArray[np.bool_]
    learnt: NDArray[np.bool_]


class Seasonal(nn.Module):
    """A network of an image and, where it has a series, of that."""

    def __init__(self, width: int, *, series: bool) -> None:
        """Make it of the default recipe's layers."""
        super().__init__()
        levels = (0, LEVEL) if series else ()
        # bands are cut off before they are encoded, features are not
        architecture = replace(DEFAULT.architecture, width=width, clip=None, levels=levels)
        self.encoder = SeriesEncoder(10) if series else None
        self.network = LandCoverNetwork([4, FEATURES][: 1 + series], CLASSES, architecture)

    def forward(self, image: Tensor, series: Tensor, valid: Tensor, days: Tensor) -> Tensor:
        """Return scores [N, K, H, W]."""
        if self.encoder is None:
            return self.network(image)
        return self.network(image, self.encoder(series, valid, days))


def split(shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.bool_]:
    """Return which pixels are in blocks of the test, [H, W]."""
    rows, columns = (-(-length // BLOCK) for length in shape)
    blocks = np.arange(rows * columns)
    chosen = generator.permutation(blocks) < round(0.4 * len(blocks))
    laid = chosen.reshape(rows, columns).repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
    found: NDArray[np.bool_] = laid[: shape[0], : shape[1]]
    return found


def scaled(
    values: NDArray[np.float32], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return values from quantile to quantile as 0 to 1, cut off there."""
    return ((values - low) / (high - low)).clip(0, 1).astype(np.float32)


def read_zone(name: str, data: Path, work: Path, dates: int, seed: int) -> Zone:
    """Simulate the seasons of a zone and read it; its sides are cut to multiples of the stride."""
    season = write_season(
        data / f"{name}_1.6m_labels.tif", work, days=days_of(dates, seed), seed=seed
    )
    with rasterio.open(data / f"{name}_1.6m_rgbn.tif") as dataset:
        image, grid = dataset.read().astype(np.float32), Grid.of(dataset)
    with rasterio.open(season.labels) as dataset:
        codes = dataset.read(1)
    coarse = grid.coarsened(LEVEL)
    series = []
    for path in season.dates:
        with rasterio.open(path) as dataset:
            found = np.zeros((dataset.count, *coarse.shape), np.float32)
            reproject(
                dataset.read().astype(np.float32), found, src_transform=dataset.transform,
                src_crs=dataset.crs, dst_transform=coarse.transform, dst_crs=coarse.crs,
                src_nodata=0, dst_nodata=0, resampling=Resampling.bilinear,
            )  # fmt: skip
        series.append(found)
    h, w = (length // 16 * 16 for length in grid.shape)
    in_cells = np.stack(series)[:, :, : h // CELL, : w // CELL]
    index = np.full(256, NONE, np.uint8)
    index[list(COVERS)] = np.arange(CLASSES)
    low, high = np.quantile(image, (0.02, 0.98), axis=(1, 2))[..., None, None]
    test = split((h, w), np.random.default_rng([seed, 4, *name.encode()]))
    beside = ndimage.binary_dilation(test, np.ones((3, 3)), iterations=GAP)
    return Zone(
        scaled(image, low, high)[:, :h, :w],
        index[codes][:h, :w],
        in_cells / 10_000,
        (in_cells > 0).all(axis=1).astype(np.float32),
        of_year(season),
        season,
        test,
        ~beside,
    )


def with_scaled_series(zones: list[Zone]) -> list[Zone]:
    """Return the zones with their series scaled by the quantiles of all valid pixels."""
    known = np.concatenate([z.series.transpose(0, 2, 3, 1)[z.valid > 0] for z in zones])
    low, high = np.quantile(known, (0.02, 0.98), axis=0)[..., None, None]
    return [z._replace(series=scaled(z.series, low, high) * z.valid[:, None]) for z in zones]


Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def draw(
    zones: list[Zone], dates: NDArray[np.int64], crop: int, number: int, rng: np.random.Generator
) -> Batch:
    """Return a batch of crops at places drawn by rng: image, series, valid, days and labels."""
    parts: list[tuple[NDArray[np.float32], ...]] = []
    sizes = np.array([z.labels.size for z in zones], float)
    while len(parts) < number:
        zone = zones[rng.choice(len(zones), p=sizes / sizes.sum())]
        rows, columns = (
            int(rng.integers(0, (n - crop) // CELL + 1)) * CELL for n in zone.labels.shape
        )
        here = (slice(rows, rows + crop), slice(columns, columns + crop))
        labels = np.where(zone.learnt[here], zone.labels[here], NONE)
        if (labels != NONE).mean() < 0.25:
            continue
        below = tuple(slice(s.start // CELL, s.stop // CELL) for s in here)
        series, valid = zone.series[dates][:, :, *below], zone.valid[dates][:, *below]
        valid = valid * (rng.random(len(dates)) < 0.8)[:, None, None].astype(np.float32)
        arrays = [zone.image[:, *here], series, valid, labels]
        turns, flipped = int(rng.integers(4)), bool(rng.integers(2))
        arrays = [np.rot90(a, turns, axes=(-2, -1)) for a in arrays]
        if flipped:
            arrays = [a[..., ::-1] for a in arrays]
        parts.append((*arrays, zone.days[dates]))
    image, series, valid, labels, days = (
        torch.from_numpy(np.ascontiguousarray(np.stack(each))) for each in zip(*parts, strict=True)
    )
    return image, series, valid, days, labels.long()


def train(
    zones: list[Zone], dates: NDArray[np.int64], arguments: argparse.Namespace, seed: int
) -> Seasonal:
    """Return a network trained on these of the dates, none of them for the image alone."""
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 5])
    network = Seasonal(arguments.width, series=len(dates) > 0)
    initialise(network, "kaiming", seed)
    known = np.concatenate([z.labels[z.learnt] for z in zones])
    shares = np.bincount(known[known != NONE], minlength=CLASSES) / (known != NONE).sum()
    weights = torch.tensor(np.where(shares > 0, np.maximum(shares, 1e-4) ** -0.5, 0)).float()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, arguments.steps)
    start = time.process_time()
    network.train()
    for step in range(arguments.steps):
        batch = draw(zones, dates, arguments.crop, arguments.batch_size, rng)
        loss = F.cross_entropy(network(*batch[:-1]), batch[-1], weights, ignore_index=NONE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 50 == 0:
            seconds = time.process_time() - start
            print(f"  {step + 1} steps, loss {loss.item():.3f}, {seconds:.0f} s", flush=True)
    return network.eval()


@torch.no_grad()
def mapped(network: Seasonal, zone: Zone, dates: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the classes of a whole zone [H, W]."""
    inputs = (zone.image, zone.series[dates], zone.valid[dates], zone.days[dates])
    found = network(*(torch.from_numpy(np.ascontiguousarray(x))[None] for x in inputs))
    return found[0].argmax(dim=0).numpy()


def of_year(season: Season) -> NDArray[np.float32]:
    """Return the days of the year of a season's dates."""
    return np.array([day.timetuple().tm_yday for day in season.days], np.float32)


def gap_filled(season: Season) -> NDArray[np.float32]:
    """Return the dates of a season with gaps filled linearly in time, [h, w, T * bands]."""
    stack = []
    for path in season.dates:
        with rasterio.open(path) as dataset:
            stack.append(dataset.read().astype(np.float32))
    values = np.stack(stack)  # [T, bands, h, w]
    t, bands, h, w = values.shape
    valid = (values > 0).all(axis=1).reshape(t, -1)
    flat = values.reshape(t, bands, -1)
    days = of_year(season)
    for pixel in np.flatnonzero(~valid.all(axis=0)):
        known = valid[:, pixel]
        if known.any():
            for band in range(bands):
                flat[:, band, pixel] = np.interp(days, days[known], flat[known, band, pixel])
    return flat.reshape(t * bands, h, w).transpose(1, 2, 0)


def forest_maps(zones: list[Zone], seed: int) -> list[NDArray[np.int64]]:
    """Return the maps of a Random Forest of pixels of 10 m, on the image's grid."""
    features, nearest = [], []
    x, y = [], []
    for zone in zones:
        filled = gap_filled(zone.season)
        # the pixel of 10 m that a pixel of 1.6 m has its middle in
        rows, columns = ((np.arange(n) + 0.5) * 1.6 // 10 for n in zone.labels.shape)
        place = np.ix_(rows.astype(int), columns.astype(int))
        size = filled.shape[0] * filled.shape[1]
        number = (np.arange(size).reshape(filled.shape[:2]))[place]
        use = zone.learnt & (zone.labels != NONE)
        votes = np.zeros((size, CLASSES), np.int64)
        np.add.at(votes, (number[use], zone.labels[use]), 1)
        known = votes.sum(axis=1) > 0
        flat = filled.reshape(size, -1)
        x.append(flat[known])
        y.append(votes[known].argmax(axis=1))
        features.append(flat)
        nearest.append(number)
    forest = RandomForestClassifier(
        300,
        min_samples_leaf=2,
        max_features="sqrt",
        class_weight="balanced_subsample",
        random_state=seed,
    )
    forest.fit(np.concatenate(x), np.concatenate(y))
    return [forest.predict(flat)[number] for flat, number in zip(features, nearest, strict=True)]


def margins_of(zones: list[Zone], maps: list[list[NDArray[np.int64]]]) -> NDArray[np.int64]:
    """Return the margins of each block of the test and each map [blocks, maps, 3, K]."""
    found = []
    for number, zone in enumerate(zones):
        h, w = zone.labels.shape
        for row in range(0, h, BLOCK):
            for column in range(0, w, BLOCK):
                here = (slice(row, row + BLOCK), slice(column, column + BLOCK))
                if not zone.test[here].all() or (zone.labels[here] == NONE).all():
                    continue
                of_maps = []
                for made in maps:
                    states = made[number][here].astype(np.uint8)
                    counts = count(cells(zone.labels[here], states, CLASSES), CLASSES)
                    of_maps.append(margins(counts[:CLASSES, : CLASSES + 1]))
                found.append(np.stack(of_maps))
    return np.stack(found)


def report(names: list[str], found: NDArray[np.int64], level: float = 95) -> None:
    """Print mIoU and the IoU of classes, with intervals of the difference from the first map."""
    measured = scores(found.sum(axis=0))
    intervals = block_bootstrap(found, replicates=2000, seed=0, level=level)
    print(f"{len(found)} blocks, {int(found[:, 0, 1].sum())} pixels; difference: {level:g} %")
    print(f"{'':22}" + "".join(f"{name:>26}" for name in names))
    lines: list[tuple[str, Callable[[object], NDArray[np.float64]]]] = [
        ("mIoU", lambda s: s.overall[:, 0]),
        ("OA", lambda s: s.overall[:, 1]),
    ]
    lines += [
        (cover.name, lambda s, i=i: s.per_class[:, 0, i]) for i, cover in enumerate(COVERS.values())
    ]
    for title, of in lines:
        low, high = of(intervals.differences.low), of(intervals.differences.high)
        text = f"{title:22}"
        for i, value in enumerate(of(measured)):
            apart = f" ({100 * low[i]:+.1f} to {100 * high[i]:+.1f})" if i else ""
            text += f"{100 * value:.1f}{apart}".rjust(26)
        print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--zones", type=int, nargs="+", default=[0, 1, 5])
    parser.add_argument("--dates", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=8)
    arguments = parser.parse_args()
    seed = arguments.seed
    zones = with_scaled_series([
        read_zone(f"zone{n}", arguments.data, arguments.work, arguments.dates, seed)
        for n in arguments.zones
    ])  # fmt: skip
    clear = np.mean([zone.valid.mean(axis=(1, 2)) for zone in zones], axis=0)
    days = zones[0].days
    summer = (days > 120) & (days < 270)
    best = int(np.argmax(np.where(summer, clear, -1)))
    chosen = {
        "image alone": np.array([], np.int64),
        "image + 1 date": np.array([best]),
        f"image + {arguments.dates} dates": np.arange(arguments.dates),
    }
    print(f"simulated seasons; the one date is of day {days[best]:.0f}; seed {seed}")
    maps = []
    for name, dates in chosen.items():
        print(name, flush=True)
        network = train(zones, dates, arguments, seed)
        maps.append([mapped(network, zone, dates) for zone in zones])
    print("random forest", flush=True)
    maps.append(forest_maps(zones, seed))
    report([*chosen, "random forest"], margins_of(zones, maps))


if __name__ == "__main__":
    main()
