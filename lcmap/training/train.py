"""Training a network on tile indexes, from the first step to the verified model file."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lcmap
from lcmap.accuracy.measures import PER_CLASS, Scores
from lcmap.errors import DataError
from lcmap.model_file import BOUNDS_KEY, ModelMetadata, check_model_path, write_model
from lcmap.network import Architecture, receptive_field, stride
from lcmap.nomenclature import Nomenclature
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.destination import check_place
from lcmap.raster.input_watch import current_watch, watched_inputs
from lcmap.raster.output_set import OutputSet
from lcmap.training.checkpoint import read_checkpoint, write_checkpoint
from lcmap.training.curves import write_curves
from lcmap.training.export import Agreement, to_onnx, verify
from lcmap.training.ground import bounds_in_degrees
from lcmap.training.int8_model import QuantisationReport, quantise_model
from lcmap.training.memory import freed_memory_kept
from lcmap.training.options import (
    Int8Options,
    TileInputOptions,
    TrainOptions,
    TrainOutputs,
    int8_path,
)
from lcmap.training.ranks import ALONE, Ranks, all_ranks, dismiss, threads
from lcmap.training.run import TrainingRun, told_how_to_go_on, training_run
from lcmap.training.samples import TrainingSet
from lcmap.training.trainer import Trainer
from lcmap.training.validation import measured_by, validate_model, validation_values

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainReport:
    """What a finished run came to.

    The scores are those of the exported model on the validation tiles, run by onnxruntime in
    float32; `agreement` is that of onnxruntime and PyTorch. `int8` is what became of it in int8,
    where that was asked for, or why there is no such model.
    """

    model: Path
    nomenclature: Nomenclature
    epoch: int
    epochs: int
    steps: int
    seconds: float
    scores: Scores
    agreement: Agreement
    int8: QuantisationReport | DataError | None = None

    @property
    def text(self) -> str:
        """The report in two lines."""
        miou, oa, *_ = 100 * self.scores.overall
        ious = 100 * self.scores.per_class[PER_CLASS.index("iou")]
        classes = ", ".join(
            f"{c.short} {iou:.1f}" if math.isfinite(iou) else f"{c.short} –"
            for c, iou in zip(self.nomenclature.classes, ious, strict=True)
        )
        return (
            f"{self.model}: epoch {self.epoch} of {self.epochs} ({self.steps} steps, "
            f"{self.seconds / 60:.1f} min), validation mIoU {miou:.1f} %, "
            f"OA {oa:.1f} %; {self.agreement.text}\n"
            f"validation IoU in %: {classes}"
        )


@watched_inputs()
def train(
    tile_indexes: Sequence[PathLike],
    outputs: TrainOutputs,
    options: TrainOptions | None = None,
    inputs: TileInputOptions | None = None,
    int8: Int8Options | None = None,
    *,
    progress: Progress = silent,
) -> TrainReport:
    """Train a network on the training tiles of indexes and write the best model as ONNX.

    The model with the best mIoU on the validation tiles is kept. It appears together with its
    curves and, with `int8`, its int8 form; where that is refused, without it. After every epoch a
    checkpoint and the curves so far are beside the output; with `resume` a run that was interrupted
    goes on from there to the same result, on the same machine; with `export_best` the best model so
    far is written, and the checkpoint stays. Onnxruntime and PyTorch are compared on training
    tiles, and a difference is said in a warning; the scores that a model carries are its own, as
    onnxruntime computes it.

    Where torchrun started several processes, this is what rank 0 calls; the others `help_train`.

    Raises:
        UsageError: options that contradict each other, or a batch that cannot be divided.
        InputMissingError, TileIndexError, NomenclatureMismatchError, NoLabelledPixelError,
            InputMismatchError, NotARasterError: as `read_training_set`.
        InputMismatchError: the initial model has other inputs, classes or another architecture.
        NotAModelError, NewerModelError: as `load_network`.
        CheckpointError: the checkpoint is damaged, or of a run with other options.
        UsageError: the model's name is not that of a model.
        OutputExistsError, CannotWriteError, InputMissingError: as `TrainOutputs.check`.
        InputChangedError: a file changed while it was read.
        LockedError: another run is making one of the outputs, or has the checkpoint.
        RankLostError: another process of the run ended; it says how to go on.
        KeyboardInterrupt: whoever stops the run; it says how to go on.
    """
    options, inputs = options or TrainOptions(), inputs or TileInputOptions()
    with threads(options.threads):
        if outputs.export_best:
            dismiss()
            return _train_and_write(tile_indexes, outputs, options, inputs, int8, progress, ALONE)
        with all_ranks(options.device) as ranks:
            return _train_and_write(tile_indexes, outputs, options, inputs, int8, progress, ranks)


def _train_and_write(
    tile_indexes: Sequence[PathLike],
    outputs: TrainOutputs,
    options: TrainOptions,
    inputs: TileInputOptions,
    int8: Int8Options | None,
    progress: Progress,
    ranks: Ranks,
) -> TrainReport:
    options.check()
    check_model_path(outputs.model)
    check_place(outputs.model)
    paths = outputs.finished(int8=int8 is not None)
    obsolete = () if outputs.export_best else outputs.in_work
    with (
        OutputSet(outputs.in_work, overwrite=True),
        OutputSet(paths, overwrite=outputs.overwrite, obsolete=obsolete) as files,
    ):
        outputs = dataclasses.replace(outputs, overwrite=files.overwrite)
        outputs.check(int8=int8 is not None)
        with (
            training_run(tile_indexes, options, inputs, progress, ranks) as run,
            told_how_to_go_on(run.trainer, outputs.checkpoint),
        ):
            _train(run, outputs)
            report = _written(run, outputs, files)
            if int8 is not None:
                made = _in_int8(tile_indexes, inputs, outputs, int8, files, progress)
                report = dataclasses.replace(report, int8=made)
    return report


def _written(run: TrainingRun, outputs: TrainOutputs, files: OutputSet) -> TrainReport:
    """Write the best model with its curves, and return what the run came to."""
    data, source, network, settings, trainer = run
    network.load_state_dict(trainer.best)
    graph = to_onnx(network, [model_input.name for model_input in data.inputs])
    agreement = verify(graph, network, trainer.samples_to_verify())
    scores = validate_model(graph, source, data, stride=network.stride)
    current_watch().check()
    if not agreement.close:
        logger.warning(
            "%s: %s of training tiles; the scores are those of the model as it is written",
            outputs.model, agreement.text,
        )  # fmt: skip
    metadata = _metadata(data, settings, trainer, network.merged().architecture, scores)
    _write(graph, metadata, trainer, outputs, files)
    return TrainReport(
        model=Path(outputs.model),
        nomenclature=data.nomenclature,
        epoch=trainer.best_epoch,
        epochs=len(trainer.rows),
        steps=trainer.steps,
        seconds=trainer.rows[-1]["seconds"],
        scores=scores,
        agreement=agreement,
    )


def _metadata(
    data: TrainingSet,
    settings: dict[str, Any],
    trainer: Trainer,
    architecture: Architecture,
    scores: Scores,
) -> ModelMetadata:
    best = trainer.rows[trainer.best_epoch - 1]
    return ModelMetadata(
        nomenclature=data.nomenclature,
        inputs=data.inputs,
        stride=stride(architecture),
        receptive_field=receptive_field(architecture),
        architecture={
            "name": "U-Net with unpooling",
            **settings["architecture"],
            **dataclasses.asdict(architecture),
        },
        training=settings
        | {"epoch": best["epoch"], "steps": best["steps"], "seconds": round(best["seconds"], 1)}
        | measured_by("float32")
        | {BOUNDS_KEY: bounds_in_degrees(data.train)},
        scores={"validation": validation_values(scores, data.nomenclature)},
        lcmap_version=lcmap.__version__,
    )


def _write(
    graph: bytes,
    metadata: ModelMetadata,
    trainer: Trainer,
    outputs: TrainOutputs,
    files: OutputSet,
) -> None:
    write_curves(outputs.model, trainer.rows, overwrite=outputs.replaces, within=files)
    write_model(
        graph,
        metadata,
        outputs.model,
        overwrite=outputs.replaces,
        stac=outputs.stac,
        within=files,
    )


def _in_int8(
    tile_indexes: Sequence[PathLike],
    inputs: TileInputOptions,
    outputs: TrainOutputs,
    options: Int8Options,
    files: OutputSet,
    progress: Progress,
) -> QuantisationReport | DataError:
    """Write the int8 form as well, or return why there is none: the model is not lost by it."""
    options = dataclasses.replace(options, stac=outputs.stac, overwrite=outputs.replaces)
    path = int8_path(outputs.model)
    try:
        return quantise_model(
            tile_indexes, outputs.model, path, options, inputs, within=files, progress=progress
        )
    except DataError as error:
        return error


def _train(run: TrainingRun, outputs: TrainOutputs) -> None:
    """Train to the end, from the checkpoint where it is wanted; only read it for the best model."""
    trainer, settings = run.trainer, run.settings
    settings = settings | {"content of the inputs": current_watch().digest()}
    if (outputs.resume or outputs.export_best) and outputs.checkpoint.exists():
        trainer.load_state_dict(read_checkpoint(outputs.checkpoint, settings))
    elif outputs.resume:
        logger.info("%s: no checkpoint, starting from the beginning", outputs.checkpoint)
    trainer.start_as_first()
    with freed_memory_kept():
        while not (trainer.ended or outputs.export_best):
            trainer.epoch()
            current_watch().check()
            write_checkpoint(outputs.checkpoint, settings, trainer.state_dict())
            write_curves(outputs.checkpoint, trainer.rows)
