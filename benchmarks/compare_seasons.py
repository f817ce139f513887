"""Simulated seasons: an image alone, with one date, with a series, with a series and a map.

    python benchmarks/compare_seasons.py --data ../shared/data/flair --work /tmp/seasons
                                         [--epochs 40] [--seed 0]

SIMULATED, see `seasons.py`: it says which use of a season tells more apart, not how well real land
is mapped. Every network is trained by `lcmap train` for the same number of epochs on the same tiles
of 1.6 m; the series is on its own grid of 10 m, and the map is the zones' OSO-like one of 10 m.
Each is mapped with all its inputs, and again without one (`fuse --without`); the network of the
series once more with dates of other days and of another number than those of training. A pixel
without a valid date is mapped from what is there (`--allow-missing`). The Random
Forest is of pixels of 10 m and of the same dates, gaps filled by linear interpolation in time; its
map is brought onto the image's grid by the nearest pixel. What a run has made stays in --work and
is not made again, a training that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from compare_oso import lcmap, made, repeated
from numpy.typing import NDArray
from seasons import PIXEL, Season, days_of, write_season
from sklearn.ensemble import RandomForestClassifier
from trials.phenology import COVERS

from lcmap.dataset.tile_index import read_tile_index

TILE = 160
"""Pixels of 1.6 m."""

GAP = 16
OSO = "oso23"


class Zone(NamedTuple):
    """A zone's files: its image, its OSO-like map, its season, and dates of other days.

    `one` is a folder that holds the one date of those of the season.
    """

    name: str
    image: Path
    oso: Path
    season: Season
    one: Path
    other_days: Path

    @property
    def dates(self) -> str:
        """The pattern of the season's dates."""
        return f"{self.season.dates[0].parent}/{self.name}_simulated_s2_*.tif"


def write_zone(name: str, data: Path, work: Path, dates: int, seed: int) -> Zone:
    """Simulate the seasons of a zone, unless that was done."""
    labels = data / f"{name}_1.6m_labels.tif"
    season = write_season(labels, work / "season", days=days_of(dates, seed), seed=seed)
    others = days_of(dates - 3, seed + 1000)
    write_season(labels, work / "other-days" / name, days=others, seed=seed)
    one = work / "one-date" / name
    one.mkdir(parents=True, exist_ok=True)
    return Zone(
        name, data / f"{name}_1.6m_rgbn.tif", data / f"{name}_10m_oso_like.tif", season, one,
        work / "other-days" / name,
    )  # fmt: skip


def choose_date(zones: Sequence[Zone]) -> int:
    """Copy the clearest date of summer into each zone's folder of one date; return its day."""
    clear = np.zeros(len(zones[0].season.dates))
    for zone in zones:
        for number, path in enumerate(zone.season.dates):
            with rasterio.open(path) as dataset:
                clear[number] += (dataset.read(1) > 0).mean()
    days = np.array([day.timetuple().tm_yday for day in zones[0].season.days])
    best = int(np.argmax(np.where((days > 120) & (days < 270), clear, -1)))
    for zone in zones:
        path = zone.season.dates[best]
        shutil.copyfile(path, zone.one / path.name)
    return int(days[best])


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
    days = np.array([day.timetuple().tm_yday for day in season.days], np.float32)
    for pixel in np.flatnonzero(~valid.all(axis=0)):
        known = valid[:, pixel]
        if known.any():
            for band in range(bands):
                flat[:, band, pixel] = np.interp(days, days[known], flat[known, band, pixel])
    return flat.reshape(t * bands, h, w).transpose(1, 2, 0)


def write_forest_maps(
    zones: Sequence[Zone], indexes: Sequence[Path], folder: Path, seed: int
) -> None:
    """Write the maps of a Random Forest of pixels of 10 m, on the images' grids."""
    folder.mkdir(exist_ok=True)
    features, nearest, profiles = [], [], []
    x, y = [], []
    for zone, index in zip(zones, indexes, strict=True):
        with rasterio.open(zone.season.labels) as dataset:
            labels, profile = dataset.read(1), dataset.profile
        learnt = np.zeros(labels.shape, bool)
        for tile in read_tile_index(index).split("train"):
            learnt[tile.window.slices] = True
        filled = gap_filled(zone.season)
        # the pixel of 10 m that a pixel of the image has its middle in
        gsd = profile["transform"].a
        rows, columns = ((np.arange(n) + 0.5) * gsd // PIXEL for n in labels.shape)
        numbers = np.arange(filled.shape[0] * filled.shape[1]).reshape(filled.shape[:2])
        number = numbers[np.ix_(rows.astype(int), columns.astype(int))]
        use = learnt & (labels > 0)
        votes = np.zeros((numbers.size, 256), np.int64)
        np.add.at(votes, (number[use], labels[use]), 1)
        known = votes.sum(axis=1) > 0
        flat = filled.reshape(numbers.size, -1)
        x.append(flat[known])
        y.append(votes[known].argmax(axis=1))
        features.append(flat)
        nearest.append(number)
        profiles.append(profile)
    forest = RandomForestClassifier(
        300, min_samples_leaf=2, max_features="sqrt", class_weight="balanced_subsample",
        random_state=seed,
    )  # fmt: skip
    forest.fit(np.concatenate(x), np.concatenate(y))
    for zone, flat, number, profile in zip(zones, features, nearest, profiles, strict=True):
        with rasterio.open(folder / f"{zone.name}.tif", "w", **profile) as dataset:
            dataset.write(forest.predict(flat)[number].astype(np.uint8), 1)


def tile_indexes(
    zones: Sequence[Zone], work: Path, sides: dict[str, list[list[object]]], seed: int
) -> dict[str, list[Path]]:
    """Tile the zones for each network; `sides` are the options of each zone, by network."""
    indexes: dict[str, list[Path]] = {name: [] for name in sides}
    for number, zone in enumerate(zones):
        first: list[object] = ["--tile-size", TILE, "--block-tiles", 1, "--gap", GAP]
        tiling = [*first, "--seed", seed]
        for name, of_zones in sides.items():
            index = work / f"{zone.name}.{name}.tiles.geojson"
            stack = work / f"{zone.name}.{name}.stack.tif"
            made(
                stack, "prepare", zone.image, *of_zones[number], "--labels", zone.season.labels,
                "--nomenclature", zone.season.nomenclature, *tiling, "--tiles", index,
            )  # fmt: skip
            indexes[name].append(index)
            tiling = ["--tiles-like", index]
    return indexes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--zones", type=int, nargs="+", default=[0, 1, 5])
    parser.add_argument("--dates", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    work, dates = arguments.work / f"seed{arguments.seed}", arguments.dates
    zones = [
        write_zone(f"zone{n}", arguments.data, work, dates, arguments.seed) for n in arguments.zones
    ]
    day = choose_date(zones)
    series: list[list[object]] = [["--side", f"{zone.dates}:series"] for zone in zones]
    sides: dict[str, list[list[object]]] = {
        "image": [[] for _ in zones],
        "one": [["--side", f"{zone.one}/*.tif:series"] for zone in zones],
        "series": series,
        "three": [
            [*given, "--side", f"{zone.oso}:{OSO}"]
            for zone, given in zip(zones, series, strict=True)
        ],
    }
    indexes = tile_indexes(zones, work, sides, arguments.seed)
    training = ["--epochs", arguments.epochs, "--patience", arguments.epochs, "--resume"]
    training += ["--batch-size", arguments.batch_size, "--seed", arguments.seed]
    models = {
        name: made(work / f"{name}.onnx", "train", *indexes[name], *training) for name in sides
    }
    # the name of a map: its model, the pattern of its dates, its options
    maps = {
        "image": ("image", "", ()),
        "image, one date": ("one", "one", ()),
        f"image, {dates} dates": ("series", "dates", ()),
        f"the same, {dates - 3} other days": ("series", "other", ()),
        "the same without dates": ("series", "dates", ("--without", "side1")),
        "image, dates, map": ("three", "dates", ()),
        "the same without dates ": ("three", "dates", ("--without", "side1")),
        "the same without the map": ("three", "dates", ("--without", "side2")),
        "the same without both": ("three", "dates", ("--without", "side1", "--without", "side2")),
    }
    folders = []
    for number, (model, given, options) in enumerate(maps.values()):
        folder = work / f"maps{number}"
        folder.mkdir(exist_ok=True)
        folders.append(folder)
        for zone in zones:
            of_zone = {
                "": [], "one": [f"{zone.one}/*.tif"], "dates": [zone.dates],
                "other": [f"{zone.other_days}/{zone.name}_simulated_s2_*.tif"],
            }[given]  # fmt: skip
            also = [f"{zone.oso}:{OSO}"] if model == "three" else []
            made(
                folder / f"{zone.name}.tif", "fuse" if of_zone else "predict",
                work / f"{zone.name}.{model}.stack.tif", *of_zone, *also,
                "-m", models[model], *options, *["--allow-missing"] * bool(of_zone),
            )  # fmt: skip
    write_forest_maps(zones, indexes["image"], work / "forest", arguments.seed)
    names = [name.strip() for name in maps]
    given = repeated("--name", [*names, f"Random Forest, {dates} dates"])
    given += repeated("--reference", [zone.season.labels for zone in zones])
    given += repeated("--tiles", indexes["image"])
    print(f"simulated seasons; the one date is of day {day}; classes: {', '.join(COVER_NAMES)}")
    print(lcmap("score", *folders, work / "forest", *given, "--split", "test", "--block", TILE))


COVER_NAMES = [cover.name for cover in COVERS.values()]

if __name__ == "__main__":
    main()
