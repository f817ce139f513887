"""A model in float32, int8 and bfloat16: accuracy on the test tiles, and speed, in both engines.

    python benchmarks/compare_precision.py MODEL.onnx [--zones 0 1 2 4 5] [--side 864] \
        [--rounds 5] [--threads N] [--imitate]

MODEL is a float32 model of flair7 for the FLAIR zones at 0.8 m beside the project (LCMAP_DATA,
else ../shared/data), split `blocks` with seed 0. It is brought to int8 as `lcmap train
--quantize-only` does, on the training tiles, and as `lcmap predict --precision int8` does, on each
image; `lcmap score` counts the pixels of the test tiles, and draws blocks of them for the intervals
of the differences to float32. The speed is that of the bare sessions on the graph of an interior
tile, in turns, by onnxruntime and, where it is installed, by OpenVINO. On a processor without
bfloat16, `--imitate` lets OpenVINO imitate it for the maps; its speed then says nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import rasterio
from bench_engines import in_turns, interior_tile, print_times
from compare_unet_resnet34 import FLAIR, prepare_zones

from lcmap.accuracy.options import ClassOptions, ReportOptions, SplitOptions
from lcmap.accuracy.report import MapScore
from lcmap.accuracy.score import score
from lcmap.engines import choice
from lcmap.engines.compute import Compute
from lcmap.engines.onnxruntime import OnnxRuntimeSession
from lcmap.engines.openvino import OpenVinoSession, is_importable
from lcmap.errors import UnavailableError
from lcmap.inference.options import MapOutputs
from lcmap.inference.predict import predict
from lcmap.raster.threads import available_threads
from lcmap.training.int8_model import quantise_model
from lcmap.training.options import Int8Options

FLOAT32, INT8, BY_IMAGE, BFLOAT16 = "float32", "int8", "int8, by image", "bfloat16"
ENGINES = {"onnxruntime": OnnxRuntimeSession, "openvino": OpenVinoSession}


def variants() -> dict[str, tuple[str, Compute]]:
    """Return what is mapped: the arithmetic, and how it is computed."""
    found = {}
    for engine in ENGINES if is_importable() else ["onnxruntime"]:
        found[f"{FLOAT32}, {engine}"] = FLOAT32, Compute(engine=engine)
        found[f"{INT8}, {engine}"] = INT8, Compute(engine=engine)
    found[BY_IMAGE] = BY_IMAGE, Compute(precision="int8")
    try:
        choice.check_bfloat16()
        found[BFLOAT16] = BFLOAT16, Compute(precision="bfloat16")
    except UnavailableError as error:
        print(error)
    return found


def compare_accuracy(model: Path, int8: Path, zones: list[int], folder: Path) -> None:
    """Write the int8 model; map the zones and score the maps."""
    indexes = prepare_zones(zones, folder)
    print(quantise_model(indexes, model, int8, Int8Options(max_loss=100)).text)
    mapped = variants()
    for name, (arithmetic, compute) in mapped.items():
        (folder / name).mkdir()
        for zone in zones:
            predict(
                [folder / f"zone{zone}.stack.tif"],
                int8 if arithmetic == INT8 else model,
                MapOutputs(folder / name / f"zone{zone}.tif"),
                compute,
            )
            print(f"{name}: zone {zone} mapped", file=sys.stderr, flush=True)
    report = score(
        [folder / name for name in mapped],
        [FLAIR / f"zone{zone}_0.8m_labels.tif" for zone in zones],
        classes=ClassOptions(reference_crosswalk="flair19:flair7"),
        split=SplitOptions(tuple(indexes), "test"),
        outputs=ReportOptions(names=tuple(mapped)),
    )
    first = next(iter(mapped))
    print(f"{'test tiles':22} {'mIoU':>6} {'OA':>6}  mapped as the first, of all pixels")
    for name, item in zip(mapped, report.maps, strict=True):
        alike = [
            np.mean(read(folder / name / f"zone{zone}.tif")
                    == read(folder / first / f"zone{zone}.tif"))
            for zone in zones
        ]  # fmt: skip
        miou, oa = 100 * item.scores.overall[:2]
        print(f"{name:22} {miou:6.2f} {oa:6.2f}  {100 * np.mean(alike):.2f} %{differences(item)}")


def differences(item: MapScore) -> str:
    """Return the differences of mIoU and OA to the first map, with their intervals."""
    if item.differences is None or item.difference_interval is None:
        return ""
    ends = (100 * end.overall[:2] for end in item.difference_interval)
    rows = zip(("mIoU", "OA"), 100 * item.differences.overall[:2], *ends, strict=True)
    return "".join(
        f", {name} {by:+.2f} ({low:+.2f} to {high:+.2f})" for name, by, low, high in rows
    )


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def compare_speed(model: Path, int8: Path, *, side: int, rounds: int, threads: int | None) -> None:
    """Time the interior tile's graph of both models."""
    runs = {}
    for name, path in ((FLOAT32, model), (INT8, int8)):
        graph, inputs = interior_tile(path, side)
        for engine, load in ENGINES.items():
            if engine == "onnxruntime" or is_importable():
                runs[f"{name}, {engine}"] = partial(load(graph, threads=threads).run, inputs)
    pixels = next(iter(inputs.values()))[0, 0].size
    print(f"a tile of {pixels} px, {threads or available_threads()} threads:")
    print_times(in_turns(runs, rounds), pixels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--zones", type=int, nargs="+", default=[0, 1, 2, 4, 5])
    parser.add_argument("--side", type=int, default=864)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--imitate", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        int8 = Path(name) / "model.int8.onnx"
        checked = None if arguments.imitate else choice.check_bfloat16
        with patch.object(choice, "check_bfloat16", checked or (lambda: None)):
            compare_accuracy(arguments.model, int8, arguments.zones, Path(name))
        compare_speed(
            arguments.model, int8, side=arguments.side, rounds=arguments.rounds,
            threads=arguments.threads,
        )  # fmt: skip


if __name__ == "__main__":
    main()
