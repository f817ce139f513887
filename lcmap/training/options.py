"""What `train` and `quantise_model` are asked for, as values."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lcmap import defaults
from lcmap.errors import InputMissingError, OutputExistsError, UsageError
from lcmap.model_file import model_paths
from lcmap.network import Skip
from lcmap.paths import PathLike
from lcmap.raster.writing import check_output
from lcmap.training.checkpoint import checkpoint_path
from lcmap.training.curves import curves_paths
from lcmap.training.precision import DeviceName
from lcmap.training.recipe import RECIPES, Recipe

Ground = Literal["beside", "elsewhere"]
"""What a model's confidence is calibrated on: see `TrainOptions`."""


@dataclass(frozen=True)
class NetworkSize:
    """The size of a network; None is the recipe's, or that of the model that training starts from.

    width: channels of the top level.
    depth: poolings.
    skip: skip connections, whole or reduced by 1 × 1 convolutions.
    """

    width: int | None = None
    depth: int | None = None
    skip: Skip | None = None


@dataclass(frozen=True)
class TrainOptions:
    """How a network is trained.

    recipe: the name of a recipe in `RECIPES`.
    batch_size: crops per step; None is the recipe's.
    size: the network's.
    initial_model: a model to start from instead of random weights. Where it lacks the tiles' last
        side inputs, the network starts as the model does and learns what they add.
    epochs: how long to train, unless `minutes` are given.
    minutes: how long to train and validate; None counts epochs.
    calibrate: what the confidence is calibrated on, where the recipe has it so: "beside", the
        validation tiles; "elsewhere", images that further networks are trained without.
    final: once trained, train anew on training and validation tiles, for as many steps as the
        kept epoch had. Each run has half of the `minutes`.
    patience: training ends after so many epochs without a better model; None is the recipe's.
    unlabelled: images without labels that training learns from too: files, folders, patterns or
        indexes of rasters.
    seed: of everything that is random.
    device: what computes; "auto" takes CUDA where it is there.
    allow_overlap: train though training tiles share ground with validation or test tiles.
    threads: processor cores of each process; None is all that it may use, or its share of them.
    """

    recipe: str = defaults.RECIPE
    batch_size: int | None = None
    size: NetworkSize = NetworkSize()
    initial_model: PathLike | None = None
    epochs: int | None = None
    minutes: float | None = None
    patience: int | None = None
    final: bool = False
    calibrate: Ground = defaults.CALIBRATE
    seed: int = defaults.SEED
    device: DeviceName = defaults.TRAINING_DEVICE
    allow_overlap: bool = False
    threads: int | None = None
    unlabelled: tuple[PathLike, ...] = ()

    def check(self) -> None:
        """Check the choice before any work.

        Raises:
            UsageError: options that contradict each other.
        """
        if self.epochs is not None and self.minutes is not None:
            raise UsageError("`minutes`", "cannot be given with `epochs`", "choose one of them")
        if self.minutes is not None and not math.isfinite(self.minutes):
            raise UsageError("`minutes`", "must be a finite number", "give `epochs` to train long")
        if self.calibrate == "elsewhere" and self.chosen_recipe().calibration == "none":
            raise UsageError(
                "`calibrate=elsewhere`",
                f"is for a recipe that calibrates, which `recipe={self.recipe}` does not",
                f"use `recipe={defaults.RECIPE}`, or leave it out",
            )
        if self.unlabelled and not self.chosen_recipe().average:
            raise UsageError(
                "`unlabelled`",
                f"needs the running average of the weights, which `recipe={self.recipe}` has not",
                f"use `recipe={defaults.RECIPE}`, or leave it out",
            )

    @property
    def minutes_of_a_run(self) -> float:
        """The minutes that are given, or half of them where a final run follows the first.

        The final one takes no longer: it has at most as many steps, and validates nothing.
        """
        assert self.minutes is not None
        return self.minutes / 2 if self.final else self.minutes

    def chosen_recipe(self) -> Recipe:
        """Return the recipe with what is chosen otherwise."""
        recipe = RECIPES[self.recipe]
        if self.batch_size is not None:
            recipe = replace(recipe, batch_size=self.batch_size)
        if self.patience is not None:
            recipe = replace(recipe, patience=self.patience)
        if self.initial_model is not None:
            rate = recipe.learning_rate * recipe.fine_tuning
            muon = replace(
                recipe.muon, learning_rate=recipe.muon.learning_rate * recipe.fine_tuning
            )
            recipe = replace(recipe, learning_rate=rate, muon=muon)
        return recipe


@dataclass(frozen=True)
class TileInputOptions:
    """How the images of tile indexes are read.

    allow_vrt: open VRT files too, which read other files and addresses; mosaics of local files are
        opened without.
    quantiles: what images are scaled by: "image", each by its own or those that it carries;
        "training", all by the mean of these; "model", all by those of the model that training
        starts from; or a file of quantiles. None is as that model has it, else the recipe.
    with_test: check and scale the images of labelled test tiles too, as of tiles that are
        predicted; what they are does not change the model.
    """

    allow_vrt: bool = False
    quantiles: PathLike | None = None
    with_test: bool = False


@dataclass(frozen=True)
class TrainOutputs:
    """The files of a training run.

    model: the model; its curves and, until the run has ended, its checkpoint are beside it.
    stac: write a STAC item beside the model.
    resume: continue a run that was interrupted, if there is one.
    overwrite: replace files that exist.
    export_best: train no further: write the best model of a run that was interrupted, and keep
        its checkpoint.
    suspects: a folder to write to which labels are suspect; None for none.
    """

    model: PathLike
    stac: bool = False
    resume: bool = False
    overwrite: bool = False
    export_best: bool = False
    suspects: PathLike | None = None

    @property
    def suspects_checkpoint(self) -> Path:
        """Where the networks are that labels are judged by, until the run has ended."""
        return Path(self.model).with_suffix(".suspects.pt")

    @property
    def calibration_checkpoint(self) -> Path:
        """Where the networks are that leave out images, until the run has ended."""
        return Path(self.model).with_suffix(".calibration.pt")

    @property
    def checkpoint(self) -> Path:
        """Where the checkpoint of the run is."""
        return checkpoint_path(self.model)

    def in_work(self, options: TrainOptions) -> list[Path]:
        """Return what is there until a run has ended: its checkpoint with its curves, others."""
        judges = [] if self.suspects is None else [self.suspects_checkpoint]
        elsewhere = [self.calibration_checkpoint] if options.calibrate == "elsewhere" else []
        return [self.checkpoint, *curves_paths(self.checkpoint), *judges, *elsewhere]

    def finished(self, *, int8: bool) -> list[PathLike]:
        """Return the files that appear together when the run has ended."""
        models = [self.model, int8_path(self.model)] if int8 else [self.model]
        paths = [path for model in models for path in model_paths(model, stac=self.stac)]
        return [*paths, *curves_paths(self.model)]

    @property
    def replaces(self) -> bool:
        """Whether files of the run may exist: they are replaced, or they are its own."""
        return self.overwrite or self.resume or self.export_best

    def check(self, *, int8: bool) -> None:
        """Check, before any work, that the files can be written.

        Raises:
            OutputExistsError, CannotWriteError: as `check_output`.
            UsageError: suspects are wanted of a run that trains no further.
            InputMissingError: there is no run to export the best model of.
        """
        check_output(self.model, overwrite=self.overwrite)
        if self.export_best and self.suspects is not None:
            raise UsageError(
                "`suspect_labels`", "takes more training", "leave it out with `export_best`"
            )
        if self.export_best and not self.checkpoint.exists():
            raise InputMissingError(
                self.checkpoint,
                "no such file, so there is no model to export",
                "train without `export_best`",
            )
        if self.checkpoint.exists() and not self.replaces:
            raise OutputExistsError(
                self.checkpoint,
                "is the checkpoint of a run that was interrupted",
                "`resume` to continue it, `export_best` to write its best model, `overwrite` to "
                "start again",
            )
        for path in self.finished(int8=int8):
            check_output(path, overwrite=self.replaces)


def int8_path(model: PathLike) -> Path:
    """Return the path of a model's int8 form beside it: model.onnx -> model.int8.onnx."""
    return Path(model).with_suffix(".int8.onnx")


@dataclass(frozen=True)
class Int8Options:
    """How a model is brought to int8.

    max_loss: points, hundredths of mIoU or OA, that it may lose on the validation tiles.
    seed: draws the windows of training tiles that it is calibrated on.
    stac: write a STAC item beside the model.
    overwrite: replace a model that exists.
    """

    max_loss: float = defaults.MAX_LOSS
    seed: int = defaults.SEED
    stac: bool = False
    overwrite: bool = False
