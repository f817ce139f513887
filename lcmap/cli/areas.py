"""lcmap areas: hectares by class, by zone, and from class to class between two maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lcmap.cli.grouped import grouped, section
from lcmap.cli.invocation import invocation
from lcmap.cli.options import MapNomenclature, Overwrite, label_input_options
from lcmap.cli.printed_form import AlsoTo, PrintedForm, printed_form

if TYPE_CHECKING:
    from lcmap.cli.invocation import Invocation
    from lcmap.dataset.inputs import InputOptions
    from lcmap.products.areas import AreaOptions


@section("Zones and classes")
def area_options(
    zones: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[:LAYER]",
            help="Count by zone too: polygons in a GeoPackage, shapefile, GeoJSON or FlatGeobuf, "
            "in any system.",
        ),
    ] = None,
    zone_name: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD",
            help="The field with the names of the zones; polygons of one name are one zone "
            "[default: nom, name or the like, else zones are numbered].",
        ),
    ] = None,
    nomenclature: MapNomenclature = None,
    output: AlsoTo = None,
    overwrite: Overwrite = False,
) -> AreaOptions:
    """Return what areas are counted of, and where they go."""
    from lcmap.products.areas import AreaOptions

    return AreaOptions(nomenclature, zones, zone_name, tuple(output or ()), overwrite)


@grouped(options=area_options, to=printed_form, inputs=label_input_options, called=invocation)
def command(
    maps: Annotated[
        list[str],
        typer.Argument(
            metavar="MAP [OTHER]",
            help="A map of class codes, or two on the same grid; - is standard input.",
            show_default=False,
        ),
    ],
    *,
    options: AreaOptions,
    to: PrintedForm,
    inputs: InputOptions,
    called: Invocation,
) -> None:
    """Count how many hectares of each class a map has, or from class to class between two.

    In a projected system each pixel counts its area there, in degrees its area on the ellipsoid.
    Pixels on the border of a zone count by the part that the zone covers. Shares are of the ground
    that has a class.

    These are counts of pixels, not estimates of areas: where the map is wrong, so are they. The
    difference of two maps is for the most part their errors; lcmap update makes one to compare.
    """
    from lcmap.products.area_tables import area_notes, area_tables, area_text
    from lcmap.products.areas import areas

    with called.reporting() as reporter:
        to.check()
        with reporter.progress("areas") as progress:
            report = areas(maps, options, inputs=inputs, progress=progress)
        reporter.result(
            to.of(
                report,
                lambda: (area_tables(report), area_notes(report)),
                lambda: area_text(report),
            )
        )
