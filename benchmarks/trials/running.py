"""One run after the other: trained, tested, and its result written; each by one process."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from lcmap.errors import CheckpointError, LockedError, NoLabelledPixelError
from lcmap.graph.classification import Classification
from lcmap.raster.output_lock import OutputLocks
from lcmap.raster.writing import atomic_path
from lcmap.training.calibration import temperatures_of
from lcmap.training.checkpoint import read_checkpoint, write_checkpoint
from lcmap.training.memory import freed_memory_kept
from lcmap.training.optimisation import Budget
from lcmap.training.options import TrainOptions
from lcmap.training.precision import DeviceName, choose_device
from lcmap.training.samples import SampleSource, TrainingSet, read_training_set
from lcmap.training.trainer import Trainer
from trials.declaration import Run
from trials.grounds import Fold, prepare_fold
from trials.machine import machine
from trials.measuring import Block, Place, measure
from trials.networks import costs, margin_of, network_of
from trials.statistics import OVERALL_MEASURES, Counts, measures

logger = logging.getLogger(__name__)

State = Literal["done", "failed", "in work", "begun", "to do"]

_SECONDS_BETWEEN_CHECKPOINTS = 60
"""That of a large network takes seconds to write."""


@dataclasses.dataclass(frozen=True)
class Folder:
    """Where a study's runs leave their results; studies may share one."""

    path: Path

    @property
    def grounds(self) -> Path:
        """Where images are prepared."""
        return self.path / "grounds"

    def result(self, run: Run) -> Path:
        """Return the file of a run's result, whose name changes with all that it depends on."""
        return (
            self.path / "runs" / run.contender.name / run.ground.name
            / f"{run.fold}.seed{run.seed}.{run.digest}.json"
        )  # fmt: skip

    def failure(self, run: Run) -> Path:
        """Return the file that says why a run failed."""
        return self.result(run).with_suffix(".failed.json")

    def checkpoint(self, run: Run) -> Path:
        """Return the file of a run that was interrupted."""
        return self.result(run).with_suffix(".checkpoint.pt")

    def lock(self, run: Run) -> OutputLocks:
        """Return what keeps other processes from a run."""
        return OutputLocks([self.result(run).with_suffix(".run")])

    def state(self, run: Run) -> State:
        """Return how far a run is."""
        if self.result(run).exists():
            return "done"
        if not self.result(run).parent.exists():
            return "to do"
        try:
            with self.lock(run):
                if self.failure(run).exists():
                    return "failed"
                return "begun" if self.checkpoint(run).exists() else "to do"
        except LockedError:
            return "in work"

    def results(self, runs: Iterable[Run]) -> dict[str, dict[str, Any]]:
        """Return the results of the runs that are done, by their names."""
        return {
            run.name: json.loads(self.result(run).read_text(encoding="utf-8"))
            for run in runs
            if self.result(run).exists()
        }


def carry_out(
    runs: Iterable[Run], folder: Folder, data: Path, device: DeviceName = "cpu"
) -> list[Run]:
    """Carry out the runs that are not done, but those that another process has; return the failed.

    Every result appears whole. A run that fails is recorded with its error and tried again when it
    is asked for again. One that was interrupted goes on from its last checkpoint.
    """
    failed = []
    for run in runs:
        result, failure = folder.result(run), folder.failure(run)
        result.parent.mkdir(parents=True, exist_ok=True)
        try:
            with folder.lock(run):
                if result.exists():
                    continue
                logger.info("%s: begins", run.name)
                try:
                    found = carry_out_one(run, folder, data, device)
                except Exception as error:
                    logger.error("%s: failed, %s", run.name, error)
                    _write(failure, _about(run, device) | _said(error))
                    failed.append(run)
                    continue
                _write(result, found)
                for obsolete in (folder.checkpoint(run), failure):
                    obsolete.unlink(missing_ok=True)
                logger.info("%s: mIoU %.3f", run.name, found["test"]["miou"])
        except LockedError:
            logger.info("%s: another process has it", run.name)
    return failed


def _write(path: Path, content: dict[str, Any]) -> None:
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")


def _about(run: Run, device: DeviceName) -> dict[str, Any]:
    return {
        "run": {
            "contender": run.contender.name,
            "ground": run.ground.name,
            "fold": run.fold,
            "seed": run.seed,
        },
        "digest": run.digest,
        "declaration": run.identity,
        "machine": machine(run.threads, choose_device(device).type),
    }


def _said(error: Exception) -> dict[str, Any]:
    return {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}


def carry_out_one(
    run: Run, folder: Folder, data: Path, device: DeviceName = "cpu"
) -> dict[str, Any]:
    """Train and test a network on a device; return the result as JSON values.

    Raises:
        LcmapError: the data or the network cannot be had.
    """
    torch.set_num_threads(run.threads)
    fold = prepare_fold(run.ground, run.fold, data, folder.grounds)
    tested = [area.image.image for area in fold.areas]
    training = read_training_set(
        fold.indexes,
        scaling=run.contender.recipe.scaling,
        unlabelled=tested if run.contender.unlabelled else (),
    )
    training = scaled_as_trained(training, tested)
    with training.reader() as reader:
        source = SampleSource(reader, training.sides)
        network = network_of(run.contender, training, run.seed)
        trainer = trainer_of(run, training, source, network, device)
        trained = train(trainer, training, folder.checkpoint(run), run.identity)
        temperatures = temperatures_of(network, source, training, run.seed).values.tolist()
        blocks = measure(
            network, source, fold.areas, Classification(tuple(temperatures)),
            classes=len(training.nomenclature), margin=margin_of(network), block=run.ground.block,
            device=trainer.device,
        )  # fmt: skip
    channels = [model_input.channels for model_input in training.inputs]
    return _about(run, device) | {
        "classes": [item.short for item in training.nomenclature.classes],
        "training": trained | {"temperatures": temperatures},
        "network": costs(network, channels, run.threads if trainer.device.type == "cpu" else None),
        "test": _tested(blocks, training, fold),
    }


def scaled_as_trained(training: TrainingSet, images: Iterable[Path]) -> TrainingSet:
    """Return a training set that scales these images, of the test ground, as `predict` would."""
    of_image = training.inputs[0]
    if of_image.normalisation == "quantiles-2-98":
        return training
    alike = dict.fromkeys(images, np.array(of_image.quantiles))
    return dataclasses.replace(training, quantiles={**training.quantiles, **alike})


def trainer_of(
    run: Run,
    training: TrainingSet,
    source: SampleSource,
    network: nn.Module,
    device: DeviceName,
) -> Trainer:
    """Return the trainer of a run, whose clock counts what its budget does."""
    budget = run.budget
    now = time.monotonic if budget.processor_minutes is None else time.process_time
    options = TrainOptions(epochs=1, seed=run.seed, device=device)
    trainer = Trainer(training, source, network, run.contender.recipe, options, now=now)
    if budget.steps is not None:
        trainer.budget = Budget(steps=budget.steps)
    else:
        trainer.budget = Budget(seconds=60 * (budget.minutes or budget.processor_minutes or 0))
    return trainer


def train(
    trainer: Trainer, training: TrainingSet, checkpoint: Path, identity: dict[str, Any]
) -> dict[str, Any]:
    """Train a network, from its checkpoint if there is one, and leave it as it was at its best.

    A checkpoint is of a run of this identity. What the training came to is returned.
    """
    spent = {"seconds": 0.0, "processor_seconds": 0.0}
    if checkpoint.exists():
        # one that another version wrote, or that is damaged, is of no use
        with suppress(CheckpointError):
            state = read_checkpoint(checkpoint, identity)
            trainer.load_state_dict(state["trainer"])
            spent = state["spent"]
    written = time.monotonic()
    with freed_memory_kept():
        while not trainer.ended:
            started = time.monotonic(), time.process_time()
            trainer.epoch()
            spent["seconds"] += time.monotonic() - started[0]
            spent["processor_seconds"] += time.process_time() - started[1]
            if time.monotonic() - written >= _SECONDS_BETWEEN_CHECKPOINTS and not trainer.ended:
                state = {"trainer": trainer.state_dict(), "spent": spent}
                write_checkpoint(checkpoint, identity, state)
                written = time.monotonic()
    best = trainer.rows[trainer.best_epoch - 1]
    trainer.load_best(trainer.network)
    return {
        "steps": trainer.steps,
        "epochs": len(trainer.rows),
        "kept_epoch": trainer.best_epoch,
        "validation_miou": best["miou"],
        "validation_oa": best["oa"],
        **spent,
        "tiles": {"train": len(training.train), "validation": len(training.validation)},
        "class_shares": training.shares.tolist(),
        "curve": [_without_nan(row) for row in trainer.rows],
    }


def _tested(blocks: dict[Place, Block], training: TrainingSet, fold: Fold) -> dict[str, Any]:
    """Return the scores of a test, and its counts, all and by block.

    Raises:
        NoLabelledPixelError: there is nothing to score.
    """
    if not blocks:
        raise NoLabelledPixelError("the test ground", "has no labelled pixel")
    matrix = sum(block.matrix for block in blocks.values())
    items = [block.to_dict(place) for place, block in sorted(blocks.items())]
    counts = Counts(*(np.array([i[name] for i in items]) for name in Counts._fields))
    values = measures(Counts(*(np.sum(each, axis=0) for each in counts)))
    first = len(OVERALL_MEASURES)
    shorts = [item.short for item in training.nomenclature.classes]
    named = dict(zip(OVERALL_MEASURES, values[:first].tolist(), strict=True))
    iou = dict(zip(shorts, values[first:].tolist(), strict=True))
    absent = (np.asarray(matrix).sum(axis=1) > 0) & (training.shares == 0)
    return named | {
        "iou": _without_nan(iou),
        "only_in_test": [short for short, lacks in zip(shorts, absent, strict=True) if lacks],
        "images": [area.image.image.name for area in fold.areas],
        "matrix": np.asarray(matrix)[:, :-1].tolist(),
        "blocks": items,
    }


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    """Return values with None for NaN, which JSON lacks."""
    return {name: None if value != value else value for name, value in row.items()}
