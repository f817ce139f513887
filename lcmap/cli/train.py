"""lcmap train: tile indexes to a model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lcmap import defaults
from lcmap.cli import builtin_names
from lcmap.cli.grouped import grouped, option_names, section
from lcmap.cli.invocation import invocation
from lcmap.cli.options import AllowVrt, Overwrite, Seed
from lcmap.launch import helps_another

if TYPE_CHECKING:
    from lcmap.cli.invocation import Invocation
    from lcmap.training.options import (
        NetworkSize,
        TileInputOptions,
        TrainOptions,
        TrainOutputs,
    )


@dataclass(frozen=True)
class Int8Choice:
    """Whether there is an int8 model, of the model trained or of another, and what it may lose."""

    wanted: bool
    only_of: Path | None
    max_loss: float


@section("8-bit integers")
def int8_choice(
    quantize: Annotated[
        bool,
        typer.Option(
            "--quantize", help="Write an int8 model as well, MODEL.int8.onnx beside the model."
        ),
    ] = False,
    quantize_only: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL.onnx",
            help="Do not train: write this model in int8 as the output.",
        ),
    ] = None,
    max_loss: Annotated[
        float,
        typer.Option(
            metavar="POINTS",
            min=0.0,
            help="Refuse an int8 model that loses more mIoU or OA on the validation tiles.",
        ),
    ] = defaults.MAX_LOSS,
) -> Int8Choice:
    """Return what is wanted in int8."""
    return Int8Choice(quantize, quantize_only, max_loss)


@section("Network")
def network_size(
    width: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Channels of the top level [default: the recipe's]."),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=6, help="Poolings [default: the recipe's]."),
    ] = None,
    skip: Annotated[
        Literal["concat", "reduce"] | None,
        typer.Option(
            help="Skip connections: whole, or reduced by 1 × 1 convolutions [default: concat]."
        ),
    ] = None,
) -> NetworkSize:
    """Return the size of the network."""
    from lcmap.training.options import NetworkSize

    return NetworkSize(width, depth, skip)


@section("Recipe")
def recipe_options(
    recipe: Annotated[
        Literal["default", "paper"],
        typer.Option(help="How to train; paper is as published by Stocker and Le Bris (2020)."),
    ] = defaults.RECIPE,
    batch_size: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Crops per step [default: the recipe's]."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help=f"How long to train [default: {defaults.EPOCHS}]."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="M", min=0.01, help="How long to train and validate, instead."),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Stop after so many epochs without a better model "
            f"[default: {defaults.PATIENCE}; with --recipe paper, never].",
        ),
    ] = None,
    final: Annotated[
        bool,
        typer.Option(
            "--final",
            help="Afterwards train anew on the validation tiles too, for as many steps as the best "
            "model had. Each run has half of the minutes.",
        ),
    ] = False,
    calibrate: Annotated[
        Literal["beside", "elsewhere"],
        typer.Option(
            help="What confidence is calibrated on: the validation tiles, which are beside the "
            "training ground, or images that are left out in turn, for maps of ground that no "
            f"tile shows. The latter takes {defaults.CALIBRATION_FOLDS} more trainings, fewer of "
            "fewer images, each as long as that of the model.",
        ),
    ] = defaults.CALIBRATE,
) -> TrainOptions:
    """Return how a network is trained, and for how long."""
    from lcmap.training.options import TrainOptions

    return TrainOptions(
        recipe, batch_size, epochs=epochs, minutes=minutes, patience=patience, final=final,
        calibrate=calibrate,
    )  # fmt: skip


@section("Training")
@grouped(recipe=recipe_options, size=network_size)
def training_options(
    recipe: TrainOptions,
    size: NetworkSize,
    init_from: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL.onnx",
            help="Fine-tune this model, of the same bands and classes. Of the weights on the way "
            "from its own to the trained ones, those that do best on the validation tiles are "
            "kept. A model that lacks the tiles' last side inputs is extended: training starts "
            "from what it predicts and learns what they add.",
        ),
    ] = None,
    unlabelled: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="IMAGE",
            help="An image without labels, above all the one to be mapped: training learns from it "
            "too. A folder, a pattern or an index of images is taken as well; repeatable.",
        ),
    ] = None,
    allow_overlap: Annotated[
        bool,
        typer.Option(
            "--allow-overlap",
            help="Train though training tiles cover ground of validation or test tiles.",
        ),
    ] = False,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(help="What computes; auto takes CUDA where it is there."),
    ] = defaults.TRAINING_DEVICE,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Processor cores to use, of each process under torchrun [default: all it may, "
            "divided among the processes of a machine].",
        ),
    ] = None,
    seed: Seed = defaults.SEED,
) -> TrainOptions:
    """Return how a network is trained, and from what."""
    return dataclasses.replace(
        recipe,
        size=size,
        initial_model=init_from,
        unlabelled=tuple(unlabelled or ()),
        allow_overlap=allow_overlap,
        device=device,
        threads=threads,
        seed=seed,
    )


@section("Inputs")
def tile_inputs(
    allow_vrt: AllowVrt = False,
    quantiles: Annotated[
        str | None,
        typer.Option(
            metavar="image|training|model|FILE",
            autocompletion=builtin_names.training_quantiles,
            help="What images are scaled by: each by its own 2 % and 98 % quantiles or those that "
            "it carries, all by the mean of these, by those of the model of --init-from or "
            "--quantize-only, or by those in a file of lcmap prepare --quantiles-of or of any "
            "prepared raster [default: as in that model, else what the recipe says].",
        ),
    ] = None,
) -> TileInputOptions:
    """Return how the images of tile indexes are read."""
    from lcmap.training.options import TileInputOptions

    return TileInputOptions(allow_vrt, quantiles)


@section("Outputs")
def training_outputs(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="MODEL.onnx", help="The model to write.")
    ],
    stac: Annotated[
        bool, typer.Option("--stac", help="Write a STAC item (.stac.json) beside the model.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue a run that was interrupted, if there is one."),
    ] = False,
    export_best: Annotated[
        bool,
        typer.Option(
            "--export-best",
            help="Write the best model of a run that was interrupted, and train no further.",
        ),
    ] = False,
    suspect_labels: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also write into this folder which labels are contradicted by networks not "
            "trained on them: two rasters for each label file, and suspects.gpkg. Takes "
            f"{defaults.SUSPECT_FOLDS} more trainings, each as long as that of the model.",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> TrainOutputs:
    """Return the files of a training run."""
    from lcmap.training.options import TrainOutputs

    return TrainOutputs(output, stac, resume, overwrite, export_best, suspect_labels)


_OF_TRAINING = [
    *(name for name in option_names(training_options) if name != "seed"),
    "resume",
    "export_best",
    "suspect_labels",
    "quantize",
]


@grouped(
    outputs=training_outputs,
    options=training_options,
    inputs=tile_inputs,
    int8=int8_choice,
    called=invocation,
)
def command(
    tiles: Annotated[
        list[Path],
        typer.Argument(
            metavar="TILES",
            help="Tile indexes made by lcmap prepare --tiles, in one nomenclature.",
            show_default=False,
        ),
    ],
    *,
    outputs: TrainOutputs,
    options: TrainOptions,
    inputs: TileInputOptions,
    int8: Int8Choice,
    called: Invocation,
) -> None:
    """Train a model on the tiles of one or more images.

    The model with the best mIoU on the validation tiles is kept and written as ONNX. Where
    onnxruntime and PyTorch differ on training tiles, a warning says by how much. The scores that it
    carries are its own, as onnxruntime computes it in float32; the curves are those of training, in
    bfloat16 where the device has it. With the model come the curves (.curves.csv, .curves.png).
    Its confidence is calibrated on the validation tiles, but with --recipe paper, or by --calibrate
    elsewhere on images that further networks were trained without.
    Until the run has ended, its checkpoint (.checkpoint.pt) and the curves so far
    (.checkpoint.curves.csv, .checkpoint.curves.png) are there: --resume goes on from it, and
    --export-best writes the best model so far, both with the options that the run was begun with.

    With --final the run tells for how many steps to train, and another model is trained on the
    training and validation tiles and written. The scores that it carries are those of the run
    without the validation tiles. Test tiles are never used.

    With --quantize its convolutions are brought to 8-bit integers as well, calibrated on training
    tiles. mIoU and OA on the validation tiles are reported before and after; a model that loses
    more than --max-loss is not written, and the command fails.

    Started by torchrun, several processes train one model together, on the processors or GPUs of
    one machine or several: each takes its share of every batch, and the model is that of one
    process, but for rounding. The first of them writes.
    """
    from lcmap.training.int8_model import quantise_model
    from lcmap.training.options import Int8Options
    from lcmap.training.run import help_train
    from lcmap.training.train import train

    limits = Int8Options(int8.max_loss, options.seed, outputs.stac, outputs.overwrite)
    with called.reporting() as reporter:
        if int8.only_of is not None:
            called.refuse(_OF_TRAINING, "is about training", "leave it out with `quantize_only`")
            if helps_another():
                return
            with reporter.progress("quantize") as progress:
                made = quantise_model(
                    tiles, int8.only_of, outputs.model, limits, inputs, progress=progress
                )
            reporter.result(made.text, prose=True)
            return
        if not int8.wanted:
            called.refuse(
                ["max_loss"], "is about an int8 model", "give `quantize`, or leave it out"
            )
        if helps_another():
            help_train(tiles, options, inputs)
            return
        with reporter.progress("train") as progress:
            report = train(
                tiles, outputs, options, inputs, limits if int8.wanted else None, progress=progress
            )
        reporter.result(report.text, prose=True)
        if report.suspects is not None:
            reporter.result(report.suspects.text, prose=True)
        if isinstance(report.int8, Exception):
            raise report.int8
        if report.int8 is not None:
            reporter.result(report.int8.text, prose=True)
