"""lcmap fuse: several inputs and a model to a map; or class probabilities to a map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lcmap.cli import builtin_names
from lcmap.cli.grouped import grouped, option_names, section
from lcmap.cli.invocation import invocation
from lcmap.cli.map_summary import MapSummary
from lcmap.cli.options import Verify, computing, map_outputs, several_inputs
from lcmap.errors import UsageError

if TYPE_CHECKING:
    from lcmap.cli.invocation import Invocation
    from lcmap.engines.compute import Compute
    from lcmap.inference.late_fusion import LateFusion
    from lcmap.inference.options import MapOutputs, ModelInputOptions

_OF_A_MODEL = ["model", *option_names(computing), "force", "verify", "prefer", "scenes", "without"]


@dataclass(frozen=True)
class LateRule:
    """How class probabilities are joined, as it is given; without a method there is a model."""

    method: Literal["product", "mean"] | None
    weights: str | None

    def fusion(self) -> LateFusion | None:
        """Return the late fusion that is asked for.

        Raises:
            UsageError: weights that are not numbers.
        """
        from lcmap.inference.late_fusion import LateFusion

        if self.method is None:
            return None
        if self.weights is None:
            return LateFusion(self.method)
        try:
            return LateFusion(self.method, [float(weight) for weight in self.weights.split(",")])
        except ValueError as error:
            raise UsageError("`weights`", f"{self.weights} are not numbers", "as in 2,1") from error


@section("Late fusion")
def late_rule(
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
) -> LateRule:
    """Return how class probabilities are joined."""
    return LateRule(late, weights)


@grouped(
    rule=late_rule,
    outputs=map_outputs,
    compute=computing,
    options=several_inputs,
    called=invocation,
)
def command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE INPUT...",
            autocompletion=builtin_names.meanings,
            help="The image that gives the grid, then the model's other inputs in their order, "
            "on any grid: images, label maps (oso.tif:oso23), class probabilities; - is standard "
            "input. Each may be a folder, a pattern or an index of rasters, as with lcmap predict; "
            "those of a series are its dates, any number and any days. "
            "With --late: files of class probabilities.",
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
    rule: LateRule,
    outputs: MapOutputs,
    compute: Compute,
    options: ModelInputOptions,
    verify: Verify = False,
    called: Invocation,
) -> None:
    """Make a land-cover map of several sensors, or of an image and a label map.

    The model has an encoder for each input, joined before its deepest level. Inputs on other
    grids and in other coordinate reference systems are brought onto the image's as they are read.
    A pixel without data in any input becomes 0. A run that was stopped or killed is continued by
    the same command, as with lcmap predict.

    With --late the maps of several models, each made by itself, are joined instead.
    """
    summary = MapSummary(outputs, compute.shard)
    with called.reporting() as reporter, reporter.progress("fuse") as progress:
        fusion = rule.fusion()
        if fusion is not None:
            called.refuse(_OF_A_MODEL, "does not apply to late fusion, which takes no model")
            from lcmap.inference.late_fusion import late_fusion

            summary.say(late_fusion(inputs, outputs, fusion, options, progress=progress))
            return
        called.refuse(["weights"], "applies to late fusion only")
        if model is None:
            raise UsageError(
                "`model`", "is missing", "name one, or choose late fusion with `late=product`"
            )
        from lcmap.inference.predict import predict

        report = predict(inputs, model, outputs, compute, options, verify=verify, progress=progress)
        summary.say(report)
