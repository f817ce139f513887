"""lcmap generalise: a map without objects below a minimum mapping unit, and its polygons."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmap.cli.grouped import grouped, section
from lcmap.cli.invocation import invocation
from lcmap.cli.options import (
    Cog,
    MapNomenclature,
    Output,
    Overwrite,
    Preview,
    label_input_options,
)

if TYPE_CHECKING:
    from lcmap.cli.invocation import Invocation
    from lcmap.dataset.inputs import InputOptions
    from lcmap.products.options import GeneraliseOutputs


@section("Outputs")
def generalise_outputs(
    output: Output = "-",
    vector: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.gpkg",
            help="Also write the objects as polygons without gaps or overlaps, with their class "
            "and area.",
        ),
    ] = None,
    preview: Preview = None,
    cog: Cog = False,
    overwrite: Overwrite = False,
) -> GeneraliseOutputs:
    """Return the files to write."""
    from lcmap.products.options import GeneraliseOutputs

    return GeneraliseOutputs(output, vector, preview, cog, overwrite)


@grouped(outputs=generalise_outputs, inputs=label_input_options, called=invocation)
def command(
    map_: Annotated[
        str,
        typer.Argument(metavar="MAP", help="A map of class codes; - is standard input."),
    ],
    *,
    mmu: Annotated[
        float,
        typer.Option(
            metavar="HECTARES",
            help="The minimum mapping unit: objects below it become part of their neighbours.",
            show_default=False,
        ),
    ],
    outputs: GeneraliseOutputs,
    confidence: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --vector: the confidence of the map, as lcmap predict writes it; polygons "
            "get its mean.",
        ),
    ] = None,
    nomenclature: MapNomenclature = None,
    inputs: InputOptions,
    called: Invocation,
) -> None:
    """Dissolve the objects of a map that are below a minimum mapping unit.

    An object is all pixels of one class that are connected by their sides. The smallest is
    dissolved first: it takes the class with which it shares the longest border, of two as long the
    one of the lower code, and is then one object with its neighbours of that class. This repeats
    until none is below the unit, except islands in ground without a class, which stays as it is.
    The result does not depend on blocks.

    Polygons carry the code and name of their class, their area in m² and hectares, and with
    --confidence its mean. Their outlines are simplified by about two pixels; neighbours share
    them. Areas are those of the pixels.
    """
    from lcmap.products.generalise import generalise

    with called.reporting() as reporter, reporter.progress("generalise") as progress:
        start = time.monotonic()
        made = generalise(
            map_,
            outputs,
            mmu,
            nomenclature=nomenclature,
            confidence=confidence,
            inputs=inputs,
            progress=progress,
        )
        logging.getLogger("lcmap").info("%s", made.text(time.monotonic() - start))
