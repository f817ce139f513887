"""Speed and memory of predict, beside what the same network could do and what others do with it.

    python benchmarks/bench_predict.py MODEL.onnx [--size 8192] [--rounds 3] [--verify]
    python benchmarks/bench_predict.py MODEL.onnx --sizes 4096 8192 16384 32768
    python benchmarks/bench_predict.py MODEL.onnx --engines [--int8 MODEL.int8.onnx] [--size 8192]
    python benchmarks/bench_predict.py MODEL.onnx --pipeline [--size 4096]
    python benchmarks/bench_predict.py MODEL.onnx --tiles 256 512 1024 1536 2048 3072

All but the third take [--engine NAME] and [--precision NAME], as predict does.

The image is a mosaic of the real zones beside the project (LCMAP_DATA, else ../shared/data),
repeated to SIZE × SIZE pixels. Useful pixels per second are compared, those of the map: of

- `lcmap predict`, from the image file to the compressed, tiled map with colours and overviews, as a
  process of its own, whose peak resident memory is the kernel's;
- the bare session of its interior tiles, of its first tile where it has none, on pixels in memory;
- tiles of several sizes through the graph of the model file, mirror-padded, as any onnxruntime
  program would run them, with the same halo and with the winning class taken in numpy;
- PyTorch, eager, in batches on all cores, on windows of 256 px that overlap by half and are blended
  by a weight that falls towards their edges, as TorchGeo, TerraTorch and geoai do;
- the operations of the network's convolutions at the speed of float32 matrix multiplication, which
  is what the processor could do at most without another algorithm.

A round takes all of them in turn; printed are the medians of the rounds, and of the ratios in each.
With --sizes only predict runs, on images of these sizes, for the cost of a pixel and the memory;
with --engines predict by each engine and in each arithmetic that this machine has, from file to
file, beside the bare session of its interior tiles, and for an image of 256 px, its start-up;
with --pipeline the processor time of all that predict does beside the network, in this process and
with its imports done, by an engine that maps patches of 12 px at once;
with --tiles only the bare session, on interior tiles that keep so many pixels along each axis.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, get_args
from unittest.mock import patch

import numpy as np
import onnxruntime
import rasterio
import torch
from affine import Affine
from timed_command import timed
from torch.utils.flop_counter import FlopCounterMode

import lcmap.inference.predict as library
from lcmap import defaults
from lcmap.dataset.encoding import scaling_of
from lcmap.engines.choice import Engine, choose_engine
from lcmap.engines.compute import Arithmetic, Compute, EngineName
from lcmap.engines.openvino import check_bfloat16, is_importable
from lcmap.errors import UnavailableError
from lcmap.graph.halo import INTERIOR
from lcmap.inference.options import MapOutputs
from lcmap.inference.source import TilePixels
from lcmap.inference.tile_predictor import TilePredictor
from lcmap.inference.tiling import Tile
from lcmap.model_file import ModelMetadata, load_graph, read_model
from lcmap.raster.quantile_tags import write_quantiles
from lcmap.raster.quantiles import band_quantiles
from lcmap.raster.threads import available_threads
from lcmap.raster.windows import iter_blocks
from lcmap.training.initialisation import load_network

PROJECT = Path(__file__).resolve().parent.parent
PADDED_TILES = (512, 768, 1024, 1536)
START_UP_SIDE = 256
WINDOW, BATCH = 256, 8
MATRIX, PRODUCTS = 2048, 8


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
    """Lay the zones side by side in columns, repeated, and write size × size pixels of it.

    It carries its quantiles, as an image that lcmap prepare made does.
    """
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
    quantiles = band_quantiles(path)
    with rasterio.open(path, "r+") as dataset:
        write_quantiles(dataset, quantiles)


def random_pixels(metadata: ModelMetadata, height: int, width: int) -> list[np.ndarray]:
    """Return noise for each input of a model, float32 [C, height, width]."""
    random = np.random.default_rng(0)
    return [random.random((item.channels, height, width), np.float32) for item in metadata.inputs]


class Way(NamedTuple):
    """How predict computes: a model file, an engine, an arithmetic."""

    model: Path
    engine: EngineName = "auto"
    arithmetic: Arithmetic = "float32"

    @property
    def options(self) -> tuple[str, ...]:
        """What predict is told of it."""
        return ("--engine", self.engine, "--precision", self.arithmetic)

    def chosen(self) -> Engine:
        """Return the engine that predict takes."""
        return choose_engine(Compute(engine=self.engine), self.arithmetic, self.model)


class InteriorTile:
    """The bare session of predict's interior tiles, of its first tile where it has none."""

    def __init__(self, way: Way, size: int, block: int | None = None) -> None:
        """Take the way, the size of the image that it is cut for, and the tiles' size."""
        self._way = way
        self._metadata = read_model(way.model)
        self._scalings = [
            scaling_of(item.dtype, np.tile([0.0, 127.0], (item.channels, 1)))
            for item in self._metadata.inputs
        ]
        predictor = self._predictor()
        block = block or predictor.block_for(size, size, defaults.MEMORY)
        self.tiles = predictor.tiles(size, size, block)
        # where an image has no interior tile, its first one
        interior = [tile for tile in self.tiles if tile.border == INTERIOR]
        self.tile: Tile = (interior or self.tiles)[0]
        sizes = [self.tile.cells_of(n)[2:] for n in range(len(self._metadata.inputs))]
        random = np.random.default_rng(0)
        pixels: list[np.ndarray] = []
        for item, size, scaling in zip(self._metadata.inputs, sizes, self._scalings, strict=True):
            if scaling is None:
                pixels.append(random.random((item.channels, *size), np.float32))
            else:
                pixels.append(random.integers(0, 128, (item.channels, *size)).astype(item.dtype))
                pixels.append(np.ones((1, *size), np.uint8))
        self._pixels = TilePixels(tuple(pixels), np.ones(self.tile.output_window[2:], bool))

    @property
    def kept(self) -> int:
        """The pixels that are kept of a tile."""
        return self.tile.output_window.pixels

    @property
    def shape(self) -> str:
        """What is kept and what is seen, in words."""
        (*_, height, width), (*_, rows, columns) = self.tile.output_window, self.tile.input_window
        return f"{height} x {width} px that see {rows} x {columns}"

    def _predictor(self) -> TilePredictor:
        return TilePredictor(
            load_graph(self._way.model), self._metadata, ("winner",), self._way.chosen(),
            encodings=self._scalings,
        )  # fmt: skip

    def measure(self, tiles: int = 4) -> float:
        """Return the useful pixels per second."""
        predictor = self._predictor()
        ready = predictor.ready(self.tile, self._pixels)
        predictor.predict(ready)
        start = time.perf_counter()
        for _ in range(tiles):
            predictor.predict(ready)
        seconds = time.perf_counter() - start
        return tiles * self.kept / seconds


def padded(model: Path, block: int) -> float:
    """Return the useful pixels per second of mirror-padded tiles that keep block × block pixels."""
    metadata = read_model(model)
    halo = -(-metadata.receptive_field // metadata.stride) * metadata.stride
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    graph = load_graph(model).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    pixels = random_pixels(metadata, block + 2 * halo, block + 2 * halo)
    feed = {i.name: x[None] for i, x in zip(metadata.inputs, pixels, strict=True)}
    tiles = max(2, 1024**2 // block**2)
    session.run(None, feed)
    start = time.perf_counter()
    for _ in range(tiles):
        (probabilities,) = session.run(None, feed)
        probabilities[0, :, halo:-halo, halo:-halo].argmax(axis=0).astype(np.uint8)
    return tiles * block**2 / (time.perf_counter() - start)


def operations_per_pixel(model: Path) -> float:
    """Return the floating-point operations of a network's convolutions for a pixel of an image."""
    images = random_pixels(read_model(model), WINDOW, WINDOW)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        load_network(model).eval()(*(torch.from_numpy(image)[None] for image in images))
    return counter.get_total_flops() / WINDOW**2


def matrix_multiplication(operations: float) -> float:
    """Return the pixels per second that take so many operations each, as a matrix product does."""
    torch.set_num_threads(available_threads())
    factor = torch.rand(MATRIX, MATRIX)
    torch.mm(factor, factor)
    start = time.perf_counter()
    for _ in range(PRODUCTS):
        torch.mm(factor, factor)
    return PRODUCTS * 2 * MATRIX**3 / (time.perf_counter() - start) / operations


class BlendedWindows:
    """PyTorch on overlapping windows whose probabilities are blended."""

    def __init__(self, model: Path) -> None:
        """Take the weights of a model file."""
        metadata = read_model(model)
        self._network = load_network(model).eval().to(memory_format=torch.channels_last)
        (self._image,) = random_pixels(metadata, 1024, 1024)
        ramp = np.minimum(np.arange(WINDOW) + 1, WINDOW - np.arange(WINDOW)) / (WINDOW / 2)
        self._weight = np.outer(ramp, ramp).astype(np.float32)
        torch.set_num_threads(available_threads())

    def measure(self) -> float:
        """Return the useful pixels per second of an image of 1024 × 1024 px."""
        _, height, width = self._image.shape
        start = time.perf_counter()
        total = np.zeros((len(self._network.classifier.weight), height, width), np.float32)
        origins = [(r, c) for r in range(0, height - WINDOW + 1, WINDOW // 2)
                   for c in range(0, width - WINDOW + 1, WINDOW // 2)]  # fmt: skip
        for first in range(0, len(origins), BATCH):
            batch = origins[first : first + BATCH]
            windows = [self._image[:, r : r + WINDOW, c : c + WINDOW] for r, c in batch]
            images = torch.from_numpy(np.stack(windows)).to(memory_format=torch.channels_last)
            with torch.inference_mode():
                probabilities = torch.softmax(self._network(images), dim=1).numpy()
            for (r, c), found in zip(batch, probabilities, strict=True):
                total[:, r : r + WINDOW, c : c + WINDOW] += found * self._weight
        total.argmax(axis=0)
        return height * width / (time.perf_counter() - start)


def predict(image: Path, output: Path, way: Way, *options: str) -> tuple[float, float, str]:
    """Return useful pixels per second of the command, its peak memory in MiB, what it said."""
    with rasterio.open(image) as dataset:
        pixels = dataset.height * dataset.width
    command = ("predict", image, "-m", way.model, "-o", output, "--overwrite", *way.options)
    run = timed(*command, *options)
    return pixels / run.seconds, run.peak, run.stderr


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    model, size = arguments.model, arguments.size
    image, output = folder / "image.tif", folder / "map.tif"
    write_mosaic(image, size)
    way = Way(model, arguments.engine, arguments.precision)
    interior = InteriorTile(way, size)
    blended = BlendedWindows(model)
    contenders: dict[str, Callable[[], float]] = {"interior session": interior.measure}
    for block in PADDED_TILES:
        contenders[f"mirror-padded tiles of {block}"] = partial(padded, model, block)
    contenders["PyTorch, blended windows"] = blended.measure
    contenders["matrix multiplication"] = partial(
        matrix_multiplication, operations_per_pixel(model)
    )
    peaks: list[float] = []

    def end_to_end() -> float:
        speed, peak, _ = predict(image, output, way)
        peaks.append(peak)
        return speed

    # predict first and in the middle of the others by turns: what is compared most lies close
    contenders = {"lcmap predict": end_to_end, **contenders}
    found: dict[str, list[float]] = {name: [] for name in contenders}
    print(f"{size} x {size} px, tiles of {interior.shape}, {available_threads()} threads")
    for number in range(arguments.rounds):
        for name, measure in contenders.items():
            found[name].append(measure())
        shown = [f"{name} {each[-1] / 1e6:.3f}" for name, each in found.items()]
        print(f"round {number + 1}: {', '.join(shown)}", flush=True)
    print("median of useful Mpx/s; predict's as a multiple of it, median of the rounds' ratios")
    for name, each in found.items():
        ratios = [ours / theirs for ours, theirs in zip(found["lcmap predict"], each, strict=True)]
        print(f"{name:32} {statistics.median(each) / 1e6:7.3f} {statistics.median(ratios):7.3f}")
    best = [max(found[f"mirror-padded tiles of {b}"][i] for b in PADDED_TILES)
            for i in range(arguments.rounds)]  # fmt: skip
    for name in ("lcmap predict", "interior session"):
        ratio = statistics.median(a / b for a, b in zip(found[name], best, strict=True))
        print(f"{name}: {ratio:.3f} times the fastest mirror-padded tiles of its round")
    print(f"peak memory of predict {max(peaks):.0f} MiB")
    if arguments.verify:
        speed, peak, said = predict(image, output, way, "--verify")
        print(f"--verify: {speed / 1e6:.3f} Mpx/s, peak {peak:.0f} MiB")
        print(*re.findall("verified: .*", said))


def scale(arguments: argparse.Namespace, folder: Path) -> None:
    image, output = folder / "image.tif", folder / "map.tif"
    way = Way(arguments.model, arguments.engine, arguments.precision)
    costs: dict[int, list[float]] = {size: [] for size in arguments.sizes}
    peaks = dict.fromkeys(arguments.sizes, 0.0)
    for number in range(arguments.rounds):
        for size in arguments.sizes:
            write_mosaic(image, size)
            speed, peak, _ = predict(image, output, way)
            costs[size].append(1e9 / speed)
            peaks[size] = max(peaks[size], peak)
        shown = [f"{size}: {each[-1]:.1f} ns/px" for size, each in costs.items()]
        print(f"round {number + 1}: {', '.join(shown)}", flush=True)
    for size, each in costs.items():
        cost = statistics.median(each)
        print(f"{size:6} x {size:6} px: {cost:8.1f} ns/px, peak {peaks[size]:.0f} MiB")


def compare_engines(arguments: argparse.Namespace, folder: Path) -> None:
    image, small, output = (folder / name for name in ("image.tif", "small.tif", "map.tif"))
    write_mosaic(image, arguments.size)
    write_mosaic(small, START_UP_SIDE)
    found: dict[str, list[Figures]] = {}
    sessions = {name: InteriorTile(way, arguments.size) for name, way in ways(arguments).items()}
    for number in range(arguments.rounds):
        for name, way in ways(arguments).items():
            speed, peak, _ = predict(image, output, way)
            bare = sessions[name].measure()
            start_up = START_UP_SIDE**2 / predict(small, output, way)[0]
            found.setdefault(name, []).append(Figures(speed, bare, start_up, peak))
        shown = [f"{name} {each[-1].speed / 1e6:.3f}" for name, each in found.items()]
        print(f"round {number + 1}: {', '.join(shown)}", flush=True)
    first = next(iter(found))
    print(f"{arguments.size} x {arguments.size} px, {available_threads()} threads: useful Mpx/s, "
          f"as a multiple of {first}, of its bare session, seconds of start-up, MiB")  # fmt: skip
    for name, each in found.items():
        ratio = statistics.median(
            ours.speed / theirs.speed for ours, theirs in zip(each, found[first], strict=True)
        )
        of_bare = statistics.median(one.speed / one.bare for one in each)
        speed, _, start_up, _ = (statistics.median(values) for values in zip(*each, strict=True))
        peak = max(one.peak for one in each)
        print(f"{name:24} {speed / 1e6:7.3f} {ratio:6.3f} {of_bare:6.3f} {start_up:6.2f} "
              f"{peak:6.0f}")  # fmt: skip


class Figures(NamedTuple):
    """Of a run of predict: useful pixels per second, those of the bare session, seconds of a
    start, and peak memory in MiB."""

    speed: float
    bare: float
    start_up: float
    peak: float


def ways(arguments: argparse.Namespace) -> dict[str, Way]:
    """Return the engines and arithmetics that this machine has, by a name for each."""
    engines: list[EngineName] = ["onnxruntime"]
    if is_importable():
        engines.append("openvino")
    found = {f"{engine} float32": Way(arguments.model, engine) for engine in engines}
    if arguments.int8:
        found |= {f"{engine} int8": Way(arguments.int8, engine, "int8") for engine in engines}
    with suppress(UnavailableError):
        check_bfloat16()
        found["openvino bfloat16"] = Way(arguments.model, "openvino", "bfloat16")
    return found


class Patches:
    """A graph that is loaded and computed at once: classes in patches, whatever the pixels."""

    def __init__(self, graph: bytes, *_: object) -> None:
        """Take a graph, of which nothing is used."""
        self._classes: dict[tuple[int, ...], np.ndarray] = {}

    def run(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Return a class index for each pixel, uint8 [1, H, W]."""
        size = next(iter(inputs.values())).shape[2:]
        if size not in self._classes:
            height, width = (-(-side // 12) for side in size)
            found = np.random.default_rng(0).integers(0, 7, (height, width)).astype(np.uint8)
            self._classes[size] = found.repeat(12, axis=0).repeat(12, axis=1)
        return [self._classes[size][None, : size[0], : size[1]]]


def time_pipeline(arguments: argparse.Namespace, folder: Path) -> None:
    image, outputs = folder / "image.tif", MapOutputs(folder / "map.tif", overwrite=True)
    write_mosaic(image, arguments.size)
    spent = []
    with patch.object(library, "choose_engine", lambda *_: Engine("patches", Patches, Patches)):
        for _ in range(arguments.rounds):
            start = time.process_time()
            library.predict([image], arguments.model, outputs)
            spent.append(time.process_time() - start)
    shown = ", ".join(f"{seconds:.2f}" for seconds in spent)
    print(f"{arguments.size} x {arguments.size} px: {statistics.median(spent):.2f} s of processor "
          f"time beside the network ({shown})")  # fmt: skip


def compare_tiles(arguments: argparse.Namespace) -> None:
    way = Way(arguments.model, arguments.engine, arguments.precision)
    by_block = {
        block: InteriorTile(way, arguments.size, block) for block in (None, *arguments.tiles)
    }
    speeds: dict[int | None, list[float]] = {block: [] for block in by_block}
    for number in range(arguments.rounds):
        for block, tile in by_block.items():
            speeds[block].append(tile.measure(max(2, 1024**2 // tile.kept)))
        shown = [f"{block or 'chosen'}: {each[-1] / 1e6:.3f}" for block, each in speeds.items()]
        print(f"round {number + 1}: {', '.join(shown)}", flush=True)
    print("useful Mpx/s, as a multiple of the chosen tile's, pixels kept and seen")
    for block, tile in by_block.items():
        each = speeds[block]
        ratio = statistics.median(a / b for a, b in zip(each, speeds[None], strict=True))
        print(f"{statistics.median(each) / 1e6:7.3f} {ratio:6.3f}  {tile.shape}"
              f"{'' if block else ', chosen'}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--size", type=int, default=8192)
    parser.add_argument("--sizes", type=int, nargs="+")
    parser.add_argument("--tiles", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--int8", type=Path)
    parser.add_argument("--engines", action="store_true")
    parser.add_argument("--pipeline", action="store_true")
    parser.add_argument("--engine", choices=get_args(EngineName), default="auto")
    parser.add_argument("--precision", choices=get_args(Arithmetic), default="float32")
    parser.add_argument("--verify", action="store_true", help="verify in a further run")
    arguments = parser.parse_args()
    if arguments.tiles:
        compare_tiles(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        if arguments.engines:
            compare_engines(arguments, Path(folder))
        elif arguments.pipeline:
            time_pipeline(arguments, Path(folder))
        else:
            (scale if arguments.sizes else compare)(arguments, Path(folder))


if __name__ == "__main__":
    main()
