"""Peak memory, time and temporary disk of prepare on Sentinel-2 products of full size.

    python benchmarks/bench_prepare_sentinel2.py [--size 10980] [--dates 3] [--method median]

The products are level 2A as ESA delivers them (JPEG 2000 in tiles of 1024 px, lossless), SIZE ×
SIZE pixels of 10 m, made by repeating a real zone beside the project (LCMAP_DATA, else
../shared/data): its four bands at 10 m become the bands of 10 m, every second pixel those of 20 m,
the levels shifted from date to date, each under clouds of its own. They become one image of the
ten bands of a month on the 10 m grid. Peak memory is the kernel's, of a process of its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from bench_prepare import FLAIR
from timed_command import timed

TEN_METRES = ("B02", "B03", "B04", "B08")
TWENTY_METRES = ("B05", "B06", "B07", "B8A", "B11", "B12")
CORNER = (600_000.0, 4_900_020.0)
BLOCK = 1024


def write_repeated(path: Path, tile: np.ndarray, size: int, pixel: float) -> None:
    """Write size × size pixels of an array, repeated, as ESA writes JPEG 2000."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, cols = (np.arange(size) % n for n in tile.shape)
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", count=1, dtype=tile.dtype, height=size, width=size,
        crs="EPSG:32631", transform=Affine(pixel, 0, CORNER[0], 0, -pixel, CORNER[1]),
        QUALITY="100", REVERSIBLE="YES", BLOCKXSIZE=BLOCK, BLOCKYSIZE=BLOCK,
    ) as dataset:  # fmt: skip
        dataset.write(tile[rows][:, cols], 1)


def write_product(folder: Path, number: int, size: int) -> Path:
    """Write the product of a date."""
    day = f"2018-07-{1 + number:02d}"
    stamp = f"{day.replace('-', '')}T105029"
    product = folder / f"S2A_MSIL2A_{stamp}_N0500_R051_T31TFJ_{stamp}.SAFE"
    images = product / "GRANULE" / f"L2A_T31TFJ_A015860_{stamp}" / "IMG_DATA"
    with rasterio.open(FLAIR / "zone0_10m_rgbn.tif") as dataset:
        zone = dataset.read().astype("uint16") * 20 + 1000 + 50 * number
    for i, band in enumerate(TEN_METRES):
        write_repeated(images / f"R10m/T31TFJ_{stamp}_{band}_10m.jp2", zone[i], size, 10)
    for i, band in enumerate(TWENTY_METRES):
        coarse = zone[i % 4, ::2, ::2]
        write_repeated(images / f"R20m/T31TFJ_{stamp}_{band}_20m.jp2", coarse, size // 2, 20)
    clouds = np.random.default_rng(number).random((64, 64)) < 0.3
    classes = np.where(clouds.repeat(20, 0).repeat(20, 1), 9, 4).astype("uint8")
    write_repeated(images / f"R20m/T31TFJ_{stamp}_SCL_20m.jp2", classes, size // 2, 20)
    offsets = "".join(f'<BOA_ADD_OFFSET band_id="{i}">-1000</BOA_ADD_OFFSET>' for i in range(13))
    (product / "MTD_MSIL2A.xml").write_text(
        f"<Product><PRODUCT_START_TIME>{day}T10:50:29Z</PRODUCT_START_TIME>"
        "<PROCESSING_BASELINE>05.00</PROCESSING_BASELINE>"
        f"<BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE>{offsets}</Product>"
    )
    return product


class DiskWatch:
    """The most bytes seen in a folder."""

    def __init__(self, folder: Path) -> None:
        """Look into this folder twice a second, until `stop`."""
        self._folder = folder
        self._done = threading.Event()
        self.peak = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.5):
            sizes = []
            for path in self._folder.rglob("*"):
                try:
                    sizes.append(path.stat().st_size)
                except OSError:
                    continue  # gone meanwhile
            self.peak = max(self.peak, sum(sizes))

    def stop(self) -> None:
        """Stop looking."""
        self._done.set()
        self._thread.join()


def main() -> None:
    """Print a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10_980)
    parser.add_argument("--dates", type=int, default=3)
    parser.add_argument("--method", default="median")
    options = parser.parse_args()
    if not FLAIR.is_dir():
        sys.exit(f"no zones in {FLAIR}: set LCMAP_DATA")
    with tempfile.TemporaryDirectory() as name:
        folder, spool = Path(name), Path(name) / "tmp"
        spool.mkdir()
        start = time.perf_counter()
        products = [write_product(folder, i, options.size) for i in range(options.dates)]
        print(f"products written in {time.perf_counter() - start:.0f} s", flush=True)
        watch = DiskWatch(spool)
        run = timed(
            "prepare", *products, "--period", "2018-07", "--method", options.method,
            "--clear-dates", folder / "clear.tif", "--tmpdir", spool, "-o", folder / "s2.tif",
        )  # fmt: skip
        watch.stop()
    print(
        f"{options.dates} products of {options.size} × {options.size} px: {run.seconds:.0f} s, "
        f"{run.processor:.0f} s of one core, peak {run.peak:.0f} MiB, "
        f"{watch.peak / 1e6:.0f} MB of temporary files"
    )


if __name__ == "__main__":
    main()
