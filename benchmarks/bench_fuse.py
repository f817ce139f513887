"""What a second sensor costs: fuse beside predict, and the share of resampling on the fly.

    python benchmarks/bench_fuse.py [--size 3072] [--tile 768] [--runs 3] [--valid 1.0]

The image is the mosaic of bench_predict, at 0.8 m; the side image has ten bands of 10 m, made of
noise, on another grid of the same CRS (EPSG:2154) and on one of another (EPSG:32631). The networks
are those of the default recipe with random weights, which cost what trained ones do. `predict`,
`fuse` and the bare sessions of their interior tiles (seconds for a million pixels) take turns, and
medians are printed, beside the multiplications that each network makes for a pixel. The share of
resampling is the time that reading the side input's windows takes by itself, in one thread, over
that of the run. With `--valid` below 1 only so much of the image is data, and the network is asked
about no more: for peak memory at full size.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine
from bench_predict import InteriorTile, write_mosaic
from rasterio.warp import transform
from timed_command import timed
from torch.utils.flop_counter import FlopCounterMode

from lcmap.engines.onnxruntime import OnnxRuntimeSession
from lcmap.inference.inputs import open_inputs
from lcmap.inference.options import ModelInputOptions
from lcmap.inference.tiling import Tile
from lcmap.model_file import ModelInput, ModelMetadata, read_model, write_model
from lcmap.network import LandCoverNetwork, receptive_field, stride
from lcmap.nomenclature import load_nomenclature
from lcmap.progress import silent
from lcmap.raster.threads import available_threads
from lcmap.training.export import to_onnx
from lcmap.training.recipe import DEFAULT

IMAGE = ModelInput("image", "image", ("red", "green", "blue", "nir"), "uint8", 0.8)
S2 = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
SIDE = ModelInput("side1", "image", S2, "int16", 10.0)
CRSS = {"same CRS": "EPSG:2154", "other CRS": "EPSG:32631"}


def write_network(path: Path, inputs: list[ModelInput]) -> float:
    """Write a model of the default recipe's size; return its million multiplications a pixel."""
    torch.manual_seed(0)
    network = LandCoverNetwork(
        [model_input.channels for model_input in inputs],
        7,
        DEFAULT.architecture,
    ).eval()
    metadata = ModelMetadata(
        load_nomenclature("flair7"), tuple(inputs), stride(DEFAULT.architecture),
        receptive_field(DEFAULT.architecture),
    )  # fmt: skip
    write_model(to_onnx(network, [model_input.name for model_input in inputs]), metadata, path)
    side = 256
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(*(torch.zeros(1, model_input.channels, side, side) for model_input in inputs))
    return counter.get_total_flops() / 2 / side**2 / 1e6


def write_side(path: Path, crs: str, size: int) -> None:
    """Write ten bands of 10 m noise that cover the mosaic of so many pixels."""
    pixels = round(size * 0.8 / 10 * 1.2) + 80
    x, y = transform("EPSG:2154", crs, [700_000 - 300], [6_300_000 + 300])
    values = np.random.default_rng(0).integers(0, 4000, (10, pixels, pixels)).astype(np.int16)
    with rasterio.open(
        path, "w", driver="GTiff", count=10, dtype="int16", height=pixels, width=pixels, crs=crs,
        transform=Affine(10, 0, x[0], 0, -10, y[0]), nodata=-10_000, tiled=True, compress="deflate",
    ) as dataset:  # fmt: skip
        dataset.write(values)
        for band, name in enumerate(S2, 1):
            dataset.set_band_description(band, name)


def resampling(image: Path, side: Path, model: Path, tiles: list[Tile]) -> float:
    """Return the seconds of reading the side input's windows of all tiles."""
    with ExitStack() as stack:
        opened = open_inputs(
            stack, [image, side], read_model(model).inputs, model, ModelInputOptions(), silent
        )
        start = time.perf_counter()
        for tile in tiles:
            opened.readers[1].read(tile.input_window.clipped(*opened.grid.shape))
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=3072)
    parser.add_argument("--tile", type=int, default=768, help="0: what --memory allows")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--valid", type=float, default=1.0)
    arguments = parser.parse_args()
    size, tile = arguments.size, arguments.tile
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image, one, two = folder / "image.tif", folder / "one.onnx", folder / "two.onnx"
        costs = write_network(one, [IMAGE]), write_network(two, [IMAGE, SIDE])
        write_mosaic(image, size)
        if arguments.valid < 1:
            with rasterio.open(image, "r+") as dataset:
                dataset.nodata = 0
                first = round(size * arguments.valid)
                for row in range(first, size, 512):
                    rows = min(512, size - row)
                    empty = np.zeros((4, rows, size), np.uint8)
                    dataset.write(empty, window=((row, row + rows), (0, size)))
        sides = {title: folder / f"{number}.tif" for number, title in enumerate(CRSS)}
        for title, path in sides.items():
            write_side(path, CRSS[title], size)
        bare = {
            "session of predict": InteriorTile(one, size, OnnxRuntimeSession, tile or None),
            "session of fuse": InteriorTile(two, size, OnnxRuntimeSession, tile or None),
        }
        tiles = bare["session of fuse"].tiles
        print(f"{size} x {size} px, {len(tiles)} tiles of fuse, "
              f"{available_threads()} threads")  # fmt: skip
        seconds: dict[str, list[float]] = {}
        peaks: dict[str, float] = {}
        options = ("-o", folder / "map.tif", "--overwrite", *(("--tile", tile) if tile else ()))
        for run in range(arguments.runs):
            found = {"predict": timed("predict", image, "-m", one, *options)}
            for title, side in sides.items():
                found[f"fuse, {title}"] = timed("fuse", image, side, "-m", two, *options)
            for title, made in found.items():
                seconds.setdefault(title, []).append(made.seconds)
                peaks[title] = max(peaks.get(title, 0.0), made.peak)
            for title, session in bare.items():
                seconds.setdefault(title, []).append(1e6 / session.measure(3))
            for title, side in sides.items():
                value = resampling(image, side, two, tiles)
                seconds.setdefault(f"resampling, {title}", []).append(value)
            print(f"run {run + 1}: ", end="")
            print(", ".join(f"{title} {each[-1]:.2f} s" for title, each in seconds.items()),
                  flush=True)  # fmt: skip
        medians = {title: statistics.median(each) for title, each in seconds.items()}
        print(
            f"multiplications a pixel: predict {costs[0]:.4f} M, fuse {costs[1]:.4f} M, "
            f"{costs[1] / costs[0]:.3f} times"
        )
        print(
            "bare session, fuse beside predict: "
            f"{medians['session of fuse'] / medians['session of predict']:.3f} times"
        )
        for title in CRSS:
            fuse = medians[f"fuse, {title}"]
            print(
                f"{title}: fuse takes {fuse / medians['predict']:.3f} times predict; resampling "
                f"is {100 * medians[f'resampling, {title}'] / fuse:.1f} % of its time"
            )
        print("peak memory: " + ", ".join(f"{t} {peak:.0f} MiB" for t, peak in peaks.items()))


if __name__ == "__main__":
    main()
