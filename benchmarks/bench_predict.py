"""Speed and memory of predict, beside the bare onnxruntime session on the same tile shape.

    python benchmarks/bench_predict.py MODEL.onnx [--size 4096] [--tile 768] [--runs 3] [--verify]

The image is a mosaic of the real zones beside the project (LCMAP_DATA, else ../shared/data),
repeated to SIZE × SIZE pixels; `--size 16384` is the full benchmark. Each run of the command is a
process of its own, whose peak resident memory is the kernel's; runs of the command and of the bare
session take turns, and medians are printed.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from lcmap.inference import DEFAULT_TILE
from lcmap.inference.session import Session, available_threads
from lcmap.inference.tiling import iter_tiles
from lcmap.model_file import read_model
from lcmap.raster.windows import iter_blocks

PROJECT = Path(__file__).resolve().parent.parent


def zones() -> list[np.ndarray]:
    """Return the real zones at 0.8 m, each uint8 [4, rows, columns]."""
    folder = Path(os.environ.get("LCMAP_DATA", PROJECT.parent / "shared" / "data")) / "flair"
    paths = sorted(folder.glob("zone*_0.8m_rgbn.tif"))
    if not paths:
        sys.exit(f"no zones in {folder}: set LCMAP_DATA")
    images = []
    for path in paths:
        with rasterio.open(path) as dataset:
            images.append(dataset.read())
    return images


def write_mosaic(path: Path, size: int) -> None:
    """Lay the zones side by side in columns, repeated, and write size × size pixels of it."""
    images = zones()
    width = min(image.shape[2] for image in images)
    column = np.concatenate([image[:, :, :width] for image in images], axis=1)
    profile = {
        "driver": "GTiff", "count": 4, "dtype": "uint8", "height": size, "width": size,
        "crs": "EPSG:2154", "transform": Affine(0.8, 0, 700_000, 0, -0.8, 6_300_000),
        "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1,
        "photometric": "MINISBLACK", "alpha": "NO", "bigtiff": "IF_SAFER",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        for band, name in enumerate(("red", "green", "blue", "nir"), 1):
            dataset.set_band_description(band, name)
        for window in iter_blocks(size, size, 512):
            cols = np.arange(window.col, window.stop_col)
            # each column of zones starts elsewhere, so that no row repeats across the mosaic
            rows = np.arange(window.row, window.stop_row)[:, None] + cols // width * 777
            pixels = column[:, rows % column.shape[1], cols % width]
            dataset.write(pixels, window=window.ranges)


def run_command(image: Path, model: Path, output: Path, *options: str) -> tuple[float, float, str]:
    """Run `lcmap predict`; return its seconds, its peak memory in MiB and what it said."""
    start = time.perf_counter()
    command = [sys.executable, "-c", "from lcmap.cli import main; main()", "predict", str(image),
               "-m", str(model), "-o", str(output), "--overwrite", *options]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"lcmap predict failed:\n{said}")
    return seconds, usage.ru_maxrss / 1024, said


def time_bare_session(model: Path, shape: tuple[int, int], tiles: int) -> float:
    """Return the seconds that the session alone needs for one tile of a shape [rows, columns]."""
    metadata = read_model(model)
    session = Session(model)
    pixels = np.random.default_rng(0).random(
        (1, len(metadata.entries[0].bands), *shape), np.float32
    )
    feed = {metadata.entries[0].name: pixels}
    session.run(feed)
    start = time.perf_counter()
    for _ in range(tiles):
        session.run(feed)
    return (time.perf_counter() - start) / tiles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--tile", type=int, default=DEFAULT_TILE)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--verify", action="store_true", help="verify in a further run")
    arguments = parser.parse_args()
    size, tile = arguments.size, arguments.tile
    metadata = read_model(arguments.model)
    tiles = list(iter_tiles(size, size, tile, metadata.stride, metadata.receptive_field))
    shape = tiles[0].seen[2:]
    seen = len(tiles) * shape[0] * shape[1]
    print(f"{size} x {size} px, {len(tiles)} tiles of {shape[0]} x {shape[1]} px, "
          f"{available_threads()} threads")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        image, output = Path(folder) / "image.tif", Path(folder) / "map.tif"
        write_mosaic(image, size)
        options = ["--tile", str(tile), "--confidence", str(Path(folder) / "confidence.tif")]
        whole, peak, bare = [], [], []
        for run in range(arguments.runs):
            seconds, mebibytes, _ = run_command(image, arguments.model, output, *options)
            whole.append(seconds)
            peak.append(mebibytes)
            bare.append(time_bare_session(arguments.model, shape, min(8, len(tiles))))
            print(f"run {run + 1}: predict {seconds:.1f} s, peak {mebibytes:.0f} MiB; "
                  f"bare session {bare[-1]:.2f} s a tile", flush=True)  # fmt: skip
        predict, session = statistics.median(whole), statistics.median(bare) * len(tiles)
        print("median, Mpx/s        useful   seen by the network")
        for name, seconds in (("lcmap predict", predict), ("bare session", session)):
            print(f"{name:18} {size * size / seconds / 1e6:8.3f} {seen / seconds / 1e6:10.3f}")
        print(f"predict takes {predict / session:.3f} times the bare session; "
              f"peak memory {max(peak):.0f} MiB")  # fmt: skip
        if arguments.verify:
            seconds, mebibytes, said = run_command(
                image, arguments.model, output, *options, "--verify"
            )
            print(f"--verify: {seconds:.1f} s, peak {mebibytes:.0f} MiB")
            print(*re.findall("verified: .*", said))


if __name__ == "__main__":
    main()
