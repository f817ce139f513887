"""Time and peak memory of lcmap update on large maps, with and without --min-change.

    python benchmarks/compare_update.py model.onnx --data ../shared/data/flair --work /tmp/update
    python benchmarks/bench_update.py --work /tmp/update --sizes 4096 8192

The maps are 1 536 × 512 px of a real zone, repeated beside and below each other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import rasterio
from timed_command import timed

from lcmap.raster.classes import read_class_table, write_class_table

ROW = 512


def enlarge(source: Path, target: Path, size: int) -> None:
    """Write a raster of size × size pixels made of copies of one of a zone."""
    with rasterio.open(source) as given:
        bands = given.read(window=((0, 3 * ROW), (0, ROW)))
        profile = given.profile | {"width": size, "height": size, "bigtiff": "IF_SAFER"}
        table, tags = read_class_table(given), given.tags()
    bands = np.concatenate(np.split(bands, 3, axis=1), axis=2)
    bands = np.tile(bands, (1, 1, -(-size // (3 * ROW))))[:, :, :size]
    with rasterio.open(target, "w", **profile) as made:
        if table:
            write_class_table(made, table)
        made.update_tags(**{name: text for name, text in tags.items() if "LCMAP" in name})
        for row in range(0, size, ROW):
            made.write(bands, window=((row, row + ROW), (0, size)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4096, 8192])
    arguments = parser.parse_args()
    work = arguments.work
    print("px                          s  processor s   Mpx/s  peak MiB")
    for size in arguments.sizes:
        if size % ROW:
            parser.error(f"{size} is not a multiple of {ROW}")
        files = {
            kind: work / f"{kind}.{size}.tif"
            for kind in ("1.map", "2.map", "2.p", "map", "changes")
        }
        for kind in ("1.map", "2.map", "2.p"):
            enlarge(work / f"zone0.{kind}.tif", files[kind], size)
        for options in ([], ["--min-change", "0.01"]):
            run = timed(
                "update", files["1.map"], files["2.map"], "--probabilities", files["2.p"], "-o",
                files["map"], "--changes", files["changes"], "--overwrite", "-q", *options,
            )  # fmt: skip
            title = f"{size}² {' '.join(options)}"
            print(
                f"{title:24}{run.seconds:5.1f}  {run.processor:11.1f}  "
                f"{size**2 / 1e6 / run.seconds:6.2f}  {run.peak:8.0f}",
                flush=True,
            )
        for path in files.values():
            path.unlink()


if __name__ == "__main__":
    main()
