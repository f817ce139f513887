"""Training a network on tile indexes, from the first step to the verified model file."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lcmap
from lcmap.dataset.reading import TileReader
from lcmap.errors import InitialModelError, OutputExistsError, UsageError
from lcmap.model_file import ModelMetadata, check_model_path, write_model
from lcmap.network import LandCoverNetwork, Skip, receptive_field, stride
from lcmap.nomenclature import Nomenclature
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.writing import check_output
from lcmap.training.checkpoint import checkpoint_path, read_checkpoint, write_checkpoint
from lcmap.training.curves import curves_paths, write_curves
from lcmap.training.export import Agreement, to_onnx, verify
from lcmap.training.initialisation import initialise, load_network, read_initial_model
from lcmap.training.precision import DeviceName, choose_device
from lcmap.training.recipe import RECIPES, Recipe
from lcmap.training.samples import SampleSource, TrainingSet, read_training_set
from lcmap.training.trainer import DEFAULT_PATIENCE, Trainer

logger = logging.getLogger(__name__)


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
    tile_indexes: Sequence[PathLike],
    output: PathLike,
    *,
    recipe: str = "default",
    epochs: int | None = None,
    minutes: float | None = None,
    patience: int = DEFAULT_PATIENCE,
    seed: int = 0,
    initial_model: PathLike | None = None,
    resume: bool = False,
    overwrite: bool = False,
    width: int | None = None,
    depth: int | None = None,
    skip: Skip | None = None,
    batch_size: int | None = None,
    device: DeviceName = "auto",
    stac: bool = False,
    progress: Progress = silent,
) -> TrainReport:
    """Train a network on the training tiles of indexes and write the best model as ONNX.

    The model with the best mIoU on the validation tiles is kept; training ends after `epochs`, or
    after `minutes` of training and validation, or after `patience` epochs without a better one.
    After every epoch a checkpoint and the curves so far lie beside the output; with `resume` a
    run that was interrupted goes on from there to the same result, on the same machine.
    `initial_model` is a model to start from instead of random weights; where it lacks the tiles'
    last side inputs, the network starts as the model does and learns what they add. The exported
    model is written only once onnxruntime agrees with PyTorch on noise and validation tiles.

    Raises:
        UsageError: options that contradict each other.
        InputMissingError, TileIndexError, NomenclatureMismatchError, NoLabelledPixelError,
            BandMismatchError, DtypeMismatchError, NotARasterError: as `read_training_set`.
        InitialModelError: the initial model has other inputs, classes or another architecture.
        NotAModelError, NewerModelError, ExternalDataError, ModelGraphError: as `load_network`.
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
    initialise(network, chosen.initialisation, seed)
    if initial_model is not None:
        network.start_as(load_network(initial_model))
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
        training = Trainer(
            data, SampleSource(reader, data.sides), network, network.stride, chosen,
            epochs=epochs, minutes=minutes, patience=patience, seed=seed,
            device=choose_device(device), progress=progress,
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
        graph = to_onnx(network, [model_input.name for model_input in data.inputs])
        agreement = verify(graph, network, training.samples_to_verify())
    best = training.rows[training.best_epoch - 1]
    metadata = ModelMetadata(
        nomenclature=data.nomenclature,
        inputs=data.inputs,
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


def _check_options(output: PathLike, epochs: int | None, minutes: float | None) -> None:
    if epochs is not None and minutes is not None:
        raise UsageError("--minutes", "cannot be given with --epochs", "choose one of them")
    check_model_path(output)


def _check_outputs(output: PathLike, checkpoint: Path, *, resume: bool, overwrite: bool) -> None:
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
    initial_model: PathLike | None,
) -> dict[str, Any]:
    """Return the arguments of LandCoverNetwork; of its size those that an initial model has."""
    sizes: dict[str, Any] = {"width": width, "depth": depth, "skip": skip}
    if initial_model is None:
        default = {"width": recipe.width, "depth": recipe.depth, "skip": "concat"}
        sizes = {name: default[name] if size is None else size for name, size in sizes.items()}
    else:
        has = read_initial_model(initial_model, data).architecture
        for name, size in sizes.items():
            if size is not None and has.get(name) != size:
                raise InitialModelError(
                    initial_model, f"has {name} {has.get(name)}, not {size}", "leave the option out"
                )
        sizes = {name: has.get(name) for name in sizes}
    return {
        "input_channels": [model_input.channels for model_input in data.inputs],
        "classes": len(data.nomenclature),
        **sizes,
    }
