"""Peak memory and time of prepare as the image grows.

    python benchmarks/bench_prepare.py [--sizes 4096 16384] [--coarse]

The image is a real zone beside the project (LCMAP_DATA, else ../shared/data), repeated to SIZE ×
SIZE pixels, with its labels. Each run is a process of its own, whose peak resident memory is the
kernel's: the image stacked with labels, tiles and quantiles; and with `--coarse` a second image of
a tenth of the size, resampled (cubic) to the first one's grid beside it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from timed_command import timed

from lcmap.raster.windows import iter_blocks

PROJECT = Path(__file__).resolve().parent.parent
FLAIR = Path(os.environ.get("LCMAP_DATA", PROJECT.parent / "shared" / "data")) / "flair"


def write_repeated(zone: Path, path: Path, size: int, pixel: float) -> None:
    """Write size × size pixels of a zone, repeated."""
    with rasterio.open(zone) as dataset:
        tile = dataset.read()
        names = dataset.descriptions
    profile = {
        "driver": "GTiff", "count": len(tile), "dtype": tile.dtype, "height": size, "width": size,
        "crs": "EPSG:2154", "transform": Affine(pixel, 0, 700_000, 0, -pixel, 6_300_000),
        "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1,
        "photometric": "MINISBLACK", "alpha": "NO", "bigtiff": "IF_SAFER",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        for band, name in enumerate(names, 1):
            dataset.set_band_description(band, name)
        for window in iter_blocks(size, size, 512):
            rows = np.arange(window.row, window.stop_row) % tile.shape[1]
            cols = np.arange(window.col, window.stop_col) % tile.shape[2]
            dataset.write(tile[:, rows[:, None], cols], window=window.ranges)


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[4096, 16384])
    parser.add_argument("--coarse", action="store_true")
    options = parser.parse_args()
    if not FLAIR.is_dir():
        sys.exit(f"no zones in {FLAIR}: set LCMAP_DATA")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            image, labels = Path(folder) / "image.tif", Path(folder) / "labels.tif"
            coarse = Path(folder) / "coarse.tif"
            write_repeated(FLAIR / "zone0_0.8m_rgbn.tif", image, size, 0.8)
            write_repeated(FLAIR / "zone0_0.8m_labels.tif", labels, size, 0.8)
            write_repeated(FLAIR / "zone0_10m_rgbn.tif", coarse, size // 10 + 1, 8.0)
            images = [image, coarse] if options.coarse else [image]
            run = timed(
                "prepare", *images, "--labels", labels, "--crosswalk", "flair19:flair7",
                "--tiles", f"{folder}/tiles.geojson", "-o", f"{folder}/stack.tif",
            )  # fmt: skip
        print(
            f"{size} × {size} px, {len(images)} image(s): {run.seconds:.1f} s, "
            f"{size * size / run.seconds / 1e6:.1f} Mpx/s, {run.processor:.1f} s of one core, "
            f"peak {run.peak:.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
