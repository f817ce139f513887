"""Training a network on tile indexes, from the first step to the verified model file."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lcmap
from lcmap.accuracy.measures import PER_CLASS, Scores
from lcmap.errors import DataError
from lcmap.model_file import BOUNDS_KEY, ModelMetadata, check_model_path, write_model
from lcmap.network import receptive_field, stride
from lcmap.nomenclature import Nomenclature
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.destination import check_place
from lcmap.raster.input_watch import current_watch, watched_inputs
from lcmap.raster.output_set import OutputSet
from lcmap.training.absent_classes import class_facts
from lcmap.training.checkpoint import read_checkpoint, write_checkpoint
from lcmap.training.curves import write_curves
from lcmap.training.export import Agreement
from lcmap.training.finished_model import FinishedModel, finish_model
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
from lcmap.training.suspects import SuspectReport, find_suspects, prepare_suspects
from lcmap.training.trainer import Trainer
from lcmap.training.validation import measured_by

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainReport:
    """What a finished run came to.

    The scores are those of the exported model on the validation tiles, run by onnxruntime in
    float32; `agreement` is that of onnxruntime and PyTorch. `ece` is its expected calibration
    error, `ece_before` that without temperatures, where it has them; `absent` are the short names
    of the classes that it never predicts. `int8` is what became of it in int8,
    where that was asked for, or why there is no such model; `suspects` what was found of labels.
    """

    model: Path
    nomenclature: Nomenclature
    epoch: int
    epochs: int
    steps: int
    seconds: float
    scores: Scores
    agreement: Agreement
    ece: float
    ece_before: float | None = None
    absent: tuple[str, ...] = ()
    int8: QuantisationReport | DataError | None = None
    suspects: SuspectReport | None = None

    @property
    def text(self) -> str:
        """The report in a few lines."""
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
            f"validation IoU in %: {classes}\n"
            f"{self._confidence}"
        )

    @property
    def _confidence(self) -> str:
        found = f"validation expected calibration error: {100 * self.ece:.1f} %"
        if self.ece_before is not None:
            found += f", {100 * self.ece_before:.1f} % before calibration"
        return found + (f"\nnever predicted: {', '.join(self.absent)}" if self.absent else "")


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
        UsageError: options that contradict each other, or a batch that cannot be divided; suspect
            labels are asked for of several processes.
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
    if outputs.suspects is not None:
        paths += prepare_suspects(tile_indexes, outputs, ranks)
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
            suspects = None
            if outputs.suspects is not None:
                suspects = find_suspects(run, tile_indexes, options, outputs, files, progress)
            report = _written(run, outputs, files)
            if int8 is not None:
                made = _in_int8(tile_indexes, inputs, outputs, int8, files, progress)
                report = dataclasses.replace(report, int8=made)
    return dataclasses.replace(report, suspects=suspects)


def _written(run: TrainingRun, outputs: TrainOutputs, files: OutputSet) -> TrainReport:
    """Write the best model with its curves, and return what the run came to."""
    trainer = run.trainer
    run.network.load_state_dict(trainer.best)
    model = finish_model(run)
    current_watch().check()
    if not model.agreement.close:
        logger.warning(
            "%s: %s of training tiles; the scores are those of the model as it is written",
            outputs.model, model.agreement.text,
        )  # fmt: skip
    _write(model, _metadata(run, model), trainer, outputs, files)
    return TrainReport(
        model=Path(outputs.model),
        nomenclature=run.data.nomenclature,
        epoch=trainer.best_epoch,
        epochs=len(trainer.rows),
        steps=trainer.steps,
        seconds=trainer.rows[-1]["seconds"],
        scores=model.measured.scores,
        agreement=model.agreement,
        ece=model.measured.ece,
        ece_before=None if model.temperatures is None else model.before.ece,
        absent=tuple(run.data.nomenclature.classes[index].short for index in run.absent),
    )


def _metadata(run: TrainingRun, model: FinishedModel) -> ModelMetadata:
    data, settings = run.data, run.settings
    architecture = run.network.merged().architecture
    best = run.trainer.rows[run.trainer.best_epoch - 1]
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
        | class_facts(data, run.absent)
        | {BOUNDS_KEY: bounds_in_degrees(data.train)},
        scores={"validation": model.measured.values(data.nomenclature)},
        calibration=model.calibration(data.nomenclature),
        lcmap_version=lcmap.__version__,
    )


def _write(
    model: FinishedModel,
    metadata: ModelMetadata,
    trainer: Trainer,
    outputs: TrainOutputs,
    files: OutputSet,
) -> None:
    write_curves(
        outputs.model, trainer.rows, model.reliability, overwrite=outputs.replaces, within=files
    )
    write_model(
        model.graph,
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
