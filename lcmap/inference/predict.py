"""From an image and a model to a map: tile by tile, in constant memory."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio

from lcmap import __version__
from lcmap.engines.choice import Engine, choose_engine
from lcmap.engines.compute import Arithmetic, Compute
from lcmap.errors import VerificationError
from lcmap.inference import band_groups
from lcmap.inference.band_groups import WINNING_PROBABILITY, Prediction, results_of
from lcmap.inference.inputs import (
    CACHE_BYTES,
    OpenedInputs,
    open_inputs,
    warn_of_common_quantiles,
    warn_without_dropout,
)
from lcmap.inference.options import MapOutputs, ModelInputOptions
from lcmap.inference.output_files import output_files
from lcmap.inference.precision import choose_precision, load_network, travelling
from lcmap.inference.report import MapReport
from lcmap.inference.resume.journal import Record
from lcmap.inference.resume.plan import Plan, content_identity, tiling_facts
from lcmap.inference.resume.resumable_map import ResumableMap, check_before_work, continued_tile
from lcmap.inference.source import TileSource
from lcmap.inference.tile_predictor import ReadyTile, TilePredictor
from lcmap.inference.tiling import Tile
from lcmap.inference.verify import LIMITS, Limits, Verification, other_tiles, verify_tiles
from lcmap.model_file import read_model
from lcmap.overlap import overlapped
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.input_watch import input_identities, watched_inputs

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictReport(MapReport):
    """What was predicted, and the verification if any."""

    verification: Verification | None

    @classmethod
    def from_record(cls, record: Record) -> PredictReport:
        """Return the report whose fields are in a record of JSON."""
        verification = record["verification"]
        compared = None if verification is None else Verification(**verification)
        computed_by = record.get("computed_by", "an earlier run")
        return cls(record["pixels"], record["mapped"], computed_by, True, compared)


@watched_inputs()
def predict(
    inputs: Sequence[PathLike],
    model: PathLike,
    outputs: MapOutputs,
    compute: Compute | None = None,
    options: ModelInputOptions | None = None,
    *,
    verify: bool = False,
    progress: Progress = silent,
) -> PredictReport:
    """Write the land-cover map of an image: uint8 codes of the model's nomenclature, 0 = no data.

    The image is the first of the `inputs` and gives the grid. A model of several inputs takes the
    others in its order: images, label maps or class probabilities on any grid, which are brought
    onto the image's as they are read. A pixel without data in any of them has none in the map.

    The map equals what the network computes for the whole image at once, to float rounding,
    whatever the tile size. Until it is whole, what is finished is kept beside it, and the same call
    continues a run that was killed, to the same bytes; not where "-" is an input or the map. With
    `verify` the image is predicted again with other tiles and compared; where the two disagree,
    nothing is written. A float32 model computes in int8 after calibration on windows of the image.

    Raises:
        InputMissingError, NotARasterError: an input or the model cannot be read.
        NotAModelError, NewerModelError: as `read_model`.
        InputMismatchError, NomenclatureMismatchError, GsdMismatchError: the model was not made for
            these inputs.
        NoCrsError, OverlapError: an input is not of the image's area.
        UnavailableError: as `choose_engine`.
        DataError: the network's values for the image are not finite, so it has no int8 form.
        UsageError, OutputExistsError, CannotWriteError: an output cannot be written.
        LockedError: another run is making the same map.
        VerificationError: the map depends on the tiles.
        InputChangedError: an input or the model changed while it was read.
    """
    compute, options = compute or Compute(), options or ModelInputOptions()
    metadata = read_model(model)
    precision = choose_precision(compute.precision, metadata, model, verify=verify)
    engine = choose_engine(compute, precision, model)
    tags = {
        "LCMAP_MODEL": Path(model).name,
        "LCMAP_ENGINE": engine.title,
        "LCMAP_PRECISION": precision,
    }
    files = output_files(outputs, metadata.nomenclature, inputs, tags)
    check_before_work(files)
    with ExitStack() as stack:
        # GDAL decodes beside the network, which takes the cores; its cache serves the overlap
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES, GDAL_NUM_THREADS="1"))
        if options.allow_missing:
            warn_without_dropout(metadata, model)
        warn_of_common_quantiles(metadata, model, options)
        opened = open_inputs(stack, inputs, metadata.inputs, model, options, progress)
        network = load_network(model, metadata, precision, opened)
        encodings = [travelling(reader.encoding, precision) for reader in opened.readers]
        groups = files.groups + [WINNING_PROBABILITY] * verify
        results = results_of(group.name for group in groups)
        predictor = TilePredictor(network, metadata, results, engine, encodings=encodings)
        facts = _facts(model, engine, precision, opened, options) | {"outputs": groups}
        size = compute.tile or continued_tile(outputs.codes, facts)
        size = size or predictor.largest_block(compute.memory)
        tiles = predictor.tiles(*opened.grid.shape, size)
        windows = [tile.output_window for tile in tiles]
        plan = facts | tiling_facts(size, windows)
        work = stack.enter_context(
            ResumableMap(files, opened.grid, plan, windows, groups=groups, tmpdir=options.tmpdir)
        )
        if work.published is not None:
            return PredictReport.from_record(work.published)
        source = TileSource(
            opened.grid.shape, opened.readers, encodings, allow_missing=options.allow_missing
        )
        _predict_tiles(work, predictor, tiles, source, progress)
        verification = None
        if verify:
            padded = TilePredictor(
                network, metadata, ("probabilities",), engine, encodings=encodings, padded=True
            )
            verification = _verify(work, padded, size, source, progress)
            _check(verification, LIMITS[precision], work, model)
        computed_by = f"{engine.title} in {precision}"
        report = _report(work, source, computed_by, verification)
        work.publish(dataclasses.asdict(report), threads=compute.threads, progress=progress)
    if report.mapped == 0:
        logger.warning("%s: no pixel is valid in every band, so the map is all 0", opened.name)
    return report


def _facts(
    model: PathLike,
    engine: Engine,
    precision: Arithmetic,
    opened: OpenedInputs,
    options: ModelInputOptions,
) -> Plan:
    """Return all that the arrays of the tiles depend on, but the tiles."""
    return {
        "lcmap": __version__,
        "engine": engine.title,
        "precision": precision,
        "model": content_identity(model),
        "inputs": input_identities(opened.files),
        "quantiles": [None if q is None else q.tolist() for q in opened.quantiles],
        "nodata": options.nodata,
        "assumed-crs": options.assume_crs,
        "allow-missing": options.allow_missing,
    }


def _predict_tiles(
    work: ResumableMap,
    predictor: TilePredictor,
    tiles: Sequence[Tile],
    source: TileSource,
    progress: Progress,
) -> None:
    """Predict the tiles that are not done yet, and store them."""
    pending = work.pending(tiles)
    finished = 0

    def read(item: tuple[int, Tile]) -> ReadyTile:
        return predictor.ready(item[1], source.read(item[1]))

    def compute(item: tuple[int, Tile], ready: ReadyTile) -> Prediction:
        return predictor.predict(ready)

    def write(item: tuple[int, Tile], prediction: Prediction) -> None:
        nonlocal finished
        arrays = band_groups.arrays(prediction, predictor.nomenclature, work.group_names)
        work.store(item[0], arrays, mapped=int(np.count_nonzero(prediction.valid)))
        finished += 1
        progress(finished, len(pending), "predicting")

    overlapped(pending, read, compute, write, at_once=predictor.tiles_at_once)
    work.commit()


def _verify(
    work: ResumableMap,
    predictor: TilePredictor,
    size: int,
    source: TileSource,
    progress: Progress,
) -> Verification:
    """Compare with a second prediction, made with other tiles than those of this size."""
    tiles = other_tiles(predictor, *source.shape, size)
    verification = verify_tiles(work, predictor, tiles, source, progress)
    logger.info("verified: %s", verification)
    return verification


def _check(verification: Verification, limits: Limits, work: ResumableMap, model: PathLike) -> None:
    """Check that a map does not depend on its tiles, and discard it where it does.

    Raises:
        VerificationError: two predictions are further apart than the limits.
    """
    if not verification.is_within(limits):
        work.discard()
        raise VerificationError(
            model,
            f"the map depends on its tiles: {verification}",
            "nothing was written; the model's stride or receptive field is not what its metadata "
            "says, train it again",
        )


def _report(
    work: ResumableMap, source: TileSource, computed_by: str, verification: Verification | None
) -> PredictReport:
    mapped = sum(record["mapped"] for record in work.records("tile"))
    pixels = math.prod(source.shape)
    return PredictReport(pixels, mapped, computed_by, work.continued, verification)
