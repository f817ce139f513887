"""Simulated seasons: Sentinel-2 dates of a year over FLAIR's labels.

    python benchmarks/seasons.py ../shared/data/flair/zone1_1.6m_labels.tif -o /tmp/seasons \
        --dates 12 --seed 0

SIMULATED, for where real seasons are not at hand: no value is a measurement. Herbaceous vegetation
and agricultural land are split by parcels, at random, into meadow, dry grassland, winter crops and
summer crops, which nothing but the season tells apart. Of each parcel `trials/phenology.py` says
the reflectance by day; pixels of 10 m mix what they cover by area, and those of Sentinel-2's 20 m
bands four of these. Dates differ in illumination, haze and noise; clouds and their shadows are
masked but for their rims, and a part of some dates is missing. Written are a GeoTIFF a date
(uint16, reflectance × 10 000, 0 where there is none), the split labels on the grid of the given
ones, and their nomenclature. One seed gives the same files again; zones of one seed have the same
days and the same weather by day.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from trials.phenology import (
    BANDS,
    COARSE_BANDS,
    COVERS,
    Parcels,
    draw_parcels,
    reflectance_of_parcels,
)

YEAR = 2018
PIXEL = 10
"""Metres."""

PARCEL = 80
"""Metres between the middles of neighbouring parcels, on average."""

SIMULATED = "simulated by lcmap's benchmarks/seasons.py; no value is a measurement"

_CLOUD = 250
"""Metres over which clouds and haze change."""

_CLOUD_SPECTRUM = (0.62, 0.60, 0.60, 0.61, 0.61, 0.61, 0.62, 0.62, 0.45, 0.35)
_HAZE = (1.0, 0.75, 0.55, 0.45, 0.35, 0.30, 0.25, 0.25, 0.10, 0.05)
"""What a haze adds to the bands, of what it adds to blue."""


class Ground(NamedTuple):
    """What does not change over the year.

    parcels: their parameters; of_pixels: the parcel of each pixel of the labels [H, W];
    of_blocks: the shares of the labels' rows [h, H] and columns [w, W] in those of 10 m;
    vigour: a factor of brightness inside parcels [h, w].
    """

    parcels: Parcels
    of_pixels: NDArray[np.int64]
    of_blocks: tuple[NDArray[np.float64], NDArray[np.float64]]
    vigour: NDArray[np.float64]


class Season(NamedTuple):
    """The files of a season: a GeoTIFF a date, the labels, and their nomenclature."""

    dates: list[Path]
    days: list[date]
    labels: Path
    nomenclature: Path


def days_of(dates: int, seed: int) -> list[date]:
    """Return so many days of the year, one in each of as many spans of equal length."""
    generator = np.random.default_rng([seed, 1])
    span = 365 / dates
    starts = np.arange(dates) * span
    return [date(YEAR, 1, 1) + timedelta(int(s + generator.uniform(0, span))) for s in starts]


def parcels_of(
    flair: NDArray[np.uint8], pixel: float, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return a number for each pixel: connected ground of one class, cut up into fields."""
    h, w = flair.shape
    middles = generator.uniform(0, (h, w), (max(round(h * w * (pixel / PARCEL) ** 2), 1), 2))
    rows, columns = np.indices(flair.shape)
    field = cKDTree(middles).query(np.stack((rows, columns), axis=-1))[1]
    found = np.zeros(flair.shape, np.int64)
    first = 0
    for value in np.unique(flair):
        here = flair == value
        component, number = ndimage.label(here)
        keys = field[here].astype(np.int64) * (number + 1) + component[here]
        numbers = np.unique(keys, return_inverse=True)[1]
        found[here] = numbers + first
        first += numbers.max() + 1
    return found


def smooth(shape: tuple[int, ...], metres: float, generator: np.random.Generator) -> Any:
    """Return a random field [h, w] of 10 m pixels, of mean 0 and deviation 1, this smooth."""
    field = ndimage.gaussian_filter(generator.normal(size=shape), metres / PIXEL / 2, mode="wrap")
    return (field - field.mean()) / field.std()


def shares(length: int, pixel: float) -> NDArray[np.float64]:
    """Return what each pixel has of blocks of 10 m [n, length], from 0 to 1 pixel."""
    blocks = -(-length * pixel // PIXEL)
    edges = np.arange(blocks + 1)[:, None] * PIXEL / pixel
    ends = np.minimum(edges[1:], np.arange(1, length + 1))
    starts = np.maximum(edges[:-1], np.arange(length))
    found: NDArray[np.float64] = np.maximum(ends - starts, 0)
    return found


def ground_of(flair: NDArray[np.uint8], pixel: float, generator: np.random.Generator) -> Ground:
    """Return the ground that FLAIR's labels [H, W] of this pixel size cover."""
    of_pixels = parcels_of(flair, pixel, generator)
    first = np.unique(of_pixels, return_index=True)[1]
    parcels = draw_parcels(flair.ravel()[first], generator)
    rows, columns = (shares(length, pixel) for length in flair.shape)
    inside = smooth((len(rows), len(columns)), 40, generator)
    return Ground(parcels, of_pixels, (rows, columns), 1 + 0.06 * inside)


def clear_reflectance(ground: Ground, day: int) -> NDArray[np.float64]:
    """Return the reflectance [10, h, w] of pixels of 10 m; NaN where no class covers any of it."""
    rows, columns = ground.of_blocks
    of_parcels = reflectance_of_parcels(ground.parcels, day)
    known = (ground.parcels.codes > 0)[ground.of_pixels]
    area = rows @ known @ columns.T  # [h, w]
    found = np.full((len(BANDS), *area.shape), np.nan)
    for band, values in enumerate(found):
        total = rows @ (of_parcels[:, band][ground.of_pixels] * known) @ columns.T
        np.divide(total * ground.vigour, area, out=values, where=area > 0)
        if BANDS[band] in COARSE_BANDS:
            values[:] = _of_twenty_metres(values)
    return found


def _of_twenty_metres(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of 2 × 2 pixels, each laid over its four; NaN is left out."""
    h, w = values.shape
    padded = np.pad(values, ((0, h % 2), (0, w % 2)), mode="edge")
    cells = padded.reshape(-(-h // 2), 2, -(-w // 2), 2)
    known = ~np.isnan(cells)
    total = np.where(known, cells, 0).sum(axis=(1, 3))
    number = known.sum(axis=(1, 3))
    means = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    return means.repeat(2, axis=0).repeat(2, axis=1)[:h, :w]


def observed(
    clear: NDArray[np.float64], weather: np.random.Generator, place: np.random.Generator
) -> NDArray[np.uint16]:
    """Return a date as a satellite delivers it, from its reflectance [10, h, w] without weather.

    `weather` draws what a whole day has, `place` where it lies.
    """
    shape = clear.shape[1:]
    gain = weather.normal(1, 0.04) * weather.normal(1, 0.01, len(BANDS))
    haze = weather.exponential(0.010)
    kind = weather.uniform()
    cover = weather.uniform(
        *((0, 0.1) if kind < 0.5 else (0.1, 0.5) if kind < 0.8 else (0.5, 0.95))
    )
    missing, side = weather.uniform(), weather.uniform(0.2, 0.6)
    seen = clear * gain[:, None, None]
    thick = np.maximum(haze * (1 + 0.5 * smooth(shape, _CLOUD, place)), 0)
    seen += np.array(_HAZE)[:, None, None] * thick
    seen += place.normal(0, 1, seen.shape) * (0.003 + 0.02 * seen)
    field = smooth(shape, _CLOUD, place)
    depth = (field - np.quantile(field, 1 - cover)) / 0.15
    opaque = np.clip(depth, 0, 1)  # their rims are thin
    shadow = np.roll(opaque, (-12, 9), axis=(0, 1))
    seen *= 1 - 0.6 * shadow
    seen += opaque * (np.array(_CLOUD_SPECTRUM)[:, None, None] - seen)
    masked = (opaque > 0.15) | (shadow > 0.25)
    if missing < 0.15:  # the rim of a swath
        rows, columns = np.indices(shape)
        masked |= columns + 0.2 * rows < side * shape[1]
    numbers = (10_000 * np.nan_to_num(seen)).round().clip(1, 65535)
    numbers[:, masked | np.isnan(clear).any(axis=0)] = 0
    return numbers.astype(np.uint16)


def write_season(
    labels: Path, folder: Path, *, days: Sequence[date], seed: int, name: str = ""
) -> Season:
    """Write a season over FLAIR's labels into a folder, each file after `name`."""
    folder.mkdir(parents=True, exist_ok=True)
    name = name or labels.stem.split("_")[0]
    with rasterio.open(labels) as dataset:
        flair, profile = dataset.read(1), dataset.profile
    transform = profile["transform"]
    place = np.random.default_rng([seed, 2, *name.encode()])
    ground = ground_of(flair, transform.a, place)
    split = folder / f"{name}_labels.tif"
    codes = ground.parcels.codes[ground.of_pixels]
    with rasterio.open(split, "w", **profile | {"dtype": "uint8"}) as dataset:
        dataset.write(codes, 1)
        dataset.update_tags(SIMULATED=SIMULATED)
    nomenclature = folder / "seasons.toml"
    nomenclature.write_text(nomenclature_text(), encoding="utf-8")
    profile |= {
        "count": len(BANDS), "dtype": "uint16", "nodata": 0, "predictor": 2,
        "height": len(ground.of_blocks[0]), "width": len(ground.of_blocks[1]),
        "transform": Affine(PIXEL, 0, transform.c, 0, -PIXEL, transform.f),
        "interleave": "band", "photometric": "MINISBLACK", "alpha": "NO",
    }  # fmt: skip
    paths = []
    for day in days:
        of_year = day.timetuple().tm_yday
        weather = np.random.default_rng([seed, 3, of_year])
        numbers = observed(clear_reflectance(ground, of_year), weather, place)
        path = folder / f"{name}_simulated_s2_{day:%Y%m%d}.tif"
        with rasterio.open(path, "w", **profile) as dataset:
            dataset.write(numbers)
            dataset.update_tags(ACQUISITION_DATE=day.isoformat(), SIMULATED=SIMULATED)
            for band, title in enumerate(BANDS, start=1):
                dataset.set_band_description(band, title)
                dataset.update_tags(band, LCMAP_RADIOMETRY="BOA")
        paths.append(path)
    return Season(paths, list(days), split, nomenclature)


def nomenclature_text() -> str:
    """Return the nomenclature of the split classes as TOML."""
    classes = [
        f'    {{ code = {code}, name = "{cover.name}", short = "{cover.short}", '
        f'color = "{cover.color}" }},'
        for code, cover in COVERS.items()
    ]
    head = ['name = "seasons"', 'title = "FLAIR with simulated seasons"', "classes = ["]
    return "\n".join([*head, *classes, "]"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", type=Path, nargs="+", help="FLAIR's, on a metric grid")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder")
    parser.add_argument("--dates", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    days = days_of(arguments.dates, arguments.seed)
    for labels in arguments.labels:
        season = write_season(labels, arguments.output, days=days, seed=arguments.seed)
        for path in (season.labels, *season.dates):
            print(path)


if __name__ == "__main__":
    main()
