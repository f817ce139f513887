"""Training a network on tile indexes, from the first step to the verified model file."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lcmap
from lcmap.errors import DataError
from lcmap.model_file import BOUNDS_KEY, ModelMetadata, check_model_path, write_model
from lcmap.network import receptive_field, stride
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.destination import check_place
from lcmap.raster.input_watch import current_watch, watched_inputs
from lcmap.raster.output_set import OutputSet
from lcmap.raster.usable_crs import none_assumed
from lcmap.training.absent_classes import class_facts
from lcmap.training.checkpoint import read_checkpoint, write_checkpoint
from lcmap.training.curves import write_curves
from lcmap.training.elsewhere import Elsewhere, check_elsewhere, fit_elsewhere
from lcmap.training.final import FinalTrainer, rows_of_both
from lcmap.training.finished_model import FinishedModel, finish_final, finish_model
from lcmap.training.ground import bounds_in_degrees
from lcmap.training.int8_model import QuantisationReport, quantise_model
from lcmap.training.interpolation import SHARE_KEY
from lcmap.training.memory import freed_memory_kept
from lcmap.training.options import (
    Int8Options,
    TileInputOptions,
    TrainOptions,
    TrainOutputs,
    int8_path,
)
from lcmap.training.ranks import ALONE, Ranks, all_ranks, dismiss, threads
from lcmap.training.run import TrainingRun, final_trainer, told_how_to_go_on, training_run
from lcmap.training.suspects import find_suspects, prepare_suspects
from lcmap.training.train_report import TrainReport
from lcmap.training.unlabelled_images import unlabelled_files
from lcmap.training.validation import measured_by

logger = logging.getLogger(__name__)


@watched_inputs()
@none_assumed()
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

    The model with the best mIoU on the validation tiles is kept; where training started from a
    model of the same inputs, of all on the way from that one, itself among them. It appears
    together with its curves and, with `int8`, its int8 form; where that is refused, without it.
    With `final`, another network is trained on training and validation tiles afterwards, for as
    many steps as the kept epoch had, and written with the scores of the first. After every epoch a
    checkpoint and the curves so far are beside the output; with `resume` a run that was interrupted
    goes on from there to the same result, on the same machine; with `export_best` the best model so
    far is written, and the checkpoint stays. Onnxruntime and PyTorch are compared on training
    tiles, and a difference is said in a warning; the scores that a model carries are its own, as
    onnxruntime computes it.

    With `calibrate` "elsewhere" further networks are trained that leave out images.

    Where torchrun started several processes, this is what rank 0 calls; the others `help_train`.

    Raises:
        UsageError: options that contradict each other, or a batch that cannot be divided; suspect
            labels, or a calibration elsewhere, are asked for of several processes; the latter with
            images of fewer than three places.
        NoLabelledPixelError: without a part of the tiles that these leave out, none trains.
        InputMissingError, TileIndexError, NomenclatureMismatchError, NoLabelledPixelError,
            InputMismatchError, NotARasterError: as `read_training_set`.
        InputMismatchError: the initial model has other inputs, classes or another architecture.
        InputMismatchError, GsdMismatchError: an image without labels is none of the tiles' kind.
        NotAModelError, NewerModelError: as `load_network`.
        CheckpointError: the checkpoint is damaged, or of a run with other options.
        UsageError: the model's name is not that of a model, or an output is one of the inputs.
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
        paths += prepare_suspects(tile_indexes, outputs, options, ranks)
        inputs = dataclasses.replace(inputs, with_test=True)
    if options.calibrate == "elsewhere":
        check_elsewhere(tile_indexes, outputs, options, ranks)
    in_work = outputs.in_work(options)
    with (
        OutputSet(in_work, overwrite=True),
        OutputSet(
            paths,
            overwrite=outputs.overwrite,
            obsolete=() if outputs.export_best else in_work,
            inputs=[*tile_indexes, *unlabelled_files(options.unlabelled)],
        ) as files,
    ):
        outputs = dataclasses.replace(outputs, overwrite=files.overwrite)
        outputs.check(int8=int8 is not None)
        with (
            training_run(tile_indexes, options, inputs, progress, ranks) as run,
            told_how_to_go_on(run.trainer, outputs.checkpoint),
        ):
            final = _train(run, outputs, options)
            elsewhere = suspects = None
            if options.calibrate == "elsewhere":
                elsewhere = fit_elsewhere(run, options, outputs, progress)
            if outputs.suspects is not None:
                suspects = find_suspects(run, tile_indexes, options, outputs, files, progress)
            report = _written(run, final, elsewhere, outputs, files)
            if int8 is not None:
                made = _in_int8(tile_indexes, inputs, outputs, int8, files, progress)
                report = dataclasses.replace(report, int8=made)
    return dataclasses.replace(report, suspects=suspects)


def _written(
    run: TrainingRun,
    final: FinalTrainer | None,
    elsewhere: Elsewhere | None,
    outputs: TrainOutputs,
    files: OutputSet,
) -> TrainReport:
    """Write the best model, or the final one, with the curves; return what the run came to."""
    trainer = run.trainer
    trainer.load_best(run.network)
    model = finish_model(run, elsewhere)
    absent = run.absent
    if final:
        absent = tuple(index for index in run.absent if not final.data.shares[index])
        model = finish_final(run, model, final, absent)
    current_watch().check()
    if not model.agreement.close:
        of_scores = "" if final else "; the scores are those of the model as it is written"
        logger.warning("%s: %s of training tiles%s", outputs.model, model.agreement.text, of_scores)
    _write(model, _metadata(run, final, model, absent), run, final, outputs, files)
    return TrainReport(
        model=Path(outputs.model),
        nomenclature=run.data.nomenclature,
        epoch=trainer.best_epoch,
        epochs=len(trainer.rows),
        steps=trainer.steps,
        seconds=(final or trainer).rows[-1]["seconds"],
        scores=model.measured.scores,
        agreement=model.agreement,
        ece=model.measured.ece,
        ece_before=None if model.temperatures is None else model.before.ece,
        absent=tuple(run.data.nomenclature.classes[index].short for index in absent),
        initial_model=run.settings["initial model"],
        share=trainer.share,
        final_steps=final.steps if final else None,
        elsewhere=elsewhere,
    )


def _metadata(
    run: TrainingRun, final: FinalTrainer | None, model: FinishedModel, absent: tuple[int, ...]
) -> ModelMetadata:
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
        | {"final": final is not None}
        | {"epoch": best["epoch"], "steps": best["steps"], "seconds": round(best["seconds"], 1)}
        | measured_by("float32")
        | ({SHARE_KEY: run.trainer.share} if settings["initial model"] else {})
        | class_facts(final.data if final else data, absent)
        | {BOUNDS_KEY: bounds_in_degrees(data.train)}
        | (final.said if final else {}),
        scores={"validation": model.measured.values(data.nomenclature)},
        calibration=model.calibration(data.nomenclature),
        lcmap_version=lcmap.__version__,
    )


def _write(
    model: FinishedModel,
    metadata: ModelMetadata,
    run: TrainingRun,
    final: FinalTrainer | None,
    outputs: TrainOutputs,
    files: OutputSet,
) -> None:
    rows = rows_of_both(run.trainer, final) if final else run.trainer.rows
    overwrite = outputs.replaces
    write_curves(outputs.model, rows, model.reliability, overwrite=overwrite, within=files)
    write_model(
        model.graph, metadata, outputs.model, overwrite=overwrite, stac=outputs.stac, within=files
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


def _train(run: TrainingRun, outputs: TrainOutputs, options: TrainOptions) -> FinalTrainer | None:
    """Train to the end, from the checkpoint where it is wanted; only read it for the best model.

    Returns what trained on all tiles, where that was asked for.
    """
    trainer = run.trainer
    state: dict[str, Any] = {}
    settings = run.settings | {"content of the inputs": current_watch().digest()}
    if (outputs.resume or outputs.export_best) and outputs.checkpoint.exists():
        state = read_checkpoint(outputs.checkpoint, settings)
        trainer.load_state_dict(state)
    elif outputs.resume:
        logger.info("%s: no checkpoint, starting from the beginning", outputs.checkpoint)
    trainer.start_as_first()
    with freed_memory_kept():
        while not (trainer.ended or outputs.export_best):
            trainer.epoch()
            current_watch().check()
            write_checkpoint(outputs.checkpoint, settings, trainer.state_dict())
            write_curves(outputs.checkpoint, trainer.rows)
        trainer.choose_share()
        final = None if outputs.export_best else final_trainer(run, options)
        if final is None:
            return None
        if "final" in state:
            final.load_state_dict(state["final"])
        final.start_as_first()
        while not final.ended:
            final.epoch()
            current_watch().check()
            state = trainer.state_dict() | {"final": final.state_dict()}
            write_checkpoint(outputs.checkpoint, settings, state)
            write_curves(outputs.checkpoint, rows_of_both(trainer, final))
    return final
