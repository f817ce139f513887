"""What a series costs: the default network with and without one, in both engines.

    python benchmarks/bench_series.py [--side 1408] [--dates 1 12 30] [--runs 7]

The graphs of an interior tile of `--side` pixels; the series has ten bands on cells of 4 × 4
pixels, three of ten of them masked. Weights are random, which costs what trained ones do. The dates
are pooled first, as `lcmap fuse` does: some thousand cells at a time. Printed are multiplications
for a pixel, then processor seconds in one thread, as medians of runs that take turns, and the
median of their ratios to the network of the image alone; last the memory that onnxruntime takes for
a run, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime

from lcmap.graph.halo import INTERIOR
from lcmap.graph.outputs import of_size
from lcmap.graph.padding import find_halo, graph_for
from lcmap.graph.series import split_series
from lcmap.inference.pooled_series import strips
from lcmap.model_file.graph import input_tensors

BANDS, LEVEL = 10, 2
IMAGE, REST, POOLING = "image alone", "with features of dates", "pooling of dates"


class Network(NamedTuple):
    """A graph, the sizes of its inputs by name, and how often it runs for a tile."""

    graph: bytes
    sizes: dict[str, tuple[int, ...]]
    times: int = 1


def exported(side: int, dates: int) -> dict[str, tuple[onnx.ModelProto, float]]:
    """Return the default network of an image alone, and with a series.

    With each come its multiplications for so many dates and a pixel of the image.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from lcmap.network import LandCoverNetwork
    from lcmap.training.export import to_onnx
    from lcmap.training.recipe import DEFAULT

    cells = side >> LEVEL
    series = replace(DEFAULT.architecture, levels=(0, LEVEL), series=(1,))
    examples = [
        torch.zeros(1, 4, side, side), torch.zeros(dates, BANDS, cells, cells),
        torch.ones(dates, 1, cells, cells), torch.ones(dates, 1, 1, 1),
    ]  # fmt: skip
    found = {}
    for title, architecture, channels in (
        (IMAGE, DEFAULT.architecture, [4]), (REST, series, [4, BANDS]),
    ):  # fmt: skip
        network = LandCoverNetwork(channels, 7, architecture).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(*examples[: 1 if len(channels) == 1 else None])
        names = ["image", "series"][: len(channels)]
        model = onnx.load_model_from_string(to_onnx(network, names))
        found[title] = model, counter.get_total_flops() / 2 / side**2
    return found


def networks(found: dict[str, Any], side: int, dates: int) -> dict[str, Network]:
    """Return what computes a tile of so many pixels, of the image alone and with so many dates."""
    from lcmap.network import stride
    from lcmap.training.recipe import DEFAULT

    step = stride(DEFAULT.architecture)
    result = {}
    rest, poolings = split_series(found[REST][0], ["series"])
    for title, model, levels in ((IMAGE, found[IMAGE][0], (0,)), (REST, rest, (0, LEVEL))):
        halo = find_halo(model, step, levels)
        whole = side // step * step
        pixels = whole + halo.after.residue - halo.before.residue
        sizes: dict[str, tuple[int, ...]] = {"image": (1, 4, pixels, pixels)}
        if halo.taken:
            features, taken = poolings["series"].features, halo.taken[1]
            cells = (whole >> LEVEL) + taken.after - taken.before
            sizes["series"] = 1, features, cells, cells
        graph = graph_for(model, step, INTERIOR, halo)
        result[title] = Network(graph.SerializeToString(), sizes)
    parts = list(strips(cells, cells, dates))
    at_once = parts[0].rows * cells
    names = input_tensors("series", is_series=True)
    shapes = (dates, BANDS, 1, at_once), (dates, 1, 1, at_once), (dates, 1, 1, 1)
    of_names = dict(zip(names, shapes, strict=True))
    graph = of_size(
        poolings["series"].graph, 1, at_once, {n: (s[0], *s[2:]) for n, s in of_names.items()}
    )
    times = sum(len(part.starts) for part in parts)
    result[POOLING] = Network(graph.SerializeToString(), of_names, times)
    return result


def inputs_of(sizes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return values for the inputs of a graph."""
    random = np.random.default_rng(0)
    values = {name: random.random(size, np.float32) for name, size in sizes.items()}
    valid, days = input_tensors("series", is_series=True)[1:]
    if valid in values:
        values[valid] = (values[valid] < 0.7).astype(np.float32)
        values[days] *= 365
    return values


def onnxruntime_run(graph: bytes, given: dict[str, Any]) -> Callable[[], object]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(graph, options)
    return lambda: session.run(None, given)


def openvino_run(graph: bytes, given: dict[str, Any]) -> Callable[[], object]:
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    core = openvino.Core()
    request = core.compile_model(core.read_model(graph), "CPU", settings).create_infer_request()
    return lambda: request.infer(given, share_inputs=True)


def seconds_of(run: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF)
    run()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def memory_of_a_run(path: Path, sizes: dict[str, tuple[int, ...]]) -> float:
    """Return MiB that a first run takes beyond its inputs, in this process."""
    run = onnxruntime_run(path.read_bytes(), inputs_of(sizes))
    held = memory("VmRSS")
    run()
    return memory("VmHWM") - held


def memory(field: str) -> float:
    """Return MiB of this process: what it holds (VmRSS), or its peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(kilobytes) / 1024


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        path, sizes = sys.argv[2:]
        print(memory_of_a_run(Path(path), json.loads(sizes)))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=1408)
    parser.add_argument("--dates", type=int, nargs="+", default=[1, 12, 30])
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    found = exported(arguments.side, 12)
    for title, (_, multiplications) in found.items():
        print(f"{title}: {multiplications:.0f} multiplications a pixel, 12 dates")
    for dates in arguments.dates:
        made = networks(found, arguments.side, dates)
        runs = {}
        for title, network in made.items():
            given = inputs_of(network.sizes)
            for engine, make in (("onnxruntime", onnxruntime_run), ("OpenVINO", openvino_run)):
                runs[engine, title] = make(network.graph, given)
        seconds: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
        for _ in range(arguments.runs + 1):
            for (engine, title), run in runs.items():
                each = [seconds_of(run) for _ in range(made[title].times)]
                seconds[engine, title].append(sum(each))
        for (engine, title), each in seconds.items():
            first = seconds[engine, IMAGE]
            ratio = statistics.median(a / b for a, b in zip(each[1:], first[1:], strict=True))
            print(f"{dates} dates, {engine}, {title}: {1000 * statistics.median(each[1:]):.0f} ms, "
                  f"{ratio:.2f} times {IMAGE}", flush=True)  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            for title, network in made.items():
                path = Path(folder) / "graph.onnx"
                path.write_bytes(network.graph)
                words = [sys.executable, __file__, "--one", str(path), json.dumps(network.sizes)]
                output = subprocess.run(words, check=True, capture_output=True, text=True).stdout
                print(f"{dates} dates, {title}: {float(output):.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
