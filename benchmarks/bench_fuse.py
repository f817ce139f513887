"""What a second sensor costs: fuse beside predict, and the share of resampling on the fly.

    python benchmarks/bench_fuse.py [--size 3072] [--tile 768] [--runs 3] [--valid 1.0]
                                    [--levels 0 2 3]

The image is the mosaic of bench_predict, at 0.8 m; the side image has ten bands of 10 m, made of
noise, on another grid of the same CRS (EPSG:2154) and on one of another (EPSG:32631). The networks
are those of the default recipe with random weights, which cost what trained ones do; that of level
k takes the side image on cells of 2^k × 2^k pixels: of 10 m, `prepare` chooses 2 beside an image of
1.5 m and 3 beside one of 0.8 m. `predict`, `fuse` and the bare sessions of their interior tiles
(seconds for a million pixels) take turns. Printed are the medians, over the runs, of how many times
the processor seconds, and the seconds, of `predict` each `fuse` takes, beside the multiplications
that each network makes for a pixel. The share of resampling is the time that reading the side
input's windows takes by itself, in one thread, over that of the run. With `--valid` below 1 only so
much of the image is data, and the network is asked about no more: for peak memory at full size.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine
from bench_predict import InteriorTile, Way, write_mosaic
from rasterio.warp import transform
from timed_command import timed
from torch.utils.flop_counter import FlopCounterMode

from lcmap.inference.inputs import open_inputs
from lcmap.inference.options import ModelInputOptions
from lcmap.inference.source import cells_inside
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
    levels = tuple(model_input.level for model_input in inputs)
    network = LandCoverNetwork(
        [model_input.channels for model_input in inputs],
        7,
        replace(DEFAULT.architecture, levels=levels if any(levels) else ()),
    ).eval()
    metadata = ModelMetadata(
        load_nomenclature("flair7"), tuple(inputs), stride(DEFAULT.architecture),
        receptive_field(DEFAULT.architecture),
    )  # fmt: skip
    write_model(to_onnx(network, [model_input.name for model_input in inputs]), metadata, path)
    side = 256
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(*(torch.zeros(1, x.channels, side >> x.level, side >> x.level) for x in inputs))
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
            reader = opened.readers[1]
            reader.read(cells_inside(tile.cells_of(1), opened.grid.shape, reader.level))
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=3072)
    parser.add_argument("--tile", type=int, default=768, help="0: what --memory allows")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--valid", type=float, default=1.0)
    parser.add_argument("--levels", type=int, nargs="+", default=[0, 2, 3])
    arguments = parser.parse_args()
    size, tile = arguments.size, arguments.tile
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image, one = folder / "image.tif", folder / "one.onnx"
        fusions = {level: folder / f"level{level}.onnx" for level in arguments.levels}
        cost = write_network(one, [IMAGE])
        costs = {
            level: write_network(path, [IMAGE, replace(SIDE, level=level)])
            for level, path in fusions.items()
        }
        write_mosaic(image, size)
        if arguments.valid < 1:
            empty_below(image, size, arguments.valid)
        sides = {title: folder / f"{number}.tif" for number, title in enumerate(CRSS)}
        for title, path in sides.items():
            write_side(path, CRSS[title], size)
        bare = {"session of predict": InteriorTile(Way(one), size, tile or None)}
        for level, path in fusions.items():
            session = InteriorTile(Way(path), size, tile or None)
            bare[f"session of fuse, level {level}"] = session
        print(f"{size} x {size} px, {available_threads()} threads")
        ratios: dict[str, list[tuple[float, ...]]] = {}
        shares: dict[str, list[float]] = {}
        peaks: dict[str, float] = {}
        options = ("-o", folder / "map.tif", "--overwrite", *(("--tile", tile) if tile else ()))
        for run in range(arguments.runs):
            alone = timed("predict", image, "-m", one, *options)
            peaks["predict"] = max(peaks.get("predict", 0.0), alone.peak)
            print(f"run {run + 1}: predict {alone.processor:.2f} s of the processor", flush=True)
            for level, model in fusions.items():
                tiles = bare[f"session of fuse, level {level}"].tiles
                for title, side in sides.items():
                    made = timed("fuse", image, side, "-m", model, *options)
                    name = f"level {level}, {title}"
                    each = made.processor / alone.processor, made.seconds / alone.seconds
                    ratios.setdefault(name, []).append(each)
                    peaks[name] = max(peaks.get(name, 0.0), made.peak)
                    share = resampling(image, side, model, tiles) / made.seconds
                    shares.setdefault(name, []).append(share)
                    print(f"  fuse, {name}: {each[0]:.3f} times", flush=True)
            seconds = {title: 1e6 / session.measure(3) for title, session in bare.items()}
            for title, value in seconds.items():
                each = (value / seconds["session of predict"],)
                ratios.setdefault(title, []).append(each)
        for level, of_level in costs.items():
            print(
                f"multiplications a pixel: predict {cost:.4f} M, fuse on level {level} "
                f"{of_level:.4f} M, {of_level / cost:.3f} times"
            )
        for name, found in ratios.items():
            of_each = [f"{statistics.median(each):.3f}" for each in zip(*found, strict=True)]
            print(f"{name}: {' and '.join(of_each)} times predict", end="")
            print(
                f", {100 * statistics.median(shares[name]):.1f} % resampling"
                if name in shares
                else ""
            )
        print("peak memory: " + ", ".join(f"{t} {peak:.0f} MiB" for t, peak in peaks.items()))


def empty_below(image: Path, size: int, share: float) -> None:
    """Make all rows but the first share of them no data."""
    with rasterio.open(image, "r+") as dataset:
        dataset.nodata = 0
        for row in range(round(size * share), size, 512):
            rows = min(512, size - row)
            empty = np.zeros((4, rows, size), np.uint8)
            dataset.write(empty, window=((row, row + rows), (0, size)))


if __name__ == "__main__":
    main()
