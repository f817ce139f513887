"""lcmap train: tile indexes to a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lcmap.cli import console
from lcmap.cli.options import Overwrite, Quiet, Seed, Verbose


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
        typer.Option(metavar="N", min=1, help="Channels of the top floor [default: the recipe's]."),
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
    """
    from lcmap.training.train import train

    with console.session(quiet=quiet, verbose=verbose) as session:
        with session.progress("train") as progress:
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
        session.result(report.text)
