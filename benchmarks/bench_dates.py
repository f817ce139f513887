"""What a series of dates costs: fuse beside predict, by the number of dates.

    python benchmarks/bench_dates.py [--size 2304] [--dates 12 30] [--runs 2] [--memory MB]
        [--level 3] [--crs EPSG:2154]

The image is the mosaic of bench_predict, at 0.8 m; each date has ten bands of 10 m, made of noise,
a third of it clouds, on another grid of the same CRS or of another (`--crs`). The networks are
those of the default recipe with random weights, which cost what trained ones do; the series is on
the level that `prepare` chooses, 3 here, or on another (`--level`). `predict` and each `fuse` take
turns. Printed are the medians, over the runs, of how many times the processor seconds, and the
seconds, of `predict` each `fuse` takes, and the largest peak of memory of each.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine
from bench_fuse import IMAGE, S2
from bench_predict import write_mosaic
from rasterio.warp import transform
from timed_command import timed

from lcmap.model_file import ModelInput, ModelMetadata, write_model
from lcmap.network import LandCoverNetwork, receptive_field, stride
from lcmap.nomenclature import load_nomenclature
from lcmap.training.export import to_onnx
from lcmap.training.recipe import DEFAULT

SERIES = ModelInput(
    "side1", "series", S2, "int16", 10.0, ((0.0, 4000.0),) * len(S2), "training-quantiles-2-98"
)
NODATA = -10_000
CLOUDED = 0.33


def write_network(path: Path, inputs: list[ModelInput]) -> None:
    """Write a model of the default recipe's size that takes these inputs."""
    torch.manual_seed(0)
    architecture = replace(
        DEFAULT.architecture,
        levels=tuple(item.level for item in inputs),
        series=tuple(n for n, item in enumerate(inputs) if item.kind == "series"),
    )
    network = LandCoverNetwork([item.channels for item in inputs], 7, architecture).eval()
    metadata = ModelMetadata(
        load_nomenclature("flair7"), tuple(inputs), stride(architecture),
        receptive_field(architecture),
    )  # fmt: skip
    write_model(to_onnx(network, [item.name for item in inputs]), metadata, path)


def write_dates(folder: Path, count: int, size: int, crs: str) -> Path:
    """Write so many dates that cover the mosaic of so many pixels; return their folder."""
    folder.mkdir()
    (west,), (north,) = transform("EPSG:2154", crs, [700_000 - 303], [6_300_000 + 303])
    pixels = round(size * 0.8 / 10) + 80
    random = np.random.default_rng(0)
    for number in range(count):
        day = date(2018, 1, 5) + timedelta(days=round(360 * number / count))
        values = random.integers(0, 4000, (len(S2), pixels, pixels)).astype(np.int16)
        blocks = random.random((pixels // 20 + 1,) * 2) < CLOUDED
        clouds = blocks.repeat(20, axis=0).repeat(20, axis=1)[:pixels, :pixels]
        values[:, clouds] = NODATA
        with rasterio.open(
            folder / f"s2_{day:%Y%m%d}.tif", "w", driver="GTiff", count=len(S2), dtype="int16",
            height=pixels, width=pixels, crs=crs, nodata=NODATA, tiled=True,
            compress="deflate",
            transform=Affine(10, 0, west, 0, -10, north),
        ) as dataset:  # fmt: skip
            dataset.write(values)
            for band, name in enumerate(S2, 1):
                dataset.set_band_description(band, name)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=2304)
    parser.add_argument("--dates", type=int, nargs="+", default=[12, 30])
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--crs", default="EPSG:2154")
    parser.add_argument("--memory", type=int, help="MB, of --memory; its default otherwise")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image, one, both = folder / "image.tif", folder / "one.onnx", folder / "both.onnx"
        write_network(one, [IMAGE])
        write_network(both, [IMAGE, replace(SERIES, level=arguments.level)])
        write_mosaic(image, arguments.size)
        series = {
            dates: write_dates(folder / str(dates), dates, arguments.size, arguments.crs)
            for dates in arguments.dates
        }
        options = ["-o", folder / "map.tif", "--overwrite"]
        options += ["--memory", arguments.memory] if arguments.memory else []
        ratios: dict[int, list[tuple[float, float]]] = {dates: [] for dates in series}
        peaks = dict.fromkeys([0, *series], 0.0)
        for _ in range(arguments.runs):
            alone = timed("predict", image, "-m", one, *options)
            peaks[0] = max(peaks[0], alone.peak)
            print(f"predict: {alone.processor:.2f} s of the processor", flush=True)
            for dates, place in series.items():
                made = timed("fuse", image, place, "-m", both, *options)
                ratios[dates].append(
                    (made.processor / alone.processor, made.seconds / alone.seconds)
                )
                peaks[dates] = max(peaks[dates], made.peak)
                print(f"  fuse, {dates} dates: {made.processor:.2f} s", flush=True)
        print(f"{arguments.size} x {arguments.size} px; predict: peak memory {peaks[0]:.0f} MiB")
        for dates, found in ratios.items():
            processor, seconds = (statistics.median(each) for each in zip(*found, strict=True))
            print(
                f"fuse, {dates} dates: {processor:.3f} times the processor's time of predict, "
                f"{seconds:.3f} times its time, peak memory {peaks[dates]:.0f} MiB"
            )


if __name__ == "__main__":
    main()
