"""Speed of a tile inside an image by onnxruntime and by OpenVINO.

    python benchmarks/bench_engines.py MODEL.onnx [--side 864] [--rounds 5] [--threads N]

The model's own graph for an interior tile of at least SIDE² px, map only, on noise. The engines
take turns; printed are medians and minima of the rounds, and the pixels whose class differs.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import onnx

from lcmap.inference.borders import INTERIOR, find_borders, graph_for
from lcmap.inference.openvino_session import OpenVinoSession
from lcmap.inference.results import of_size, with_results
from lcmap.inference.session import Session
from lcmap.model_file import read_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--side", type=int, default=864)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    metadata = read_model(arguments.model)
    model = onnx.load(arguments.model)
    borders = find_borders(model, metadata.stride)
    side = arguments.side
    side += (borders.after.residue - borders.before.residue - side) % metadata.stride
    inner = graph_for(model, metadata.stride, INTERIOR, borders)
    graph = of_size(with_results(inner, ["winner"]), side, side).SerializeToString()
    random = np.random.default_rng(0)
    entries = {
        entry.name: random.random((1, entry.channels, side, side), np.float32)
        for entry in metadata.entries
    }
    sessions = {
        "onnxruntime": Session(graph, threads=arguments.threads),
        "OpenVINO": OpenVinoSession(graph, threads=arguments.threads),
    }
    found = {name: session.run(entries)[0] for name, session in sessions.items()}  # and warm up
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(arguments.rounds):
        for name, session in sessions.items():
            started = time.perf_counter()
            session.run(entries)
            taken[name].append(time.perf_counter() - started)
    print(f"a tile of {side}² px:")
    for name, values in taken.items():
        middle = statistics.median(values)
        print(f"  {name:12} {middle:.3f} s (least {min(values):.3f}), {side**2 / middle / 1e6:.2f} "
              "Mpx/s")  # fmt: skip
    differ = int((found["onnxruntime"] != found["OpenVINO"]).sum())
    print(f"  {differ} of {found['OpenVINO'].size} classes differ")


if __name__ == "__main__":
    main()
