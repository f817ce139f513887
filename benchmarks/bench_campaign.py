"""What a campaign of hundreds of overlapping scenes costs beside one image of the same ground.

    python benchmarks/bench_campaign.py MODEL.onnx [--scenes 225] [--side 256] [--most-files 256]

The scenes are cut from the real zones beside the project (LCMAP_DATA, else ../shared/data), laid
side by side; each shares a quarter of its side with the next, has a gain of its own, and carries
its quantiles. Printed are time, processor time and peak memory of `lcmap predict`, which may have
so few files open at a time; of its start alone too, which is a shard without tiles.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from bench_predict import write_mosaic
from timed_command import timed

from lcmap.raster.quantile_tags import write_quantiles
from lcmap.raster.quantiles import band_quantiles


def write_scenes(image: Path, folder: Path, count: int, side: int) -> None:
    """Cut an image into scenes, row by row, each with its quantiles in its tags."""
    folder.mkdir()
    step, across = 3 * side // 4, math.ceil(math.sqrt(count))
    rng = np.random.default_rng(0)
    with rasterio.open(image) as whole:
        for number in range(count):
            row, col = (step * place for place in divmod(number, across))
            window = rasterio.windows.Window(col, row, side, side)
            pixels = np.clip(whole.read(window=window) * rng.uniform(0.7, 1.1), 1, 255)
            profile = {
                "driver": "GTiff", "count": whole.count, "dtype": "uint8", "crs": whole.crs,
                "transform": whole.window_transform(window), "height": side, "width": side,
                "tiled": True, "compress": "deflate", "photometric": "MINISBLACK", "alpha": "NO",
            }  # fmt: skip
            path = folder / f"{number:04}.tif"
            with rasterio.open(path, "w", **profile) as scene:
                scene.write(pixels.astype("uint8"))
                scene.descriptions = whole.descriptions
            quantiles = band_quantiles(path)
            with rasterio.open(path, "r+") as scene:
                write_quantiles(scene, quantiles)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--scenes", type=int, default=225)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--most-files", type=int, default=256)
    parser.add_argument("--start", action="store_true", help="the start alone")
    parser.add_argument("--prefer", choices=["order", "confidence"], default="order")
    parser.add_argument("--tile", type=int)
    arguments = parser.parse_args()
    across = math.ceil(math.sqrt(arguments.scenes))
    with tempfile.TemporaryDirectory() as name:
        image, scenes = Path(name) / "image.tif", Path(name) / "scenes"
        size = 3 * arguments.side // 4 * (across - 1) + arguments.side
        write_mosaic(image, size)
        write_scenes(image, scenes, arguments.scenes, arguments.side)
        tile = ["--tile", arguments.tile] if arguments.tile else []
        print(
            f"{size} × {size} px, {arguments.scenes} scenes of {arguments.side} × {arguments.side}"
        )
        for part in ["start"] if arguments.start else ["start", "map"]:
            for number, given in enumerate((image, scenes)):
                output = Path(name) / f"{part}{number}.tif"
                more = ["--shard", "1/500"] if part == "start" else []
                if given is scenes:
                    more += ["--prefer", arguments.prefer]
                run = timed("predict", given, "-m", arguments.model, "-o", output, *tile, *more,
                            "--quiet", most_files=arguments.most_files)  # fmt: skip
                print(
                    f"{part}, {given.stem}: {run.seconds:.2f} s, {run.processor:.2f} s of "
                    f"processor time, peak {run.peak:.0f} MiB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
