"""lcmap predict: an image and a model to a map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lcmap.cli import console
from lcmap.cli.options import AllowVrt, Model, Output, Overwrite, Quiet, Tmpdir, Verbose
from lcmap.inference import DEFAULT_TILE


def command(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="The image to map; - is standard input.")
    ],
    model: Model,
    output: Output = "-",
    confidence: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write the mapped class's probability in % (uint8)."
        ),
    ] = None,
    probabilities: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write each class's probability (float32, a band per class)."
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Predict again with shifted tiles of another size and compare: say how many "
            "pixels differ and how far probabilities are apart; write nothing where they "
            "disagree. Takes twice the time, and 4 bytes a pixel in the folder of --tmpdir.",
        ),
    ] = False,
    tile: Annotated[
        int,
        typer.Option(
            metavar="PIXELS",
            min=1,
            help="Size of the blocks predicted at once. The map does not depend on it, memory "
            "and speed do.",
        ),
    ] = DEFAULT_TILE,
    cog: Annotated[
        bool, typer.Option("--cog", help="Write cloud-optimised GeoTIFFs (COG).")
    ] = False,
    qml: Annotated[
        bool,
        typer.Option(
            "--qml", help="Write a QGIS style (.qml) and class names (.aux.xml) beside the map."
        ),
    ] = False,
    allow_vrt: AllowVrt = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Predict an image of another ground sampling distance too."),
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Processor cores to use [default: all it may]."),
    ] = None,
    provider: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(help="What computes; auto takes CUDA if there."),
    ] = "auto",
    overwrite: Overwrite = False,
    tmpdir: Tmpdir = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make a land-cover map of an image with a trained model.

    The image needs the bands, data type and ground sampling distance that the model was trained
    on. It is scaled by its own 2 % and 98 % quantiles, which lcmap prepare writes into it; an
    image without them is read twice. Pixels without data in any band become 0.
    """
    from lcmap.inference.predict import predict

    with (
        console.session(quiet=quiet, verbose=verbose) as session,
        session.progress("predict") as progress,
    ):
        predict(
            image,
            model,
            output,
            confidence=confidence,
            probabilities=probabilities,
            verified=verify,
            tile=tile,
            cog=cog,
            qml=qml,
            allow_vrt=allow_vrt,
            force=force,
            threads=threads,
            provider=provider,
            overwrite=overwrite,
            tmpdir=tmpdir,
            progress=progress,
        )
