"""Training a network on tile indexes, from the first step to the verified model file."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lcmap
from lcmap.accuracy.measures import PER_CLASS, Scores
from lcmap.dataset.reading import TileReader
from lcmap.errors import InitialModelError, OutputExistsError, UsageError
from lcmap.model_file import ModelMetadata, read_model, write_model
from lcmap.network import LandCoverNetwork, Skip, receptive_field, stride
from lcmap.nomenclature import Nomenclature
from lcmap.progress import Progress, silent
from lcmap.raster.pipes import STANDARD_STREAM
from lcmap.raster.writing import check_output
from lcmap.training.batches import Sampler
from lcmap.training.checkpoint import checkpoint_path, read_checkpoint, write_checkpoint
from lcmap.training.class_weights import class_weights
from lcmap.training.curves import Row, curves_paths, write_curves
from lcmap.training.export import Agreement, noise_to_verify, to_onnx, verify
from lcmap.training.initialisation import initialise, load_weights
from lcmap.training.precision import Device, choose_device, computes_bfloat16
from lcmap.training.recipe import RECIPES, Recipe
from lcmap.training.run import Budget, Run, copy_of
from lcmap.training.samples import SampleSource, TrainingSet, read_training_set
from lcmap.training.validation import padded_image, validate

logger = logging.getLogger(__name__)

DEFAULT_EPOCHS = 100
DEFAULT_PATIENCE = 30
SHORTEST_EPOCH = 50
"""Steps: an epoch passes over the tiles so often that it has at least so many."""

_TILES_TO_VERIFY = 8


@dataclass(frozen=True)
class TrainReport:
    """What a finished run came to.

    The scores are those of the kept model on the validation tiles, `agreement` is that of
    onnxruntime and PyTorch on it.
    """

    model: Path
    nomenclature: Nomenclature
    epoch: int
    epochs: int
    steps: int
    seconds: float
    miou: float
    oa: float
    class_iou: tuple[float, ...]
    agreement: Agreement

    @property
    def text(self) -> str:
        """The report in two lines."""
        classes = ", ".join(
            f"{c.short} {100 * iou:.1f}" if math.isfinite(iou) else f"{c.short} –"
            for c, iou in zip(self.nomenclature.classes, self.class_iou, strict=True)
        )
        return (
            f"{self.model}: epoch {self.epoch} of {self.epochs} ({self.steps} steps, "
            f"{self.seconds / 60:.1f} min), validation mIoU {100 * self.miou:.1f} %, "
            f"OA {100 * self.oa:.1f} %; onnxruntime agrees with PyTorch to "
            f"{self.agreement.difference:.1g}, {100 * self.agreement.apart:.2g} % of pixels apart\n"
            f"validation IoU in %: {classes}"
        )


def train(
    tile_indexes: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    recipe: str = "default",
    epochs: int | None = None,
    minutes: float | None = None,
    patience: int = DEFAULT_PATIENCE,
    seed: int = 0,
    initial_model: str | os.PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    width: int | None = None,
    depth: int | None = None,
    skip: Skip | None = None,
    batch_size: int | None = None,
    device: Device = "auto",
    stac: bool = False,
    progress: Progress = silent,
) -> TrainReport:
    """Train a network on the training tiles of indexes and write the best model as ONNX.

    The model with the best mIoU on the validation tiles is kept; training ends after `epochs`, or
    after `minutes` of training and validation, or after `patience` epochs without a better one.
    After every epoch a checkpoint and the curves so far lie beside the output; with `resume` a
    run that was interrupted goes on from there to the same result, on the same machine.
    `initial_model` is a model to start from instead of random weights. The exported model is
    written only once onnxruntime agrees with PyTorch on noise and validation tiles.

    Raises:
        UsageError: options that contradict each other.
        InputMissingError, TileIndexError, NomenclatureMismatchError, NoLabelledPixelError,
            BandMismatchError, DtypeMismatchError, NotARasterError: as `read_training_set`.
        InitialModelError: the initial model has other bands, classes or another architecture.
        CheckpointError: the checkpoint is damaged, or of a run with other options.
        ExportError: onnxruntime and PyTorch disagree.
        OutputExistsError, CannotWriteError: as `check_output`.
    """
    _check_options(output, epochs, minutes)
    checkpoint = checkpoint_path(output)
    _check_outputs(output, checkpoint, resume=resume, overwrite=overwrite)
    data = read_training_set(tile_indexes)
    chosen = RECIPES[recipe]
    if batch_size is not None:
        chosen = dataclasses.replace(chosen, batch_size=batch_size)
    architecture = _architecture(data, chosen, width, depth, skip, initial_model)
    network = LandCoverNetwork(**architecture)
    if initial_model is None:
        initialise(network, chosen.initialisation, seed)
    else:
        load_weights(network, initial_model)
        chosen = dataclasses.replace(
            chosen, learning_rate=chosen.learning_rate * chosen.fine_tuning
        )
    settings = {
        "recipe": dataclasses.asdict(chosen),
        "architecture": architecture,
        "epochs": epochs,
        "minutes": minutes,
        "patience": patience,
        "seed": seed,
        "tile indexes": [os.fspath(path) for path in tile_indexes],
        "initial model": os.fspath(initial_model) if initial_model is not None else None,
    }
    with TileReader(data.nomenclature) as reader:
        training = _Training(
            data, SampleSource(reader), network, chosen, epochs, minutes, patience, seed,
            choose_device(device), progress,
        )  # fmt: skip
        if resume and checkpoint.exists():
            training.load_state_dict(read_checkpoint(checkpoint, settings))
        elif resume:
            logger.info("%s: no checkpoint, starting from the beginning", checkpoint)
        while not training.ended:
            training.epoch()
            write_checkpoint(checkpoint, settings, training.state_dict())
            write_curves(output, training.rows)
        network.load_state_dict(training.best)
        graph = to_onnx(network, [entry.name for entry in data.entries])
        agreement = verify(graph, network, training.samples_to_verify())
    best = training.rows[training.best_epoch - 1]
    metadata = ModelMetadata(
        nomenclature=data.nomenclature,
        entries=data.entries,
        stride=stride(network.depth),
        receptive_field=receptive_field(network.depth),
        architecture={"name": "U-Net with unpooling", **architecture},
        training={**settings, "steps": best["steps"], "seconds": round(best["seconds"], 1)},
        scores={"validation": best},
        lcmap_version=lcmap.__version__,
    )
    write_model(graph, metadata, output, overwrite=overwrite or resume, stac=stac)
    with suppress(FileNotFoundError):
        checkpoint.unlink()
    return TrainReport(
        model=Path(output),
        nomenclature=data.nomenclature,
        epoch=training.best_epoch,
        epochs=len(training.rows),
        steps=training.run.steps,
        seconds=training.rows[-1]["seconds"],
        miou=best["miou"],
        oa=best["oa"],
        class_iou=tuple(best[f"iou {c.short}"] for c in data.nomenclature.classes),
        agreement=agreement,
    )


class _Training:
    """The epochs of a run, validated one by one."""

    def __init__(
        self,
        data: TrainingSet,
        source: SampleSource,
        network: LandCoverNetwork,
        recipe: Recipe,
        epochs: int | None,
        minutes: float | None,
        patience: int,
        seed: int,
        device: torch.device,
        progress: Progress,
    ) -> None:
        self._data = data
        self._source = source
        self._progress = progress
        self._patience = patience
        self._seed = seed
        self._stride = network.stride
        side = _side(recipe, data, network.stride)
        pass_ = data.pixels / (recipe.batch_size * side**2)
        passes = max(math.ceil(SHORTEST_EPOCH / pass_), 1)
        self._steps = math.ceil(passes * pass_)
        weights = class_weights(data.shares, recipe.class_weights)
        if minutes is not None:
            budget = Budget(seconds=60 * minutes)
        else:
            budget = Budget(steps=(epochs or DEFAULT_EPOCHS) * self._steps)
        self.run = Run(
            network, recipe, torch.from_numpy(weights.astype(np.float32)), budget,
            steps_per_pass=pass_, device=device, bfloat16=computes_bfloat16(device),
        )  # fmt: skip
        self._sampler = Sampler(source, data.train, recipe, side, seed)
        self.rows: list[Row] = []
        self.best: dict[str, torch.Tensor] = {}
        self.best_epoch = 0
        self._validation_seconds = 0.0
        self._note = ""

    @property
    def ended(self) -> bool:
        """Whether the budget is spent, or patience is at its end."""
        return bool(self.rows) and (
            self._spent() or len(self.rows) - self.best_epoch >= self._patience
        )

    def epoch(self) -> None:
        """Train for one epoch, validate, and keep the model if it is the best so far."""
        left = self._steps
        if self.run.budget.steps is not None:
            left = min(left, self.run.budget.steps - self.run.steps)
        trained = self.run.epoch(self._sampler, left, self._spent, self._report)
        started = time.monotonic()
        found = self._validate()
        self._validation_seconds = time.monotonic() - started
        row = self._row(trained.loss, trained.learning_rate, found)
        self.rows.append(row)
        if not self.best_epoch or row["miou"] > self.rows[self.best_epoch - 1]["miou"]:
            self.best_epoch = len(self.rows)
            self.best = copy_of(self.run.evaluated.state_dict())
        best = self.rows[self.best_epoch - 1]["miou"]
        self._note = f"epoch {row['epoch']}, mIoU {row['miou']:.3f} (best {best:.3f})"
        logger.info(
            "epoch %d: %d steps, %.0f s, loss %.3f, validation mIoU %.3f, OA %.3f%s",
            row["epoch"], row["steps"], row["seconds"], row["loss"], row["miou"], row["oa"],
            " (best)" * (self.best_epoch == len(self.rows)),
        )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next epoch depends on."""
        return {
            "run": self.run.state_dict(),
            "rows": self.rows,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "validation_seconds": self._validation_seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.run.load_state_dict(state["run"])
        self.rows = state["rows"]
        self.best = state["best"]
        self.best_epoch = state["best_epoch"]
        self._validation_seconds = state["validation_seconds"]

    def samples_to_verify(self) -> list[tuple[np.ndarray[Any, np.dtype[np.float32]], ...]]:
        """Return noise and validation tiles to hold the exported model against PyTorch."""
        samples = noise_to_verify(
            [len(entry.bands) for entry in self._data.entries], self._stride, self._seed
        )
        for tile in self._data.validation[:_TILES_TO_VERIFY]:
            samples.append((padded_image(self._source.read(tile).image, self._stride)[None],))
        return samples

    def _spent(self) -> bool:
        budget = self.run.budget
        reserve = self._validation_seconds if budget.seconds is not None else 0.0
        return budget.progress(self.run.steps, self.run.clock.seconds + reserve) >= 1

    def _report(self) -> None:
        budget = self.run.budget
        if budget.seconds is not None:
            done = min(int(self.run.clock.seconds), int(budget.seconds))
            self._progress(done, max(int(budget.seconds), 1), self._note)
        else:
            assert budget.steps is not None
            self._progress(self.run.steps, budget.steps, self._note)

    def _validate(self) -> Scores:
        return validate(
            self.run.evaluated, self._source, self._data.validation,
            classes=len(self._data.nomenclature), stride=self._stride,
            batch_size=self.run.recipe.batch_size, device=self.run.device,
            bfloat16=self.run.bfloat16,
        )  # fmt: skip

    def _row(self, loss: float, learning_rate: float, found: Scores) -> Row:
        miou, oa, *_ = (float(value) for value in found.overall)
        ious = found.per_class[PER_CLASS.index("iou")]
        return {
            "epoch": len(self.rows) + 1,
            "steps": self.run.steps,
            "seconds": self.run.clock.seconds,
            "learning_rate": learning_rate,
            "loss": loss,
            "miou": miou,
            "oa": oa,
        } | {
            f"iou {c.short}": float(iou)
            for c, iou in zip(self._data.nomenclature.classes, ious, strict=True)
        }


def _check_options(
    output: str | os.PathLike[str], epochs: int | None, minutes: float | None
) -> None:
    if epochs is not None and minutes is not None:
        raise UsageError("--minutes", "cannot be given with --epochs", "choose one of them")
    if os.fspath(output) == STANDARD_STREAM:
        raise UsageError(
            "--output", "a model lies beside its curves, so it needs a name", "name a .onnx file"
        )
    if Path(output).suffix != ".onnx":
        raise UsageError(
            os.fspath(output), "a model's name ends in .onnx", f"try {Path(output).stem}.onnx"
        )


def _check_outputs(
    output: str | os.PathLike[str], checkpoint: Path, *, resume: bool, overwrite: bool
) -> None:
    check_output(output, overwrite=overwrite)
    if checkpoint.exists() and not resume and not overwrite:
        raise OutputExistsError(
            checkpoint,
            "is the checkpoint of a run that was interrupted",
            "--resume to continue it, --overwrite to start again",
        )
    for path in curves_paths(output):
        check_output(path, overwrite=overwrite or resume)


def _architecture(
    data: TrainingSet,
    recipe: Recipe,
    width: int | None,
    depth: int | None,
    skip: Skip | None,
    initial_model: str | os.PathLike[str] | None,
) -> dict[str, Any]:
    """Return the arguments of LandCoverNetwork; those of the initial model, if there is one."""
    channels = [len(entry.bands) for entry in data.entries]
    wanted = {
        "entry_channels": channels,
        "classes": len(data.nomenclature),
        "width": width,
        "depth": depth,
        "skip": skip,
    }
    if initial_model is None:
        default = {"width": recipe.width, "depth": recipe.depth, "skip": "concat"}
        return {k: default.get(k) if v is None else v for k, v in wanted.items()}
    metadata = read_model(initial_model)
    has = {name: metadata.architecture.get(name) for name in wanted}
    if metadata.nomenclature.classes != data.nomenclature.classes:
        raise InitialModelError(
            initial_model,
            f"was trained for the nomenclature {metadata.nomenclature.name}, the tiles are in "
            f"{data.nomenclature.name}, with other classes",
            "start from a model of the same nomenclature",
        )
    for theirs, ours in zip(metadata.entries, data.entries, strict=False):
        if len(theirs.bands) != len(ours.bands) or (theirs.bands, theirs.dtype) != (
            ours.bands,
            ours.dtype,
        ):
            raise InitialModelError(
                initial_model,
                f"takes {theirs.dtype} bands {', '.join(theirs.bands)}, the tiles have "
                f"{ours.dtype} bands {', '.join(ours.bands)}",
                "start from a model of the same bands",
            )
    for name, value in wanted.items():
        if value is not None and has[name] != value:
            raise InitialModelError(
                initial_model, f"has {name} {has[name]}, not {value}", "leave the option out"
            )
    return has


def _side(recipe: Recipe, data: TrainingSet, grid: int) -> int:
    """Return the side of a training square: the recipe's or a tile's, on the pooling grid."""
    side = min(recipe.crop or data.tile_size, data.tile_size)
    return max(-(-side // grid), 2) * grid
