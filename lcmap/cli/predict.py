"""lcmap predict: an image and a model to a map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lcmap.cli import console
from lcmap.cli.options import (
    DEFAULT_MEMORY,
    AllowVrt,
    Cog,
    Confidence,
    Engine,
    Force,
    Memory,
    Model,
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


def command(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="The image to map; - is standard input.")
    ],
    model: Model,
    output: Output = "-",
    confidence: Confidence = None,
    probabilities: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write each class's probability (float32, a band per class)."
        ),
    ] = None,
    verify: Verify = False,
    tile: TileSize = None,
    memory: Memory = DEFAULT_MEMORY,  # type: ignore[assignment]
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
    """Make a land-cover map of an image with a trained model.

    The image needs the bands, data type and ground sampling distance that the model was trained
    on. It is scaled by its own 2 % and 98 % quantiles, which lcmap prepare writes into it; an
    image without them is read twice. Pixels without data in any band become 0.

    A run that was stopped or killed is continued by the same command, to the same bytes. Until
    the map is whole, what is finished lies beside it, in the folder .MAP.lcmap-unfinished: 1 byte
    a pixel for the map, 1 for --confidence, 4 a class for --probabilities, 4 for --verify. Where
    the input or the map is -, it lies in --tmpdir and is not continued.
    """
    from lcmap.inference.predict import predict

    with (
        console.reporting(quiet=quiet, verbose=verbose) as reporter,
        reporter.progress("predict") as progress,
    ):
        predict(
            image,
            model,
            output,
            confidence=confidence,
            probabilities=probabilities,
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
