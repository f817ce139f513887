"""What can be chosen of making a map, as values."""

from __future__ import annotations

from dataclasses import dataclass

from lcmap import defaults
from lcmap.dataset.inputs import InputOptions
from lcmap.engines.names import Arithmetic, EngineName, Provider
from lcmap.paths import PathLike


@dataclass(frozen=True)
class ModelInputOptions(InputOptions):
    """How the inputs of a model are opened, and what of them is let pass.

    allow_missing: map a pixel that has data in any input, rather than in all.
    force: take an image of another ground sampling distance than the model's.
    """

    allow_missing: bool = False
    force: bool = False


@dataclass(frozen=True)
class MapOutputs:
    """The files of a map, all on the grid of the image.

    codes: the map itself, uint8 class codes, 0 without data; "-" is standard output.
    confidence: the probability of the mapped class in %, uint8; None for none.
    probabilities: a float32 band per class, NaN without data; None for none.
    cog: write cloud-optimised GeoTIFFs.
    qml: write a QGIS style and GDAL's class names beside the map.
    overwrite: replace what is there.
    """

    codes: PathLike
    confidence: PathLike | None = None
    probabilities: PathLike | None = None
    cog: bool = False
    qml: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Compute:
    """What computes a map, and in what; the map does not depend on the tile.

    tile: pixels along a side of the window that each tile adds to the map; None is as many as
        `memory` allows.
    memory: bytes that a run may use.
    threads: processor cores; None is all that the process may use.
    precision: what the network is computed in; None is what the model is.
    engine: what runs the network.
    provider: the device; "auto" takes CUDA where it is there.
    """

    tile: int | None = None
    memory: int = defaults.MEMORY
    threads: int | None = None
    precision: Arithmetic | None = None
    engine: EngineName = "onnxruntime"
    provider: Provider = "auto"
