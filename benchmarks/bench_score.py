"""Throughput and memory of lcmap score on maps of 16 384 × 16 384 px made of real labels.

Real 0.8 m labels are repeated to the size asked for; the maps are the same labels moved by a few
pixels, so that they disagree along edges. Each run is a process of its own, so that its peak
memory is its own. scikit-learn's confusion_matrix counts a part of the same pixels, and must
count the same.

    python benchmarks/bench_score.py [--size 16384] [--data ../shared/data]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from sklearn.metrics import confusion_matrix
from timed_command import timed

from lcmap.nomenclature import load_crosswalk, load_nomenclature
from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window, iter_blocks
from lcmap.raster.writing import RasterFormat, atomic_raster

PART = 4096


def write_repeated(path: Path, labels: NDArray[np.uint8], size: int, shift: int) -> None:
    """Write labels repeated to size × size px and moved by `shift` px, block by block."""
    grid = Grid(
        CRS.from_epsg(2154), rasterio.Affine(0.8, 0, 700_000, 0, -0.8, 6_300_000), size, size
    )
    table = load_nomenclature("flair7").class_table()
    with atomic_raster(
        path, grid, RasterFormat(count=1, dtype="uint8", nodata=0, classes=table), overwrite=True
    ) as dataset:
        for window in iter_blocks(size, size, 2048):
            rows = (np.arange(window.row, window.stop_row) + shift) % labels.shape[0]
            cols = (np.arange(window.col, window.stop_col) + shift) % labels.shape[1]
            dataset.write(labels[np.ix_(rows, cols)], 1, window=window.ranges)


def run_score(maps: list[Path], reference: Path, *options: str) -> tuple[float, float, dict]:
    """Return seconds, peak MiB and the report of a run of the command, start included."""
    run = timed("score", *maps, "--reference", reference, "--json", "-q", *options)
    return run.seconds, run.peak, json.loads(run.stdout)


def read_part(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as dataset:
        return dataset.read(1, window=Window(0, 0, PART, PART).ranges)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=16_384)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    crosswalk = load_crosswalk("flair19:flair7")
    zones = []
    for path in sorted((options.data / "flair").glob("zone*_0.8m_labels.tif")):
        with rasterio.open(path) as dataset:
            zones.append(crosswalk.apply(dataset.read(1), path))
    rows = min(len(zone) for zone in zones)
    labels = np.hstack([zone[:rows] for zone in zones])
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "reference.tif"
        maps = [Path(folder) / f"map{shift}.tif" for shift in (1, 3, 7)]
        write_repeated(reference, labels, options.size, 0)
        for path, shift in zip(maps, (1, 3, 7), strict=True):
            write_repeated(path, labels, options.size, shift)
        small = [Path(folder) / name for name in ("part_map.tif", "part_reference.tif")]
        write_repeated(small[0], labels, PART, 1)
        write_repeated(small[1], labels, PART, 0)

        _, peak, report = run_score(small[:1], small[1])
        print(f"{PART:6d}² px, 1 map:             peak {peak:.0f} MiB")
        start = time.perf_counter()
        predicted, truth = (read_part(path).ravel() for path in small)
        scored = truth > 0
        expected = confusion_matrix(truth[scored], predicted[scored], labels=[*range(1, 8), 0])
        seconds = time.perf_counter() - start
        assert report["maps"][0]["confusion"] == expected[:-1].tolist()
        print(
            f"{PART:6d}² px, scikit-learn:      {seconds:6.1f} s, {PART**2 / seconds / 1e6:6.1f} "
            "Mpx/s (reading and confusion_matrix alone; the same matrix)"
        )
        for used, more, note in (
            (maps[:1], ("--bootstrap", "0"), "no intervals"),
            (maps[:1], (), "intervals"),
            (maps, (), "intervals"),
        ):
            seconds, peak, report = run_score(used, reference, *more)
            pixels = report["pixels"]["scored"]
            print(
                f"{options.size:6d}² px, {len(used)} map(s), {note}: {seconds:6.1f} s, "
                f"{pixels / seconds / 1e6:6.1f} Mpx/s, peak {peak:.0f} MiB"
            )


if __name__ == "__main__":
    main()
