"""What a worker of a cluster does: it opens the files of a map by their paths, and computes tiles.

Nothing that is open travels. The first tile of a job opens its inputs and loads its model, which
the process keeps for the next.
"""

from __future__ import annotations

import atexit
import os
import pickle
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lcmap.dataset.raster_content import absolute_input
from lcmap.engines.choice import choose_engine
from lcmap.engines.compute import Compute
from lcmap.errors import LcmapError, UnavailableError
from lcmap.inference import band_groups
from lcmap.inference.all_inputs import open_rasters
from lcmap.inference.band_groups import BandGroup, results_of
from lcmap.inference.computation import Computation, gdal_environment
from lcmap.inference.options import ModelInputOptions
from lcmap.inference.precision import choose_precision, in_precision, load_network
from lcmap.inference.resume.plan import Plan, differences, normalised
from lcmap.inference.tiling import Tile
from lcmap.model_file import read_model
from lcmap.paths import PathLike
from lcmap.progress import silent
from lcmap.raster.input_watch import watched_inputs

_MOST_KEPT = 2
"""Jobs whose files and networks a worker keeps; those of the others are closed."""

_READ_AHEAD = 2
"""Tiles that are read while others are computed."""


@dataclass(frozen=True)
class Job:
    """The computation of a map, in values and paths that hold on every machine.

    `inputs` are the rasters for each input of the model; `quantiles` [C, 2] scale those that are
    images. `groups` are computed of each tile. `facts` are what the process that asks for tiles
    found of its files and engine.
    """

    inputs: tuple[tuple[str, ...], ...]
    model: str
    compute: Compute
    options: ModelInputOptions
    quantiles: tuple[npt.NDArray[np.float64] | None, ...]
    groups: tuple[BandGroup, ...]
    facts: Plan

    @classmethod
    def of(
        cls,
        computation: Computation,
        inputs: Sequence[Sequence[PathLike]],
        compute: Compute,
        groups: Sequence[BandGroup],
    ) -> Job:
        """Return the job of what this process has opened."""
        return cls(
            tuple(
                tuple(_everywhere(file, explained=place > 0) for file in files)
                for place, files in enumerate(inputs)
            ),
            _everywhere(computation.model),
            replace(compute, precision=computation.precision),
            replace(computation.options, tmpdir=None),
            computation.opened.quantiles,
            tuple(groups),
            normalised(computation.facts(groups)),
        )


class PackedJob(NamedTuple):
    """A job as it goes along with each tile: read by a worker that does not know it yet."""

    token: str
    job: bytes

    @classmethod
    def of(cls, job: Job) -> PackedJob:
        """Return a job with a token that no other has."""
        return cls(uuid.uuid4().hex, pickle.dumps(job))


class Computed(NamedTuple):
    """What a worker returns of a tile: the arrays [bands, h, w] of its band groups by name, and how
    many pixels are mapped."""

    arrays: dict[str, npt.NDArray[Any]]
    mapped: int


class ComputedTask(NamedTuple):
    """What a worker returns of the tiles of a task, and in how many seconds it computed them.

    The time of opening the inputs does not count.
    """

    tiles: list[Computed]
    seconds: float


def compute_tiles(packed: PackedJob, tiles: Sequence[Tile]) -> ComputedTask:
    """Return what is computed of the tiles of a task, in a thread of a worker.

    Raises:
        UnavailableError: this worker has other files, another engine or version of lcmap than the
            process that asks.
        LcmapError: the inputs cannot be read; it names this worker.
    """
    with gdal_environment():
        job = _opened(packed)
        start = time.perf_counter()
        computed = [job.compute(tile) for tile in tiles]
        return ComputedTask(computed, time.perf_counter() - start)


class _OpenedJob:
    """The open files and the network of a job, for all threads of a worker."""

    def __init__(self, job: Job) -> None:
        self._files = ExitStack()
        try:
            self._open(job)
        except BaseException:
            self._files.close()
            raise

    def _open(self, job: Job) -> None:
        metadata = read_model(job.model)
        precision = choose_precision(job.compute.precision, metadata, job.model, verify=False)
        compute = replace(job.compute, threads=job.compute.threads or _own_threads())
        engine = choose_engine(compute, precision, job.model)
        loaded = load_network(job.model, metadata, engine)
        with watched_inputs():
            opened = open_rasters(
                self._files, job.inputs, metadata.inputs, job.model, job.options,
                loaded.poolings, silent, job.quantiles,
            )  # fmt: skip
            network = in_precision(
                loaded.network, job.model, metadata, precision, opened, job.options
            )
            computation = Computation(
                job.model, metadata, network, precision, engine, opened, job.options
            )
            other = differences(job.facts, normalised(computation.facts(job.groups)))
        if other:
            raise UnavailableError(
                _this_worker(), f"is not like the process that asks it: {', '.join(other)} differ",
                "give workers the same files and the same installation of lcmap",
            )  # fmt: skip
        self._groups = [group.name for group in job.groups]
        self._predictor = computation.predictor(results_of(self._groups))
        self._source = computation.source()
        self._reading = threading.Lock()
        # as in `overlapped`, however many threads the worker has
        self._computing = threading.Semaphore(engine.tiles_at_once)
        self._in_memory = threading.Semaphore(engine.tiles_at_once + _READ_AHEAD)

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def compute(self, tile: Tile) -> Computed:
        """Return what is computed of a tile."""
        with self._in_memory:
            with self._reading:
                ready = self._predictor.ready(tile, self._source.read(tile))
            with self._computing:
                prediction = self._predictor.predict(ready)
            nomenclature = self._predictor.nomenclature
            arrays = band_groups.arrays(prediction, nomenclature, self._groups)
            return Computed(arrays, int(np.count_nonzero(prediction.valid)))


_opening = threading.Lock()
_kept: OrderedDict[str, _OpenedJob] = OrderedDict()


def _opened(packed: PackedJob) -> _OpenedJob:
    """Return a job's open files, opened by its first tile; those not used for long are dropped."""
    with _opening:
        if packed.token not in _kept:
            try:
                _kept[packed.token] = _OpenedJob(pickle.loads(packed.job))
            except UnavailableError:
                raise
            except LcmapError as error:
                subject = f"{error.subject} on {_this_worker()}"
                raise type(error)(subject, error.problem, error.remedy) from error
            while len(_kept) > _MOST_KEPT:
                _kept.popitem(last=False)  # its files close when no thread reads them any more
        _kept.move_to_end(packed.token)
        return _kept[packed.token]


@atexit.register
def _close_all() -> None:
    """Close the files as GDAL wants it, before the interpreter drops them."""
    with gdal_environment():
        for job in _kept.values():
            job.close()


def _everywhere(path: PathLike, *, explained: bool = False) -> str:
    """Return a path that does not depend on the working folder; an address stays.

    What follows the colon of an input that may be `explained` does not depend on it either.
    """
    text = os.fspath(path)
    if "://" in text:
        return text
    return absolute_input(text) if explained else os.path.abspath(text)


def _this_worker() -> str:
    from distributed import get_worker

    return f"worker {get_worker().address}"


def _own_threads() -> int:
    """Return how many threads Dask gives this worker: those are its cores."""
    from distributed import get_worker

    return int(get_worker().state.nthreads)
