"""lcmap reclassify-oso: an image and an existing label map to a map in other classes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    from lcmap.inference.options import MapOutputs, ModelInputOptions

_OF_A_MODEL = [
    "model",
    *option_names(computing),
    "force",
    "verify",
    "confidence",
    "margin",
    "probabilities",
    "prefer",
    "scenes",
    "without",
]


@dataclass(frozen=True)
class Reclassification:
    """How the label map comes into other classes: by a model, or by a crosswalk alone.

    oso_classes: the classes of the label map; None: those that it names itself.
    model: a model of an image and a label map.
    crosswalk_only: write the label map in other classes, without a model.
    crosswalk: that of `crosswalk_only`; None: the one to oso-reclass.
    verify: predict twice and compare.
    """

    oso_classes: str | None
    model: Path | None
    crosswalk_only: bool
    crosswalk: str | None
    verify: bool


@section("Classes")
def reclassification(
    oso_classes: Annotated[
        str | None,
        typer.Option(
            "--oso",
            metavar="oso23|oso17|FILE.toml",
            autocompletion=builtin_names.label_map_nomenclatures,
            help="The classes of the label map [default: those that it names itself]; codes alone "
            "do not tell, since 11 and 12 differ between the versions.",
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
            autocompletion=builtin_names.crosswalks,
            help="The crosswalk of --crosswalk-only [default: to oso-reclass].",
        ),
    ] = None,
    verify: Verify = False,
) -> Reclassification:
    """Return how the label map comes into other classes."""
    return Reclassification(oso_classes, model, crosswalk_only, crosswalk, verify)


@grouped(
    by=reclassification,
    outputs=map_outputs,
    compute=computing,
    options=several_inputs,
    called=invocation,
)
def command(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="The image, which gives the grid; - is standard input. Or a folder, a pattern or "
            "an index of images that overlap, as with lcmap predict.",
        ),
    ],
    oso: Annotated[
        Path,
        typer.Argument(
            metavar="OSO",
            help="The label map, on any grid; or a folder, a pattern or an index of its parts.",
            show_default=False,
        ),
    ],
    *,
    by: Reclassification,
    outputs: MapOutputs,
    compute: Compute,
    options: ModelInputOptions,
    called: Invocation,
) -> None:
    """Bring an existing label map, such as OSO, into other classes with the help of an image.

    The model sees the image and the map together and maps all its classes, those that the map
    does not have among them. A run that was stopped or killed is continued by the same command,
    as with lcmap predict. With --crosswalk-only the map alone is brought into other classes: what
    the crosswalk leads to is kept, the rest becomes 0 (discarded), and new classes stay empty.
    """
    summary = MapSummary(outputs, compute.shard)
    with called.reporting() as reporter:
        with reporter.progress("reclassify-oso") as progress:
            if not by.crosswalk_only:
                called.refuse(["crosswalk"], "applies with --crosswalk-only alone")
                if by.model is None:
                    raise UsageError("`model`", "is missing", "name one, or --crosswalk-only")
                from lcmap.inference.reclassify import reclassify_oso

                made = reclassify_oso(
                    (image, oso), by.model, outputs, compute, options,
                    oso_classes=by.oso_classes, verify=by.verify, progress=progress,
                )  # fmt: skip
                summary.say(made)
                return
            called.refuse(_OF_A_MODEL, "does not apply with --crosswalk-only")
            from lcmap.inference.crosswalk_map import crosswalk_map

            report = crosswalk_map(
                (image, oso), outputs, options,
                oso_classes=by.oso_classes, crosswalk=by.crosswalk, progress=progress,
            )  # fmt: skip
        summary.say(report)
        if os.fspath(outputs.codes) != "-":
            reporter.summary(report.classes)
