"""lcmap fuse: several inputs and a model to a map; or class probabilities to a map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lcmap.cli import console
from lcmap.cli.grouped import grouped, option_names, refuse
from lcmap.cli.options import Quiet, Verbose, Verify, computing, map_outputs, several_inputs
from lcmap.errors import UsageError

if TYPE_CHECKING:
    from lcmap.engines.compute import Compute
    from lcmap.inference.options import MapOutputs, ModelInputOptions

_OF_A_MODEL = ["model", *option_names(computing), "force", "verify"]


@grouped(outputs=map_outputs, compute=computing, options=several_inputs)
def command(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE INPUT...",
            help="The image that gives the grid, then the model's other inputs in their order, "
            "on any grid: images, label maps (oso.tif:oso23), class probabilities; - is standard "
            "input. With --late: files of class probabilities.",
            show_default=False,
        ),
    ],
    *,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL.onnx",
            help="A model of several inputs made by lcmap train.",
        ),
    ] = None,
    late: Annotated[
        Literal["product", "mean"] | None,
        typer.Option(
            help="Late fusion, without a model: join files that lcmap predict --probabilities "
            "wrote, by Bayes' product or a weighted mean.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="W,...", help="A weight for each file of --late [default: 1]."),
    ] = None,
    outputs: MapOutputs,
    compute: Compute,
    options: ModelInputOptions,
    verify: Verify = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make a land-cover map of several sensors, or of an image and a label map.

    The model has an encoder for each input, joined before its deepest level. Inputs on other
    grids and in other coordinate reference systems are brought onto the image's as they are read.
    A pixel without data in any input becomes 0. A run that was stopped or killed is continued by
    the same command, as with lcmap predict.

    With --late the maps of several models, each made by itself, are joined instead.
    """
    with (
        console.reporting(quiet=quiet, verbose=verbose) as reporter,
        reporter.progress("fuse") as progress,
    ):
        if late is not None:
            refuse(context, _OF_A_MODEL, "does not apply to late fusion, which takes no model")
            from lcmap.inference.late_fusion import LateFusion, late_fusion

            fusion = LateFusion(late, _numbers(weights))
            late_fusion(inputs, outputs, fusion, options, progress=progress)
            return
        refuse(context, ["weights"], "applies to late fusion only")
        if model is None:
            raise UsageError(
                "`model`", "is missing", "name one, or choose late fusion with `late=product`"
            )
        from lcmap.inference.predict import predict

        predict(inputs, model, outputs, compute, options, verify=verify, progress=progress)


def _numbers(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(number) for number in text.split(",")]
    except ValueError as error:
        raise UsageError("`weights`", f"{text} are not numbers", "as in 2,1") from error
