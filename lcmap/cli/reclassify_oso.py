"""lcmap reclassify-oso: an image and an existing label map to a map in other classes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmap.cli import console
from lcmap.cli.grouped import grouped, option_names, refuse
from lcmap.cli.options import Quiet, Verbose, Verify, computing, map_outputs, several_inputs
from lcmap.errors import UsageError

if TYPE_CHECKING:
    from lcmap.engines.compute import Compute
    from lcmap.inference.options import MapOutputs, ModelInputOptions

_OF_A_MODEL = [
    "model",
    *option_names(computing),
    "force",
    "verify",
    "confidence",
    "probabilities",
]


@grouped(outputs=map_outputs, compute=computing, options=several_inputs)
def command(
    context: typer.Context,
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE", help="The image, which gives the grid; - is standard input."
        ),
    ],
    oso: Annotated[
        Path, typer.Argument(metavar="OSO", help="The label map, on any grid.", show_default=False)
    ],
    *,
    oso_classes: Annotated[
        str | None,
        typer.Option(
            "--oso",
            metavar="oso23|oso17|FILE.toml",
            help="The classes of the label map [default: those that it names itself]; codes alone "
            "do not tell, since 11 and 12 mean other things in each.",
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
    outputs: MapOutputs,
    compute: Compute,
    options: ModelInputOptions,
    verify: Verify = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Bring an existing label map, such as OSO, into other classes with the help of an image.

    The model sees the image and the map together and maps all its classes, those that the map
    does not have among them. A run that was stopped or killed is continued by the same command,
    as with lcmap predict. With --crosswalk-only the map alone is brought into other classes: what
    the crosswalk leads to is kept, the rest becomes 0 (discarded), and new classes stay empty.
    """
    with console.reporting(quiet=quiet, verbose=verbose) as reporter:
        with reporter.progress("reclassify-oso") as progress:
            if not crosswalk_only:
                refuse(context, ["crosswalk"], "applies with --crosswalk-only alone")
                if model is None:
                    raise UsageError("`model`", "is missing", "name one, or --crosswalk-only")
                from lcmap.inference.reclassify import reclassify_oso

                reclassify_oso(
                    (image, oso), model, outputs, compute, options,
                    oso_classes=oso_classes, verify=verify, progress=progress,
                )  # fmt: skip
                return
            refuse(context, _OF_A_MODEL, "does not apply with --crosswalk-only")
            from lcmap.inference.crosswalk_map import crosswalk_map

            report = crosswalk_map(
                (image, oso), outputs, options,
                oso_classes=oso_classes, crosswalk=crosswalk, progress=progress,
            )  # fmt: skip
        if os.fspath(outputs.codes) != "-" and not quiet:
            reporter.result(report.text)
