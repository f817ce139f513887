"""All that the tiles of a map are computed with, opened: in the process that makes the map, and in
the workers of a cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import onnx
import rasterio

from lcmap import __version__
from lcmap.dataset.encoding import Encoding
from lcmap.engines.choice import Engine
from lcmap.engines.compute import Arithmetic
from lcmap.graph.outputs import Result
from lcmap.inference.band_groups import BandGroup
from lcmap.inference.inputs import CACHE_BYTES, OpenedInputs
from lcmap.inference.options import ModelInputOptions
from lcmap.inference.precision import travelling
from lcmap.inference.resume.plan import Plan, content_identity
from lcmap.inference.source import TileSource
from lcmap.inference.tile_predictor import TilePredictor
from lcmap.model_file import ModelMetadata
from lcmap.paths import PathLike
from lcmap.raster.input_watch import input_identities


def gdal_environment() -> AbstractContextManager[Any]:
    """Return what a map is made in.

    GDAL decodes beside the network, which takes the cores; its cache serves the overlap of tiles.
    """
    environment: AbstractContextManager[Any] = rasterio.Env(
        GDAL_CACHEMAX=CACHE_BYTES, GDAL_NUM_THREADS="1"
    )
    return environment


@dataclass(frozen=True)
class Computation:
    """A model with its network in the arithmetic of a map, an engine, and the open inputs."""

    model: PathLike
    metadata: ModelMetadata
    network: onnx.ModelProto
    precision: Arithmetic
    engine: Engine
    opened: OpenedInputs
    options: ModelInputOptions

    def predictor(self, results: Sequence[Result], *, padded: bool = False) -> TilePredictor:
        """Return what computes these results of tiles; `padded` as there."""
        return TilePredictor(
            self.network, self.metadata, results, self.engine,
            encodings=self._encodings, padded=padded,
        )  # fmt: skip

    def source(self) -> TileSource:
        """Return what reads tiles."""
        return TileSource(
            self.opened.grid.shape,
            self.opened.readers,
            self._encodings,
            allow_missing=self.options.allow_missing,
        )

    @property
    def _encodings(self) -> list[Encoding]:
        return [travelling(reader.encoding, self.precision) for reader in self.opened.readers]

    @property
    def _calibrated(self) -> str | None:
        """The digest of a network that was brought to int8 here: kinds of processor may differ."""
        if self.precision != "int8" or self.metadata.precision == "int8":
            return None
        return hashlib.sha256(self.network.SerializeToString(deterministic=True)).hexdigest()

    def facts(self, groups: Sequence[BandGroup]) -> Plan:
        """Return all that the arrays of these band groups depend on, but the tiles."""
        return {
            "lcmap": __version__,
            "engine": self.engine.title,
            "precision": self.precision,
            "calibrated": self._calibrated,
            "model": content_identity(self.model),
            "inputs": input_identities(self.opened.files),
            "quantiles": [None if q is None else q.tolist() for q in self.opened.quantiles],
            "nodata": self.options.nodata,
            "assumed-crs": self.options.assume_crs,
            "allow-missing": self.options.allow_missing,
            "outputs": groups,
        }
