"""lcmap stac: what a catalogue is to know of maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmap.cli.grouped import grouped, section
from lcmap.cli.invocation import invocation
from lcmap.cli.options import Overwrite, label_input_options

if TYPE_CHECKING:
    from lcmap.cli.invocation import Invocation
    from lcmap.dataset.inputs import InputOptions
    from lcmap.products.stac import StacOptions


@section("Description")
def stac_options(
    period: Annotated[
        str | None,
        typer.Option(
            metavar="PERIOD",
            help="When the ground was seen: 2018, 2018-07, 2018-07-14 or 2018-05/2018-09 "
            "[default: what each map says].",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL.stac.json",
            help="The STAC item of the model that made the maps, which lcmap train --stac writes.",
        ),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="A title of the item or the collection."),
    ] = None,
    license_: Annotated[
        str | None,
        typer.Option(
            "--license",
            metavar="SPDX",
            help="The identifier of a licence, as in CC-BY-4.0 [default: not said].",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> StacOptions:
    """Return what is said of the maps."""
    from lcmap.products.stac import StacOptions

    return StacOptions(title, period, model, license_, overwrite)


@grouped(options=stac_options, inputs=label_input_options, called=invocation)
def command(
    rasters: Annotated[
        list[str],
        typer.Argument(
            metavar="MAP...",
            help="Maps of class codes, and what was written with them: files, folders, patterns or "
            "an index.",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="ITEM.json", help="The item or the collection."),
    ],
    options: StacOptions,
    inputs: InputOptions,
    called: Invocation,
) -> None:
    """Describe maps for a catalogue, as STAC items.

    Of one map an item is written: where it is and when its ground was seen, its grid, its classes
    with their colours, the software and the model that made it. Of several maps, as of sheets, it
    is a collection, and beside it is an item for each map, called MAP.stac.json. The confidence,
    margin, probabilities and scenes that lcmap wrote with a map are given with it, in any order,
    and become part of its item. Paths are relative, so that the files can be moved together.

    Maps say the day of their ground where the image said it; where none is known and --period does
    not say it, the time is when the map was written. No pixel is read.
    """
    from lcmap.products.stac import stac

    with called.reporting() as reporter:
        with reporter.progress("stac") as progress:
            written = stac(rasters, output, options, inputs=inputs, progress=progress)
        items = f" and {len(written) - 1} items" if len(written) > 1 else ""
        reporter.summary(f"wrote {output}{items}")
