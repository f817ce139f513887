"""lcmap reclassify-oso: an image and an existing label map to a map in other classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE", help="The image, which gives the grid; - is standard input."
        ),
    ],
    oso: Annotated[
        Path, typer.Argument(metavar="OSO", help="The label map, on any grid.", show_default=False)
    ],
    oso_classes: Annotated[
        str | None,
        typer.Option(
            "--oso",
            metavar="oso23|oso17|FILE.toml",
            help="The classes of the label map [default: what the map carries]; codes alone do "
            "not tell, for 11 and 12 mean other things in each.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL.onnx",
            help="A model of an image and a label map, made by lcmap train.",
        ),
    ] = None,
    crosswalk_only: Annotated[
        bool,
        typer.Option(
            "--crosswalk-only",
            help="Write the label map in other classes on the image's grid, without a model.",
        ),
    ] = False,
    crosswalk: Annotated[
        str | None,
        typer.Option(
            metavar="FROM:TO|FILE.toml",
            help="The crosswalk of --crosswalk-only [default: to oso-reclass].",
        ),
    ] = None,
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
    """Bring an existing label map, as OSO, into other classes with the help of an image.

    The model sees the image and the map together and maps all its classes, those that the map
    does not have among them. A run that was stopped or killed is continued by the same command,
    as with lcmap predict. With --crosswalk-only the map alone is brought into the classes that
    its own lead to (kept); the others become 0 (discarded), and new classes stay empty.
    """
    with console.reporting(quiet=quiet, verbose=verbose) as reporter:
        if crosswalk_only == (model is not None):
            raise UsageError("--model", "goes without --crosswalk-only", "give one of the two")
        if crosswalk is not None and not crosswalk_only:
            raise UsageError("--crosswalk", "goes with --crosswalk-only", "drop it")
        with reporter.progress("reclassify-oso") as progress:
            if model is not None:
                from lcmap.inference.reclassify import reclassify_oso

                reclassify_oso(
                    image,
                    oso,
                    model,
                    output,
                    oso_classes=oso_classes,
                    allow_missing=allow_missing,
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
                return
            for option, given in (
                ("--verify", verify),
                ("--confidence", confidence is not None),
                ("--probabilities", probabilities is not None),
            ):
                if given:
                    raise UsageError(option, "takes a model", "drop it, or give --model")
            from lcmap.inference.reclassify import adapt_oso

            adapted = adapt_oso(
                image,
                oso,
                output,
                oso_classes=oso_classes,
                crosswalk=crosswalk,
                cog=cog,
                qml=qml,
                allow_vrt=allow_vrt,
                allow_missing=allow_missing,
                overwrite=overwrite,
                tmpdir=tmpdir,
                progress=progress,
            )
        if output != "-" and not quiet:
            reporter.result(adapted.text)
