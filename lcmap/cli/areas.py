"""lcmap areas: hectares by class, by zone, and from class to class between two maps."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcmap.cli.grouped import grouped
from lcmap.cli.invocation import invocation
from lcmap.cli.options import MapNomenclature, Overwrite, label_input_options
from lcmap.errors import UsageError

if TYPE_CHECKING:
    from lcmap.cli.invocation import Invocation
    from lcmap.dataset.inputs import InputOptions
    from lcmap.products.area_report import AreaReport
    from lcmap.products.areas import AreaOptions


@dataclass(frozen=True)
class Printed:
    """The form in which areas are printed."""

    as_json: bool
    as_csv: bool

    def check(self) -> None:
        """Check what is asked for before any work.

        Raises:
            UsageError: standard output is to take two forms.
        """
        if self.as_json and self.as_csv:
            raise UsageError(
                "--csv", "standard output takes one form", "write the other with -o FILE.csv"
            )

    def of(self, report: AreaReport) -> Any:
        """Return what is printed of areas."""
        if self.as_json:
            return report.to_json()
        if self.as_csv:
            return report.to_csv()
        from lcmap.products.area_tables import area_notes, area_tables, area_text

        if sys.stdout.isatty():
            from lcmap.cli.tables import for_terminal

            return for_terminal(area_tables(report), area_notes(report))
        return area_text(report)


def printed(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON instead of tables.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print everything as CSV instead of tables.")
    ] = False,
) -> Printed:
    """Return the form in which areas are printed."""
    return Printed(as_json, as_csv)


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
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Also write everything to a file, in the format of its ending: .json, .csv or "
            ".txt. May be repeated.",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> AreaOptions:
    """Return what areas are counted of, and where they go."""
    from lcmap.products.areas import AreaOptions

    return AreaOptions(nomenclature, zones, zone_name, tuple(output or ()), overwrite)


@grouped(options=area_options, to=printed, inputs=label_input_options, called=invocation)
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
    to: Printed,
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
    from lcmap.products.areas import areas

    with called.reporting() as reporter:
        to.check()
        with reporter.progress("areas") as progress:
            report = areas(maps, options, inputs=inputs, progress=progress)
        reporter.result(to.of(report))
