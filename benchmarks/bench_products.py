"""Time and peak memory of lcmap generalise and areas on maps of real labels.

    python benchmarks/bench_products.py --work /tmp/products --sizes 4096 8192

The maps are made of the 1.6 m labels of five zones (18 classes), a zone to each part of 2 048 px,
moved and mirrored. The unit of `generalise` is 0.5 ha; zones are squares of 4 km turned by 20°,
which stand for communes. Each run is a process of its own. The processor time holds the start of
Python, some 1 s. GDAL's sieve does a part of the same map for comparison; its rule is another.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyogrio.raw
import rasterio
import rasterio.features
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from timed_command import Timed, timed

from lcmap.nomenclature import load_nomenclature
from lcmap.raster.grid import Grid
from lcmap.raster.windows import iter_blocks
from lcmap.raster.writing import RasterFormat, atomic_raster

PART = 2048
GSD = 1.5
CORNER = (700_000, 6_300_000)
ZONES = (0, 1, 2, 4, 5)
MMU = 0.5
COMMUNE = 4000


def read_parts(data: Path) -> list[NDArray[np.uint8]]:
    """Return the labels of each zone, mirrored to parts of PART × PART pixels."""
    parts = []
    for zone in ZONES:
        with rasterio.open(data / f"zone{zone}_1.6m_labels.tif") as dataset:
            labels = dataset.read(1)
        labels = np.concatenate([labels, labels[:, ::-1]], axis=1)
        labels = np.concatenate([labels, labels[::-1]])
        rows, cols = (-(-PART // length) for length in labels.shape)
        parts.append(np.tile(labels, (rows, cols))[:PART, :PART])
    return parts


def write_map(path: Path, parts: list[NDArray[np.uint8]], size: int, shift: int) -> None:
    """Write a map of size × size pixels, each part moved by other pixels and by `shift`."""
    grid = Grid(
        CRS.from_epsg(2154), rasterio.Affine(GSD, 0, CORNER[0], 0, -GSD, CORNER[1]), size, size
    )
    table = load_nomenclature("flair19").class_table()
    with atomic_raster(
        path, grid, RasterFormat(1, "uint8", 0, classes=table), overwrite=True
    ) as made:
        for number, window in enumerate(iter_blocks(size, size, PART)):
            moved = np.roll(
                parts[number % len(parts)], (131 * number + shift, 257 * number), (0, 1)
            )
            made.write(moved[: window.height, : window.width], 1, window=window.ranges)


def write_communes(path: Path, size: int) -> None:
    """Write squares that cover the ground of a map."""
    side = size * GSD
    starts = np.arange(-side, 2 * side, COMMUNE)
    west, south = np.meshgrid(starts, starts)
    boxes = shapely.box(west, south, west + COMMUNE, south + COMMUNE).ravel()
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = side / 2
    turned = shapely.transform(
        boxes, lambda xy: (xy - middle) @ turn + middle + (CORNER[0], CORNER[1] - side)
    )
    names = np.array([f"C{number}" for number in range(len(turned))], object)
    pyogrio.raw.write(
        path, shapely.to_wkb(turned), [names], ["nom"], driver="GPKG", geometry_type="Polygon",
        crs="EPSG:2154",
    )  # fmt: skip


def sieve(path: Path) -> float:
    """Return the processor seconds in which GDAL's sieve does the first part of a map."""
    with rasterio.open(path) as dataset:
        codes = dataset.read(1, window=((0, 2 * PART), (0, 2 * PART)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    rasterio.features.sieve(codes, int(np.ceil(MMU * 10_000 / GSD**2)), connectivity=4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/flair"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[4096, 8192])
    parser.add_argument("--only", nargs="+", help="names of runs")
    arguments = parser.parse_args()
    work = arguments.work
    work.mkdir(exist_ok=True, parents=True)
    parts = read_parts(arguments.data)
    print(
        f"{'px':>6} {'run':<18} {'s':>7} {'processor s':>12} {'Mpx/s a core':>13} {'peak MiB':>9}"
    )
    for size in arguments.sizes:
        one, other, out = (work / f"{name}.{size}.tif" for name in ("one", "other", "out"))
        zones, vector = work / f"zones.{size}.gpkg", work / f"out.{size}.gpkg"
        if not zones.exists():
            write_map(one, parts, size, 0)
            write_map(other, parts, size, 2)
            write_communes(zones, size)
        mapped = ("generalise", one, "-o", out, "--mmu", MMU, "--overwrite")
        runs: dict[str, Callable[[], Timed]] = {
            "generalise": lambda mapped=mapped: timed(*mapped),
            "with polygons": lambda mapped=mapped, v=vector: timed(*mapped, "--vector", v),
            "areas": lambda one=one: timed("areas", one),
            "areas of two": lambda one=one, other=other: timed("areas", one, other),
            "areas by zone": lambda one=one, z=zones: timed("areas", one, "--zones", z),
        }
        for name, run in runs.items():
            if arguments.only and name not in arguments.only:
                continue
            made = run()
            rate = size * size / made.processor / 1e6
            figures = (
                f"{made.seconds:>7.1f} {made.processor:>12.1f} {rate:>13.1f} {made.peak:>9.0f}"
            )
            print(f"{size:>6} {name:<18} {figures}", flush=True)
    if not arguments.only:
        print(f"GDAL's sieve of 4096² px: {sieve(one):.1f} s")


if __name__ == "__main__":
    main()
