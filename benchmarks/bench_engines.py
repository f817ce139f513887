"""Speed of a tile inside an image by onnxruntime and by OpenVINO.

    python benchmarks/bench_engines.py MODEL.onnx [--side 864] [--rounds 5] [--threads N] [--nodes]

The model's own graph for an interior tile of at least SIDE² px, map only, on noise. The engines
take turns; printed are medians and minima of the rounds, and the pixels whose class differs.
`--nodes` prints instead where the time goes: the engines' own profiles on one core, the least time
of each node over the rounds, summed by kind; bfloat16 too, which OpenVINO imitates where the
processor lacks it, so that only what is not a convolution says something there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime

from lcmap.engines.onnxruntime import OnnxRuntimeSession
from lcmap.engines.openvino import OpenVinoSession
from lcmap.graph.halo import INTERIOR
from lcmap.graph.outputs import of_size, with_results
from lcmap.graph.padding import find_halo, graph_for
from lcmap.model_file import load_graph, read_model


def interior_tile(model: Path, side: int) -> tuple[bytes, dict[str, np.ndarray]]:
    """Return a model's graph for an interior tile of at least SIDE² px, map only, and noise."""
    metadata = read_model(model)
    loaded = load_graph(model)
    halo = find_halo(loaded, metadata.stride)
    side += (halo.after.residue - halo.before.residue - side) % metadata.stride
    inner = graph_for(loaded, metadata.stride, INTERIOR, halo)
    graph = of_size(with_results(inner, ["winner"]), side, side).SerializeToString()
    random = np.random.default_rng(0)
    inputs = {
        model_input.name: random.random((1, model_input.channels, side, side), np.float32)
        for model_input in metadata.inputs
    }
    return graph, inputs


class Seconds(NamedTuple):
    """What a run took: by the clock, and of all processor cores together."""

    clock: float
    processor: float


def in_turns(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[Seconds]]:
    """Return what each takes, in so many rounds after one to warm up."""
    taken: dict[str, list[Seconds]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            started = Seconds(time.perf_counter(), time.process_time())
            run()
            ended = Seconds(time.perf_counter(), time.process_time())
            if number:
                taken[name].append(Seconds(*np.subtract(ended, started).tolist()))
    return taken


def print_times(taken: dict[str, list[Seconds]], pixels: int) -> None:
    for name, values in taken.items():
        clock = [value.clock for value in values]
        middle = statistics.median(clock)
        processor = statistics.median(value.processor for value in values)
        print(f"  {name:20} {middle:.3f} s (least {min(clock):.3f}, processor {processor:.3f}), "
              f"{pixels / middle / 1e6:.2f} Mpx/s")  # fmt: skip


def onnxruntime_nodes(graph: bytes, inputs: dict[str, np.ndarray], rounds: int) -> Counter[str]:
    """Return the milliseconds that each kind of node takes in onnxruntime."""
    least: dict[str, tuple[float, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        for _ in range(rounds + 1):
            session.run(None, inputs)
        for event in json.loads(Path(session.end_profiling()).read_text()):
            if event["name"].endswith("_kernel_time"):
                found = event["dur"] / 1e3, event["args"]["op_name"]
                least[event["name"]] = min(found, least.get(event["name"], found))
    return _summed(least)


def openvino_nodes(
    graph: bytes, inputs: dict[str, np.ndarray], rounds: int, hint: str
) -> Counter[str]:
    """Return the milliseconds that each kind of node takes in OpenVINO."""
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1,
        "PERF_COUNT": True,
    }  # fmt: skip
    request = core.compile_model(core.read_model(graph), "CPU", settings).create_infer_request()
    least: dict[str, tuple[float, str]] = {}
    for _ in range(rounds + 1):
        request.infer(inputs)
        for node in request.get_profiling_info():
            if node.status.name == "EXECUTED":
                found = node.real_time.total_seconds() * 1e3, node.node_type
                least[node.node_name] = min(found, least.get(node.node_name, found))
    return _summed(least)


def _summed(least: dict[str, tuple[float, str]]) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for milliseconds, kind in least.values():
        kinds[kind] += milliseconds  # type: ignore[assignment]
    return kinds


def print_nodes(name: str, kinds: Counter[str]) -> None:
    total = sum(kinds.values())
    other = sum(value for kind, value in kinds.items() if "Conv" not in kind or kind == "Convert")
    parts = ", ".join(f"{kind} {value:.1f}" for kind, value in kinds.most_common())
    print(f"  {name}: {total:.0f} ms, {other:.0f} of them no convolution ({parts})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--side", type=int, default=864)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--nodes", action="store_true")
    arguments = parser.parse_args()
    graph, inputs = interior_tile(arguments.model, arguments.side)
    if arguments.nodes:
        print_nodes("onnxruntime", onnxruntime_nodes(graph, inputs, arguments.rounds))
        for hint in ("f32", "bf16"):
            kinds = openvino_nodes(graph, inputs, arguments.rounds, hint)
            print_nodes(f"OpenVINO {hint}", kinds)
        return
    sessions = {
        "onnxruntime": OnnxRuntimeSession(graph, threads=arguments.threads),
        "OpenVINO": OpenVinoSession(graph, threads=arguments.threads),
    }
    pixels = next(iter(inputs.values()))[0, 0].size
    print(f"a tile of {pixels} px:")
    runs = {name: partial(session.run, inputs) for name, session in sessions.items()}
    print_times(in_turns(runs, arguments.rounds), pixels)
    found = {name: run()[0] for name, run in runs.items()}
    differ = int((found["onnxruntime"] != found["OpenVINO"]).sum())
    print(f"  {differ} of {found['OpenVINO'].size} classes differ")


if __name__ == "__main__":
    main()
