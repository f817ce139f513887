"""lcmap update: last year's map and this year's to a map that changes where the evidence does."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from lcmap import defaults
from lcmap.cli import builtin_names
from lcmap.cli.grouped import grouped, section
from lcmap.cli.invocation import invocation
from lcmap.cli.options import Output, Overwrite, Preview, label_input_options

if TYPE_CHECKING:
    from lcmap.cli.invocation import Invocation
    from lcmap.dataset.inputs import InputOptions
    from lcmap.products.update_options import UpdateOutputs, UpdateRule


@section("Outputs")
def update_outputs(
    output: Output = "-",
    changes: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Also write the change map: a class for each pair of classes, as "
            '"Grass → Building".',
        ),
    ] = None,
    preview: Preview = None,
    overwrite: Overwrite = False,
) -> UpdateOutputs:
    """Return the files to write."""
    from lcmap.products.update_options import UpdateOutputs

    return UpdateOutputs(output, changes, preview, overwrite)


@section("Evidence")
def update_rule(
    margin: Annotated[
        float,
        typer.Option(
            metavar="M",
            help="How much more probable this year the new class must be than last year's: 1 is "
            "more than twice, 2 four times, 3 eight times; 0 takes the new map as it is.",
        ),
    ] = defaults.MARGIN,
    min_change: Annotated[
        float | None,
        typer.Option(
            metavar="HECTARES",
            help="Keep last year's class where connected pixels of change are smaller together.",
        ),
    ] = None,
    crosswalk: Annotated[
        str | None,
        typer.Option(
            metavar="FROM:TO|FILE.toml",
            autocompletion=builtin_names.crosswalks,
            help="Brings last year's classes into this year's, where they are others.",
        ),
    ] = None,
) -> UpdateRule:
    """Return when a pixel leaves last year's class."""
    from lcmap.products.update_options import UpdateRule

    return UpdateRule(margin, min_change, crosswalk)


@grouped(outputs=update_outputs, rule=update_rule, inputs=label_input_options, called=invocation)
def command(
    last: Annotated[
        str,
        typer.Argument(
            metavar="LAST",
            help="Last year's map; - is standard input. FILE:NOMENCLATURE where it does not say "
            "its classes.",
            show_default=False,
        ),
    ],
    new: Annotated[
        str,
        typer.Argument(
            metavar="NEW", help="This year's map, on the same grid.", show_default=False
        ),
    ],
    *,
    probabilities: Annotated[
        str,
        typer.Option(
            metavar="FILE", help="This year's class probabilities, written with the new map."
        ),
    ],
    rule: UpdateRule,
    outputs: UpdateOutputs,
    inputs: InputOptions,
    called: Invocation,
) -> None:
    """Bring last year's map up to date, changing a pixel only where the evidence does.

    Two maps of the same ground differ at far more pixels than have changed. A pixel leaves last
    year's class where the new class is more probable than it this year by more than --margin. It
    keeps last year's class where the new map has none, as under clouds, and takes the new one where
    last year's map has none. With --margin 0 the result is the new map as it is. What changed is
    printed; on standard error where the map goes to standard output.
    """
    from lcmap.products.update import update

    with called.reporting() as reporter:
        with reporter.progress("update") as progress:
            report = update(
                last, new, probabilities, outputs, rule, inputs=inputs, progress=progress
            )
        if outputs.output == "-":
            logging.getLogger("lcmap").info("%s", report.text)
        else:
            reporter.summary(report.text)
