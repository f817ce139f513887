"""From an image and a model to a map: tile by tile, in constant memory."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lcmap import defaults
from lcmap.engines.choice import Engine, choose_engine
from lcmap.engines.compute import Arithmetic, Compute
from lcmap.errors import LcmapError, UsageError, VerificationError
from lcmap.inference import band_groups
from lcmap.inference.all_inputs import open_rasters
from lcmap.inference.band_groups import Prediction, results_of
from lcmap.inference.campaign_inputs import (
    Images,
    check_outside,
    input_files,
    scene_tags,
)
from lcmap.inference.cluster import compute_on_cluster
from lcmap.inference.cluster_connection import check_scheduler
from lcmap.inference.cluster_worker import Job
from lcmap.inference.computation import Computation, gdal_environment
from lcmap.inference.inputs import warn_of_common_quantiles, warn_without_dropout
from lcmap.inference.left_out import left_out
from lcmap.inference.map_draft import MapDraft
from lcmap.inference.options import MapOutputs, ModelInputOptions
from lcmap.inference.output_files import OutputFiles, days_shown, output_files, shown_image
from lcmap.inference.precision import choose_precision, in_precision, load_network
from lcmap.inference.report import MapReport
from lcmap.inference.resume.journal import Record
from lcmap.inference.resume.plan import tiling_facts
from lcmap.inference.resume.resumable_map import ResumableMap, check_before_work, continued_tile
from lcmap.inference.resume.shard import ResumableShard, Shard
from lcmap.inference.resume.tile_work import TileWork
from lcmap.inference.sheets import wanted_sheets
from lcmap.inference.source import AnyPixels, Source
from lcmap.inference.tile_predictor import Predictor, ReadyTile
from lcmap.inference.tiling import Block, Tile
from lcmap.inference.verify import LIMITS, Verification, other_tiles, verify_tiles
from lcmap.model_file import ModelMetadata, read_model
from lcmap.overlap import overlapped
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.input_watch import watched_inputs
from lcmap.raster.pipes import STANDARD_STREAM

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
    inputs: Sequence[Images],
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
    Inputs that the options leave out go in as 0, whatever is named for them.
    Each of the `inputs` may be many rasters, see `input_files`: see `campaign` for what is mapped
    of several images, whose pixels are on one grid.

    The map equals what the network computes for the whole image at once, to float rounding,
    whatever the tile size. Until it is whole, what is finished is kept beside it, and the same call
    continues a run that was killed, to the same bytes; not where "-" is an input or the map. With
    `verify` the image is predicted again with other tiles and compared; where the two disagree,
    nothing is written. A float32 model computes in int8 after calibration on windows of the image.

    The tiles may be computed by the workers of a Dask cluster, which read the same files by their
    paths, to the same bytes. Where a shard of the map is to be computed, no file of the map is
    written, and the report is of the shard: it is kept beside the map for `merge`.

    Raises:
        InputMissingError, NotARasterError: an input or the model cannot be read.
        NotAModelError, NewerModelError: as `read_model`.
        InputMismatchError, NomenclatureMismatchError, GsdMismatchError: the model was not made for
            these inputs.
        NoCrsError, OverlapError: an input is not of the image's area.
        GridMismatchError: several images are not on the pixels of one grid.
        UnavailableError: as `choose_engine` and `compute_on_cluster`.
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
    absent = left_out(options.without, metadata.inputs)
    given = _given(inputs, absent)
    scenes = given[0] if outputs.scenes is not None or len(given[0]) > 1 else ()
    tags = _tags(model, engine, precision) | scene_tags(scenes) | _without(metadata, absent)
    read = [file for several in given for file in several]
    files = output_files(outputs, metadata.nomenclature, _named(inputs, absent, read), tags)
    check_outside(files, inputs)
    if compute.scheduler != defaults.SCHEDULER:
        check_scheduler(compute.scheduler, read)
    shard = _shard(compute, files, verify=verify)
    check_before_work(files)
    with ExitStack() as stack:
        stack.enter_context(gdal_environment())
        if options.allow_missing or absent:
            warn_without_dropout(metadata, model)
        warn_of_common_quantiles(metadata, model, options)
        loaded = load_network(model, metadata, engine)
        opened = open_rasters(stack, given, metadata.inputs, model, options, loaded.poolings,
                              progress)  # fmt: skip
        network = in_precision(loaded.network, model, metadata, precision, opened, options)
        sheets = wanted_sheets(outputs, opened.grid, options.tmpdir)
        computation = Computation(model, metadata, network, precision, engine, opened, options)
        groups = opened.groups(files.groups, verify=verify)
        predictor = computation.predictor(results_of(group.name for group in groups))
        facts = computation.facts(groups)
        # the shards of a map have tiles of one size, whatever was done of each
        continued = None if shard else continued_tile(outputs.codes, facts)
        size = compute.tile or continued or predictor.block_for(*opened.grid.shape, compute.memory)
        tiles = predictor.tiles(*opened.grid.shape, size)
        windows = [tile.output_window for tile in tiles]
        plan = facts | tiling_facts(size, windows)
        draft = MapDraft(outputs, metadata.nomenclature, tags | days_shown(given[0], options),
                         opened.grid, sheets, shown_image(given[0], options))  # fmt: skip
        work: TileWork
        if shard:
            work = ResumableShard(draft, shard, plan, windows)
        else:
            work = ResumableMap(draft.files(read), opened.grid, plan, windows, groups=groups,
                                tmpdir=options.tmpdir)  # fmt: skip
        stack.enter_context(work)
        if work.published is not None:
            return PredictReport.from_record(work.published)
        source = computation.source()
        if compute.scheduler == defaults.SCHEDULER:
            _predict_tiles(work, predictor, tiles, source, progress)
        else:
            job = Job.of(computation, given, compute, groups)
            compute_on_cluster(work, tiles, job, compute.scheduler, progress)
        verification = None
        if verify:
            verification = _verified(work, computation, size, source, progress)
        report = _report(work, f"{engine.title} in {precision}", verification)
        work.publish(dataclasses.asdict(report), threads=compute.threads, progress=progress)
    if report.mapped == 0 and not shard:
        logger.warning("%s: no pixel is valid in every band, so the map is all 0", opened.name)
    return report


def _given(inputs: Sequence[Images], absent: Collection[int]) -> list[tuple[PathLike, ...]]:
    """Return the rasters of each input of the model, none of those at the `absent` places."""
    return [
        () if place in absent else input_files(one, explained=place > 0)
        for place, one in enumerate(inputs)
    ]


def _named(
    inputs: Sequence[Images], absent: Collection[int], read: Sequence[PathLike]
) -> list[PathLike]:
    """Return the rasters that are `read` and those named for the inputs at the `absent` places.

    Those are not read, but are not to be written over either.
    """
    found = [*read]
    for place in absent:
        with suppress(LcmapError):  # whatever is named for it may be no file at all
            others = input_files(inputs[place], explained=True)
            found += [file for file in others if os.fspath(file) != STANDARD_STREAM]
    return found


def _without(metadata: ModelMetadata, absent: Sequence[int]) -> dict[str, str]:
    """Return the tag that names the inputs of a model at the `absent` places, if any are."""
    names = ", ".join(metadata.inputs[place].name for place in absent)
    return {"LCMAP_WITHOUT": names} if names else {}


def _tags(model: PathLike, engine: Engine, precision: Arithmetic) -> dict[str, str]:
    """Return what the rasters of a map say of how it was computed."""
    return {
        "LCMAP_MODEL": Path(model).name,
        "LCMAP_ENGINE": engine.title,
        "LCMAP_PRECISION": precision,
    }


def _shard(compute: Compute, files: OutputFiles, *, verify: bool) -> Shard | None:
    """Return the shard that is to be made, None for the whole map.

    Raises:
        UsageError: there is no such shard, or there can be none of this map.
    """
    if compute.shard is None:
        return None
    shard = Shard.parse(compute.shard)
    if verify:
        raise UsageError("`verify`", "needs the whole map", "leave out `shard`")
    if not files.resumable:
        raise UsageError("`shard`", "needs an image and a map in files", "name files, and not -")
    return shard


def _predict_tiles(
    work: TileWork,
    predictor: Predictor[AnyPixels],
    tiles: Sequence[Tile],
    source: Source[AnyPixels],
    progress: Progress,
) -> None:
    """Predict the tiles that are not done yet, and store them."""
    pending = work.pending(tiles)
    finished = pixels = 0

    def read(item: tuple[int, Tile]) -> ReadyTile[AnyPixels]:
        return predictor.ready(item[1], source.read(item[1]))

    def compute(item: tuple[int, Tile], ready: ReadyTile[AnyPixels]) -> Prediction:
        prediction = predictor.predict(ready)
        if item[0] == pending[-1][0]:
            # while the last tile is written: giving memory back takes a while
            loader.shutdown()  # it may be at work yet, where no tile needed the network
            predictor.unload()
        return prediction

    def write(item: tuple[int, Tile], prediction: Prediction) -> None:
        nonlocal finished, pixels
        arrays = band_groups.arrays(prediction, predictor.nomenclature, work.group_names)
        work.store(item[0], arrays, mapped=int(np.count_nonzero(prediction.valid)))
        finished += 1
        pixels += item[1].output_window.pixels
        progress(finished, len(pending), "predicting", amount=pixels)

    with ThreadPoolExecutor(1, "load") as loader:
        if pending:
            # beside its reading; what fails here fails again, and is raised, where it is needed
            loader.submit(predictor.load, pending[0][1])
        overlapped(pending, read, compute, write, at_once=predictor.tiles_at_once)
    work.commit()


def _verified(
    work: TileWork,
    computation: Computation,
    size: int | Block,
    source: Source[Any],
    progress: Progress,
) -> Verification:
    """Compare with a second prediction, made with other tiles than those of this size.

    Where a map depends on its tiles, it is discarded.

    Raises:
        VerificationError: the two are further apart than their arithmetic explains.
    """
    predictor = computation.predictor(("probabilities",), padded=True)
    tiles = other_tiles(predictor, *source.shape, size)
    again = computation.opened.verifying(source, work)
    verification = verify_tiles(work, predictor, tiles, again, progress)
    logger.info("verified: %s", verification)
    if not verification.is_within(LIMITS[computation.precision]):
        work.discard()
        raise VerificationError(
            computation.model,
            f"the map depends on its tiles: {verification}",
            "nothing was written; the model's stride or receptive field is not what its metadata "
            "says, train it again",
        )
    return verification


def _report(work: TileWork, computed_by: str, verification: Verification | None) -> PredictReport:
    mapped = sum(record["mapped"] for record in work.records("tile"))
    return PredictReport(work.pixels, mapped, computed_by, work.continued, verification)
