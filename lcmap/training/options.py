"""What `train` and `quantise_model` are asked for, as values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

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
    patience: training ends after so many epochs without a better model; None is the recipe's.
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
    seed: int = defaults.SEED
    device: DeviceName = defaults.TRAINING_DEVICE
    allow_overlap: bool = False
    threads: int | None = None

    def check(self) -> None:
        """Check the choice before any work.

        Raises:
            UsageError: options that contradict each other.
        """
        if self.epochs is not None and self.minutes is not None:
            raise UsageError("`minutes`", "cannot be given with `epochs`", "choose one of them")

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
    """

    allow_vrt: bool = False
    quantiles: PathLike | None = None


@dataclass(frozen=True)
class TrainOutputs:
    """The files of a training run.

    model: the model; its curves and, until the run has ended, its checkpoint are beside it.
    stac: write a STAC item beside the model.
    resume: continue a run that was interrupted, if there is one.
    overwrite: replace files that exist.
    export_best: train no further: write the best model of a run that was interrupted, and keep
        its checkpoint.
    """

    model: PathLike
    stac: bool = False
    resume: bool = False
    overwrite: bool = False
    export_best: bool = False

    @property
    def checkpoint(self) -> Path:
        """Where the checkpoint of the run is."""
        return checkpoint_path(self.model)

    @property
    def in_work(self) -> list[Path]:
        """What is there until the run has ended: its checkpoint, and that one's curves."""
        return [self.checkpoint, *curves_paths(self.checkpoint)]

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
            InputMissingError: there is no run to export the best model of.
        """
        check_output(self.model, overwrite=self.overwrite)
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
