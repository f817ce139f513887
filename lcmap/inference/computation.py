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
from lcmap.engines.choice import Engine
from lcmap.engines.compute import Arithmetic
from lcmap.graph.outputs import Result
from lcmap.inference.band_groups import BandGroup
from lcmap.inference.campaign_inputs import Opened
from lcmap.inference.inputs import CACHE_BYTES
from lcmap.inference.left_out import LeftOut
from lcmap.inference.options import ModelInputOptions
from lcmap.inference.resume.plan import Plan, content_identity
from lcmap.inference.source import Source
from lcmap.inference.tile_predictor import Predictor, TilePredictor
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
    opened: Opened
    options: ModelInputOptions

    def predictor(self, results: Sequence[Result], *, padded: bool = False) -> Predictor[Any]:
        """Return what computes these results of tiles; `padded` as with `TilePredictor`."""
        wanted = list(dict.fromkeys([*results, *self.opened.compared]))
        return self.opened.predictor(
            TilePredictor(
                self.network, self.metadata, wanted, self.engine,
                encodings=self.opened.encodings(self.precision), padded=padded,
            )
        )  # fmt: skip

    def source(self) -> Source[Any]:
        """Return what reads tiles for a predictor."""
        return self.opened.source(
            self.opened.encodings(self.precision), allow_missing=self.options.allow_missing
        )

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
            "left-out": [isinstance(reader, LeftOut) for reader in self.opened.readers],
            **self.opened.facts,
            "outputs": groups,
        }
