"""lcmap train: tile indexes to a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from lcmap.cli import console
from lcmap.cli.options import Overwrite, Quiet, Seed, Verbose
from lcmap.errors import UsageError


def command(
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
    ] = "default",
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="How long to train [default: 100].")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="M", min=0.01, help="How long to train and validate, instead."),
    ] = None,
    patience: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Stop after so many epochs without a better model."),
    ] = 30,
    seed: Seed = 0,
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
        typer.Option(help="What computes; auto takes CUDA if there."),
    ] = "auto",
    quantize: Annotated[
        bool,
        typer.Option("--quantize", help="Make the model int8 as well: MODEL.int8.onnx beside it."),
    ] = False,
    quantize_only: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL.onnx",
            help="Train nothing: make this model int8 and write that as the output.",
        ),
    ] = None,
    max_loss: Annotated[
        float,
        typer.Option(
            metavar="POINTS",
            min=0.0,
            help="Refuse an int8 model that loses more mIoU or OA on the validation tiles.",
        ),
    ] = 0.5,
    stac: Annotated[
        bool, typer.Option("--stac", help="Write a STAC item (.stac.json) beside the model.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train a model on the tiles of one or more images.

    The model with the best mIoU on the validation tiles is kept and written as ONNX, once
    onnxruntime agrees with PyTorch on it. Beside it lie the curves (.curves.csv, .curves.png)
    and, until the run has ended, its checkpoint (.checkpoint.pt), from which --resume goes on.

    With --quantize its convolutions are brought to 8-bit integers as well, calibrated on training
    tiles. mIoU and OA on the validation tiles are reported before and after; a model that loses
    more than --max-loss is not written, and the command fails.
    """
    from lcmap.raster.writing import check_output
    from lcmap.training.int8_model import int8_path, quantise_model
    from lcmap.training.train import train

    def quantise(model: Path, to: Path, *, overwrite: bool) -> None:
        with reporter.progress("quantize") as progress:
            report = quantise_model(
                tiles, model, to, max_loss=max_loss, seed=seed, overwrite=overwrite, stac=stac,
                progress=progress,
            )  # fmt: skip
        reporter.result(report.text)

    with console.reporting(quiet=quiet, verbose=verbose) as reporter:
        if quantize_only is not None:
            of_training = {
                "--epochs": epochs, "--minutes": minutes, "--init-from": init_from,
                "--resume": resume or None, "--quantize": quantize or None, "--width": width,
                "--depth": depth, "--skip": skip, "--batch-size": batch_size,
            }  # fmt: skip
            _check_alone(of_training)
            quantise(quantize_only, output, overwrite=overwrite)
            return
        if quantize:
            check_output(int8_path(output), overwrite=overwrite or resume)
        with reporter.progress("train") as progress:
            report = train(
                tiles,
                output,
                recipe=recipe,
                epochs=epochs,
                minutes=minutes,
                patience=patience,
                seed=seed,
                initial_model=init_from,
                resume=resume,
                overwrite=overwrite,
                width=width,
                depth=depth,
                skip=skip,
                batch_size=batch_size,
                device=device,
                stac=stac,
                progress=progress,
            )
        reporter.result(report.text)
        if quantize:
            quantise(output, int8_path(output), overwrite=overwrite or resume)


def _check_alone(of_training: Mapping[str, object]) -> None:
    given = [option for option, value in of_training.items() if value is not None]
    if given:
        raise UsageError(
            "--quantize-only", f"trains nothing, but {', '.join(given)} was given", "leave it out"
        )
