"""What a user can choose of computing a map: engine, device, precision, tiles, memory, threads.

Light to import: the command line takes the names from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lcmap import defaults

EngineName = Literal["auto", "onnxruntime", "openvino"]
Provider = Literal["auto", "cpu", "cuda"]
Arithmetic = Literal["float32", "bfloat16", "float16", "int8"]
"""What a network may be computed in; 16-bit floats are made of float32 when a graph is loaded."""


@dataclass(frozen=True)
class Compute:
    """What computes a map, and in what arithmetic; the map does not depend on the tile.

    tile: pixels along a side of the window that each tile adds to the map; None is as many as
        `memory` allows.
    memory: bytes that a run may use.
    threads: processor cores; None is all that the process may use.
    precision: what the network is computed in; None is the model's own.
    engine: what runs the network; "auto" takes OpenVINO where it is installed and a processor
        computes.
    provider: the device; "auto" takes CUDA where it is there.
    scheduler: "local", this process; else the address of a Dask scheduler, or the file that it
        writes, whose workers compute.
    shard: the part of the map that this run computes, as "3/20"; None is all of it.
    """

    tile: int | None = None
    memory: int = defaults.MEMORY
    threads: int | None = None
    precision: Arithmetic | None = None
    engine: EngineName = defaults.ENGINE
    provider: Provider = defaults.PROVIDER
    scheduler: str = defaults.SCHEDULER
    shard: str | None = None
