"""lcmap train: tile indexes to a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lcmap import defaults
from lcmap.cli import console
from lcmap.cli.grouped import refuse
from lcmap.cli.options import Overwrite, Quiet, Seed, Verbose

OF_TRAINING = (
    "recipe", "epochs", "minutes", "patience", "init_from", "resume", "export_best", "width",
    "depth", "skip", "batch_size", "device", "allow_overlap", "quantize",
)  # fmt: skip
OF_INT8 = ("max_loss",)
"""Options that say nothing with --quantize-only, and without --quantize."""


def command(
    context: typer.Context,
    tiles: Annotated[
        list[Path],
        typer.Argument(
            metavar="TILES",
            help="Tile indexes made by lcmap prepare --tiles, in one nomenclature.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="MODEL.onnx", help="The model to write.")
    ],
    recipe: Annotated[
        Literal["default", "paper"],
        typer.Option(help="How to train; paper is as published by Stocker and Le Bris (2020)."),
    ] = defaults.RECIPE,
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
    seed: Seed = defaults.SEED,
    init_from: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL.onnx",
            help="Fine-tune this model, of the same bands and classes. Where it lacks the tiles' "
            "last side inputs, training starts from what it predicts and learns what they add.",
        ),
    ] = None,
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
    batch_size: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Crops per step [default: the recipe's]."),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(help="What computes; auto takes CUDA where it is there."),
    ] = defaults.TRAINING_DEVICE,
    allow_overlap: Annotated[
        bool,
        typer.Option(
            "--allow-overlap",
            help="Train though training tiles cover ground of validation or test tiles.",
        ),
    ] = False,
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
    stac: Annotated[
        bool, typer.Option("--stac", help="Write a STAC item (.stac.json) beside the model.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train a model on the tiles of one or more images.

    The model with the best mIoU on the validation tiles is kept and written as ONNX. Where
    onnxruntime and PyTorch differ on training tiles, a warning says by how much. The scores that it
    carries are its own, as onnxruntime computes it in float32; the curves are those of training, in
    bfloat16 where the device has it. Beside the model are the curves (.curves.csv, .curves.png)
    and, until the run has ended, its checkpoint (.checkpoint.pt), from which --resume goes on and
    --export-best writes the best model so far, both with the options that the run was begun with.

    With --quantize its convolutions are brought to 8-bit integers as well, calibrated on training
    tiles. mIoU and OA on the validation tiles are reported before and after; a model that loses
    more than --max-loss is not written, and the command fails.
    """
    from lcmap.raster.writing import check_output
    from lcmap.training.int8_model import int8_path, quantise_model
    from lcmap.training.options import Int8Options, NetworkSize, TrainOptions, TrainOutputs
    from lcmap.training.train import train

    outputs = TrainOutputs(output, stac, resume, overwrite, export_best)

    def quantise(model: Path, to: Path, *, replace: bool) -> None:
        options = Int8Options(max_loss, seed, stac, replace)
        with reporter.progress("quantize") as progress:
            report = quantise_model(tiles, model, to, options, progress=progress)
        reporter.result(report.text)

    with console.reporting(quiet=quiet, verbose=verbose) as reporter:
        if quantize_only is not None:
            refuse(context, OF_TRAINING, "is about training", "leave it out with `quantize_only`")
            quantise(quantize_only, output, replace=overwrite)
            return
        if not quantize:
            refuse(context, OF_INT8, "is about an int8 model", "give `quantize`, or leave it out")
        else:
            check_output(int8_path(output), overwrite=outputs.replaces)
        with reporter.progress("train") as progress:
            report = train(
                tiles,
                outputs,
                TrainOptions(
                    recipe=recipe,
                    batch_size=batch_size,
                    size=NetworkSize(width, depth, skip),
                    initial_model=init_from,
                    epochs=epochs,
                    minutes=minutes,
                    patience=patience,
                    seed=seed,
                    device=device,
                    allow_overlap=allow_overlap,
                ),
                progress=progress,
            )
        reporter.result(report.text)
        if quantize:
            quantise(output, int8_path(output), replace=outputs.replaces)
