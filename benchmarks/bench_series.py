"""What a series costs: the default network with and without one, in both engines.

    python benchmarks/bench_series.py [--side 1408] [--dates 1 12 30] [--runs 7]

The graphs of an interior tile of `--side` pixels; the series has ten bands on cells of 4 × 4
pixels, three of ten of them masked. Weights are random, which costs what trained ones do. Printed
are multiplications for a pixel, then processor seconds in one thread, as medians of runs that take
turns, and the median of their ratios to the network of the image alone; last the memory that
onnxruntime takes for a run, each in a process of its own.
"""

from __future__ import annotations

import argparse
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

BANDS, LEVEL = 10, 2
IMAGE = "image alone"


class Network(NamedTuple):
    """The graph of an interior tile, the tile's sides in pixels and in cells, and what it costs."""

    graph: bytes
    pixels: int
    cells: int
    multiplications: float


def networks(side: int, dates: int) -> dict[str, Network]:
    """Return the default network of an image alone, with a series, and the series by itself.

    The multiplications are those for so many dates and a pixel of the image.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from lcmap.graph.halo import INTERIOR
    from lcmap.graph.padding import find_halo, graph_for
    from lcmap.network import LandCoverNetwork
    from lcmap.network.series import FEATURES, SeriesEncoder
    from lcmap.training.export import traced
    from lcmap.training.recipe import DEFAULT

    architecture = replace(DEFAULT.architecture, clip=None)

    class WithSeries(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = SeriesEncoder(BANDS)
            levels = replace(architecture, levels=(0, LEVEL))
            self.network = LandCoverNetwork([4, FEATURES], 7, levels)

        def forward(self, image: Any, series: Any, valid: Any, days: Any) -> Any:
            return self.network(image, self.encoder(series, valid, days))

    alone = LandCoverNetwork([4], 7, architecture)
    stride = alone.stride
    t, rows, columns = (torch.export.Dim(name) for name in ("dates", "rows", "columns"))
    of_cells = {0: t, 2: (stride >> LEVEL) * rows, 3: (stride >> LEVEL) * columns}
    free = {
        "image": {2: stride * rows, 3: stride * columns},
        "series": of_cells, "valid": of_cells, "days": {0: t},
    }  # fmt: skip
    pixels = side // stride * stride
    cells = pixels >> LEVEL
    examples = {
        "image": torch.zeros(1, 4, pixels, pixels),
        "series": torch.zeros(dates, BANDS, cells, cells),
        "valid": torch.ones(dates, 1, cells, cells),
        "days": torch.ones(dates, 1, 1, 1),
    }
    found = {}
    for title, module, first, levels in (
        (IMAGE, alone, 0, (0,)),
        ("with series", WithSeries(), 0, (0, LEVEL, LEVEL)),
        ("series by itself", SeriesEncoder(BANDS), 1, ()),
    ):
        names = list(free)[first : None if levels != (0,) else 1]
        given = tuple(examples[name] for name in names)
        by_argument = (
            {"images": (free["image"],)} if module is alone else {n: free[n] for n in names}
        )
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module.eval()(*given)
        model = onnx.load_model_from_string(traced(module, given, names, by_argument))
        shape = pixels, cells
        if levels:
            halo = find_halo(model, stride, levels)
            model = graph_for(model, stride, INTERIOR, halo)
            taken = halo.taken[1] if halo.taken else None
            more = taken.after - taken.before if taken else 0
            shape = pixels + halo.after.residue - halo.before.residue, cells + more
        cost = counter.get_total_flops() / 2 / pixels**2
        found[title] = Network(model.SerializeToString(), *shape, cost)
    return found


def inputs_of(graph: bytes, pixels: int, cells: int, dates: int) -> dict[str, Any]:
    """Return values for the inputs of a graph."""
    random = np.random.default_rng(0)
    values = {
        "image": random.random((1, 4, pixels, pixels), np.float32),
        "series": random.random((dates, BANDS, cells, cells), np.float32),
        "valid": (random.random((dates, 1, cells, cells)) < 0.7).astype(np.float32),
        "days": np.linspace(5, 360, dates, dtype=np.float32).reshape(dates, 1, 1, 1),
    }
    names = [value.name for value in onnx.load_model_from_string(graph).graph.input]
    return {name: values[name] for name in names}


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


def memory_of_a_run(path: Path, pixels: int, cells: int, dates: int) -> float:
    """Return MiB that a first run takes beyond its inputs, in this process."""
    graph = path.read_bytes()
    run = onnxruntime_run(graph, inputs_of(graph, pixels, cells, dates))
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
        path, *numbers = sys.argv[2:]
        print(memory_of_a_run(Path(path), *map(int, numbers)))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=1408)
    parser.add_argument("--dates", type=int, nargs="+", default=[1, 12, 30])
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    found = networks(arguments.side, 12)
    for title, network in found.items():
        print(f"{title}: {network.multiplications:.0f} multiplications a pixel, 12 dates")
    for dates in arguments.dates:
        runs = {}
        for title, (graph, pixels, cells, _) in found.items():
            given = inputs_of(graph, pixels, cells, dates)
            for engine, make in (("onnxruntime", onnxruntime_run), ("OpenVINO", openvino_run)):
                runs[engine, title] = make(graph, given)
        seconds = {key: [seconds_of(run)] for key, run in runs.items()}
        for _ in range(arguments.runs):
            for key, run in runs.items():
                seconds[key].append(seconds_of(run))
        for (engine, title), each in seconds.items():
            first = seconds[engine, IMAGE]
            ratio = statistics.median(a / b for a, b in zip(each[1:], first[1:], strict=True))
            print(f"{dates} dates, {engine}, {title}: {1000 * statistics.median(each[1:]):.0f} ms, "
                  f"{ratio:.2f} times {IMAGE}", flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for title, (graph, pixels, cells, _) in found.items():
            path = Path(folder) / "graph.onnx"
            path.write_bytes(graph)
            for dates in arguments.dates if title != IMAGE else arguments.dates[:1]:
                words = [sys.executable, __file__, "--one", path, pixels, cells, dates]
                output = subprocess.run(
                    list(map(str, words)), check=True, capture_output=True, text=True
                ).stdout
                print(f"{title}, {dates} dates: {float(output):.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
