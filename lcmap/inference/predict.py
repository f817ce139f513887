"""From an image and a model to a map: tile by tile, in constant memory."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import rasterio

from lcmap import __version__
from lcmap.engines.calibration import quantise
from lcmap.engines.choice import choose_engine
from lcmap.engines.names import Arithmetic, EngineName, Provider
from lcmap.errors import UsageError, VerificationError
from lcmap.graph.memory import DEFAULT_MEMORY
from lcmap.inference import band_groups
from lcmap.inference.band_groups import Prediction, results_of
from lcmap.inference.inputs import open_inputs
from lcmap.inference.map_files import check_map_files, map_files
from lcmap.inference.options import ModelInputOptions
from lcmap.inference.output_files import named, naming, write_files
from lcmap.inference.overlap import overlapped
from lcmap.inference.resume.journal import Record
from lcmap.inference.resume.plan import Plan, content_identity, file_identities, tiling_identity
from lcmap.inference.resume.tile_store import BandGroup
from lcmap.inference.resume.work_folder import WorkFolder, recorded, work_folder_path
from lcmap.inference.source import TilePixels, TileSource, calibration_samples
from lcmap.inference.tile_predictor import TilePredictor
from lcmap.inference.tiling import Tile
from lcmap.inference.verify import Verification, other_tiles, verify
from lcmap.model_file import read_model
from lcmap.nomenclature import Nomenclature
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.classes import write_style_files
from lcmap.raster.pipes import STANDARD_STREAM
from lcmap.raster.threads import available_threads
from lcmap.raster.writing import RasterFormat, atomic_raster

_CACHE_MEGABYTES = 128

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictReport:
    """What was predicted: pixels of the image, pixels that got a class, the verification if any."""

    pixels: int
    mapped: int
    verification: Verification | None

    @classmethod
    def from_record(cls, record: Record) -> PredictReport:
        """Return the report whose fields are in a record of JSON."""
        verification = record["verification"]
        compared = None if verification is None else Verification(**verification)
        return cls(record["pixels"], record["mapped"], compared)


def predict(
    image: PathLike,
    model: PathLike,
    output: PathLike,
    *,
    sides: Sequence[PathLike] = (),
    allow_missing: bool = False,
    confidence: PathLike | None = None,
    probabilities: PathLike | None = None,
    verified: bool = False,
    tile: int | None = None,
    memory: int = DEFAULT_MEMORY,
    cog: bool = False,
    qml: bool = False,
    allow_vrt: bool = False,
    force: bool = False,
    threads: int | None = None,
    precision: Arithmetic | None = None,
    engine: EngineName = "onnxruntime",
    provider: Provider = "auto",
    overwrite: bool = False,
    tmpdir: Path | None = None,
    progress: Progress = silent,
) -> PredictReport:
    """Write the land-cover map of an image: uint8 codes of the model's nomenclature, 0 = no data.

    A model of several inputs takes as many `sides`: images, label maps or class probabilities on
    any grid, brought onto the image's as it is read. A pixel without data in any of them has none
    in the map, with `allow_missing` only a pixel without data in all.

    The map equals what the network gives for the whole image at once, to float rounding, whatever
    the tile size (`tile` pixels are kept of each tile; by default as many as fit in `memory`
    bytes). Until it
    is whole, what is finished lies beside `output` in raw form, and a run that was killed is
    continued by the same call, to the same bytes; not where "-" is an input or the map. On the same
    grid, `confidence` is the probability of the mapped class in %, uint8, and `probabilities` one
    float32 band per class, NaN without data. With `verified` the image is predicted again
    with other tiles and compared; where that fails, nothing is written. With `precision` "int8" a
    float32 model computes in 8-bit integers, calibrated on windows of the image, with "float16" in
    16-bit floats. `qml` writes a QGIS style and GDAL's class names beside the map. `force` lets
    another ground sampling distance pass. "-" is standard input or output.

    Raises:
        InputMissingError, NotARasterError: an input or the model cannot be read.
        NotAModelError, NewerModelError, ExternalDataError, ModelGraphError: as `read_model`.
        InputCountError, SideMismatchError, NomenclatureMismatchError, BandMismatchError,
            DtypeMismatchError, GsdMismatchError: the model was not made for these inputs.
        NoCrsError, NoOverlapError, TooLittleOverlapError: a side input is not of the image's area.
        EngineMissingError, ProviderMissingError: as `choose_engine`.
        CalibrationError: int8 is asked for, and the network gives no numbers for the image.
        UsageError, OutputExistsError, CannotWriteError: an output cannot be written.
        LockedError: another run is making the same map.
        VerificationError: the map depends on the tiles.
    """
    inputs = (image, *sides)
    resumable = STANDARD_STREAM not in [os.fspath(path) for path in (*inputs, output)]
    metadata = read_model(model)
    arithmetic = precision or metadata.precision
    if arithmetic != "int8" and metadata.precision == "int8":
        raise UsageError(
            f"--precision {arithmetic}", f"{model} is int8", "give the model it came from"
        )
    if arithmetic == "float16" and verified:
        raise UsageError(
            "--precision float16",
            "rounds by more than --verify allows",
            "verify in float32, then leave out --verify",
        )
    files = map_files(metadata.nomenclature, output, confidence, probabilities)
    names = naming(files, model=Path(model).name, cog=cog)
    check_outputs = partial(
        check_map_files, inputs, (output, confidence, probabilities), qml=qml, overwrite=overwrite
    )
    record = recorded(output, "naming") if resumable else None
    own = named(files, work_folder_path(output), names, record)
    check_outputs(made={os.path.realpath(file.path) for file in files if file.layer in own})
    with ExitStack() as stack:
        # GDAL decodes beside the network, which takes the cores; its cache serves the overlap
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=_CACHE_MEGABYTES, GDAL_NUM_THREADS="1"))
        options = ModelInputOptions(allow_vrt, tmpdir, allow_missing, force)
        opened = open_inputs(stack, inputs, metadata.inputs, model, options, progress)
        grid = opened.grid
        work = stack.enter_context(WorkFolder(output, resumable=resumable, tmpdir=tmpdir))
        source = TileSource(grid.shape, opened.readers, allow_missing=allow_missing)
        planes = [file.plane for file in files]
        if verified:
            planes.append(BandGroup("winning-probability", 1, "float32"))
        chosen = choose_engine(
            engine, provider=provider, threads=threads, subject=model, arithmetic=arithmetic
        )
        network = onnx.load(model)
        if arithmetic == "int8" and metadata.precision == "float32":
            samples = calibration_samples(opened.readers, grid.shape, metadata.stride)
            first = next(samples, None)
            if first is not None:  # else no pixel is valid, and the network is never asked
                logger.info("%s: brought to int8 by a sample of the image", model)
                quantised = quantise(network.SerializeToString(), chain([first], samples))
                network = onnx.load_model_from_string(quantised)
        make = partial(
            TilePredictor, network, metadata, load=chosen.load, tiles_at_once=chosen.tiles_at_once
        )
        predictor = make(results_of(plane.name for plane in planes))
        facts: Plan = {
            "lcmap": __version__,
            "engine": chosen.title,
            "precision": arithmetic,
            "model": content_identity(model),
            "inputs": file_identities(opened.files),
            "allow-missing": allow_missing,
            "layers": planes,
        }
        size = tile or work.continued_tile(facts) or predictor.largest_block(memory)
        tiles = predictor.tiles(*grid.shape, size)
        kept = [tile.output_window for tile in tiles]
        plan = facts | {"tile": size, "tiling": tiling_identity(kept)}
        if len(own) == len(files) and work.has(plan):
            logger.info("%s: was made already", output)
            report = PredictReport.from_record(recorded(output, "report"))
        else:
            work.begin(plan, kept, planes, before_afresh=check_outputs)
            run = _Run(model, metadata.nomenclature, source, work, progress)
            run.predict(predictor, tiles)
            if verified:
                run.verify(make(("probabilities",), padded=True), grid.shape, size)
            report = run.report(grid.shape)
            tags = {"TIFFTAG_SOFTWARE": f"lcmap {__version__}", "LCMAP_MODEL": Path(model).name}

            def create(path: PathLike, profile: Mapping[str, Any]) -> AbstractContextManager[Any]:
                made = RasterFormat(**profile, cog=cog, tags=tags)
                return atomic_raster(path, grid, made, overwrite=True)

            with rasterio.Env(GDAL_NUM_THREADS=str(threads or available_threads())):
                write_files(
                    files, work, grid.shape, create, names, dataclasses.asdict(report),
                    check_outputs, progress,
                )  # fmt: skip
        if report.mapped == 0:
            subject = opened.name
            logger.warning("%s: no pixel is valid in every band, so the map is all 0", subject)
        if qml:
            write_style_files(output, metadata.nomenclature.class_table())
    return report


class _Run:
    """The tiles of an image through the network, as far as they are not done yet."""

    def __init__(
        self,
        model: PathLike,
        nomenclature: Nomenclature,
        source: TileSource,
        work: WorkFolder,
        progress: Progress,
    ) -> None:
        self._model = model
        self._nomenclature = nomenclature
        self._source = source
        self._work = work
        self._progress = progress
        self._verification: Verification | None = None

    def predict(self, predictor: TilePredictor, tiles: Sequence[Tile]) -> None:
        """Predict the tiles into the spool."""
        left = self._left("tile", tiles)
        wanted = list(self._work.spool.planes)
        finished = 0

        def compute(tile: Tile, pixels: TilePixels) -> Prediction:
            return predictor.predict(tile, pixels)

        def write(tile: Tile, prediction: Prediction) -> None:
            nonlocal finished
            arrays = band_groups.arrays(prediction, self._nomenclature, wanted)
            record = {"tile": left[tile], "mapped": int(np.count_nonzero(prediction.valid))}
            self._work.store(tile.output_window, arrays, record)
            finished += 1
            self._progress(finished, len(left), "predicting")

        overlapped(left, self._source.read, compute, write, at_once=predictor.tiles_at_once)
        self._work.commit()

    def verify(self, predictor: TilePredictor, shape: tuple[int, int], tile: int) -> None:
        """Compare with a second prediction, with other tiles than those of `tile` pixels.

        Raises:
            VerificationError: they disagree.
        """
        left = self._left("verified", other_tiles(predictor, *shape, tile))
        finished = 0

        def report(tile: Tile, compared: Verification) -> None:
            nonlocal finished
            self._work.add({"verified": left[tile], **dataclasses.asdict(compared)})
            finished += 1
            self._progress(finished, len(left), "verifying")

        verify(list(left), self._source, predictor, self._nomenclature, self._work.spool, report)
        self._work.commit()
        self._verification = Verification()
        for record in self._work.done("verified").values():
            self._verification.merge(Verification(**_without(record, "verified")))
        logger.info("verified: %s", self._verification)
        if not self._verification.passed:
            self._work.discard()
            raise _not_verified(self._model, self._verification)

    def report(self, shape: tuple[int, int]) -> PredictReport:
        """Return what was done so far, of an image of this shape."""
        mapped = sum(record["mapped"] for record in self._work.done("tile").values())
        return PredictReport(math.prod(shape), mapped, self._verification)

    def _left(self, kind: str, tiles: Sequence[Tile]) -> dict[Tile, int]:
        """Return the tiles that are not done, with their numbers."""
        done = self._work.done(kind)
        return {tile: number for number, tile in enumerate(tiles) if number not in done}


def _without(record: Record, name: str) -> Record:
    return {key: value for key, value in record.items() if key != name}


def _not_verified(model: PathLike, verification: Verification) -> VerificationError:
    return VerificationError(
        model,
        f"the map depends on its tiles: {verification}",
        "nothing was written; the model's stride or receptive field is not what its metadata "
        "says, train it again",
    )
