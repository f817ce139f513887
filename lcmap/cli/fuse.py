"""lcmap fuse: an image, side inputs and a model to a map; or class probabilities to a map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lcmap.cli import console
from lcmap.cli.options import (
    DEFAULT_MEMORY,
    AllowMissing,
    AllowVrt,
    Cog,
    Confidence,
    Engine,
    Force,
    Memory,
    Output,
    Overwrite,
    Precision,
    Provider,
    Qml,
    Quiet,
    Threads,
    TileSize,
    Tmpdir,
    Verbose,
    Verify,
)
from lcmap.errors import UsageError


def command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE SIDE...",
            help="The image that gives the grid, then the model's other inputs in their order, "
            "on any grid: images, label maps (oso.tif:oso23), class probabilities; - is standard "
            "input. With --probabilities: files of class probabilities.",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL.onnx",
            help="A model of several inputs made by lcmap train.",
        ),
    ] = None,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities",
            help="Late fusion, without a model: join files that lcmap predict --probabilities "
            "wrote.",
        ),
    ] = False,
    late: Annotated[
        Literal["product", "mean"],
        typer.Option(help="How --probabilities are joined: Bayes' product, or a weighted mean."),
    ] = "product",
    weights: Annotated[
        str | None,
        typer.Option(metavar="W,...", help="A weight for each of --probabilities [default: 1]."),
    ] = None,
    output: Output = "-",
    confidence: Confidence = None,
    save_probabilities: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write each class's probability (float32, a band per class)."
        ),
    ] = None,
    verify: Verify = False,
    tile: TileSize = None,
    memory: Memory = DEFAULT_MEMORY,  # type: ignore[assignment]
    allow_missing: AllowMissing = False,
    cog: Cog = False,
    qml: Qml = False,
    allow_vrt: AllowVrt = False,
    force: Force = False,
    threads: Threads = None,
    precision: Precision = None,
    engine: Engine = "onnxruntime",
    provider: Provider = "auto",
    overwrite: Overwrite = False,
    tmpdir: Tmpdir = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make a land-cover map of several sensors, or of an image and a label map.

    The model has an encoder for each input, joined before its deepest level. Inputs on other
    grids and in other coordinate reference systems are brought onto the image's as they are read.
    A pixel without data in any input becomes 0. A run that was stopped or killed is continued by
    the same command, as with lcmap predict.

    With --probabilities the maps of several models are joined instead, each made by itself.
    """
    with (
        console.reporting(quiet=quiet, verbose=verbose) as reporter,
        reporter.progress("fuse") as progress,
    ):
        if probabilities == (model is not None):
            raise UsageError(
                "--model", "goes without --probabilities, which need none", "give one of the two"
            )
        if not probabilities and weights is not None:
            raise UsageError("--weights", "are those of --probabilities", "drop it")
        if probabilities:
            if verify:
                raise UsageError("--verify", "is about a model's tiles", "drop it")
            from lcmap.inference.late_fusion import late_fusion

            late_fusion(
                inputs,
                output,
                method=late,
                weights=_numbers(weights),
                confidence=confidence,
                fused_probabilities=save_probabilities,
                allow_missing=allow_missing,
                overwrite=overwrite,
                allow_vrt=allow_vrt,
                tmpdir=tmpdir,
                cog=cog,
                qml=qml,
                progress=progress,
            )
            return
        from lcmap.inference.predict import predict

        assert model is not None
        predict(
            inputs[0],
            model,
            output,
            sides=inputs[1:],
            allow_missing=allow_missing,
            confidence=confidence,
            probabilities=save_probabilities,
            verified=verify,
            tile=tile,
            memory=memory,
            cog=cog,
            qml=qml,
            allow_vrt=allow_vrt,
            force=force,
            threads=threads,
            precision=precision,
            engine=engine,
            provider=provider,
            overwrite=overwrite,
            tmpdir=tmpdir,
            progress=progress,
        )


def _numbers(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(number) for number in text.split(",")]
    except ValueError as error:
        raise UsageError("--weights", f"{text} are no numbers", "as in 2,1") from error
