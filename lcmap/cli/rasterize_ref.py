"""lcmap rasterize-ref: vector databases to labels on the grid of an image."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmap.cli import console
from lcmap.cli.grouped import grouped
from lcmap.cli.options import Output, Overwrite, Quiet, Verbose, label_input_options

if TYPE_CHECKING:
    from lcmap.dataset.inputs import InputOptions
    from lcmap.reference.target import TargetGrid


@grouped(inputs=label_input_options)
def command(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Vector files (GeoPackage, shapefile, GeoJSON, FlatGeobuf), folders of them, or "
            "FILE:LAYER for one layer of a file.",
            show_default=False,
        ),
    ],
    *,
    rules: Annotated[
        str,
        typer.Option(
            "--rules",
            metavar="NAME|FILE.toml",
            help="bdtopo-topo6, bdtopo-topo18, bdtopo-oso-reclass, or rules of your own.",
        ),
    ],
    like: Annotated[
        Path | None,
        typer.Option("--like", metavar="IMAGE", help="An image on the grid wanted."),
    ] = None,
    bounds: Annotated[
        str | None,
        typer.Option(
            "--bounds", metavar="W,S,E,N", help="In place of --like: the ground, in units of --crs."
        ),
    ] = None,
    resolution: Annotated[
        float | None,
        typer.Option("--resolution", help="With --bounds: the side of a pixel."),
    ] = None,
    crs: Annotated[
        str | None,
        typer.Option("--crs", metavar="EPSG:CODE", help="With --bounds: the system of the grid."),
    ] = None,
    output: Output = "-",
    conflicts: Annotated[
        str | None,
        typer.Option(
            "--conflicts",
            metavar="FILE",
            help="Write how many classes claim each pixel; a ring claims only what nothing else "
            "does.",
        ),
    ] = None,
    all_touched: Annotated[
        bool,
        typer.Option(
            "--all-touched",
            help="Burn every pixel that a feature touches, not only those whose centre it covers.",
        ),
    ] = False,
    inputs: InputOptions,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Burn vector databases to labels on the grid of an image.

    The rules say, in order, which features of which layer become which class, how wide lines are
    and which class the ground around buildings gets; later rules win. Layer names, field names and
    the values that rules ask for are compared without regard to case and accents. The labels are a
    uint8 GeoTIFF, 0 where there is no feature, with the nomenclature's colours and names. What
    each rule took, and what none took, is printed; on standard error where the labels go to
    standard output.
    """
    from lcmap.reference.rasterize import RasterizeOutputs, rasterize_reference

    with (
        console.reporting(quiet=quiet, verbose=verbose) as reporter,
        reporter.progress("rasterizing") as progress,
    ):
        summary = rasterize_reference(
            sources,
            rules,
            _grid(like, bounds, resolution, crs),
            RasterizeOutputs(output, conflicts, overwrite),
            all_touched=all_touched,
            inputs=inputs,
            progress=progress,
        )
        if output == "-":
            logging.getLogger("lcmap").info("%s", summary.text)
        elif not quiet:
            reporter.result(summary.text)


def _grid(
    like: Path | None, bounds: str | None, resolution: float | None, crs: str | None
) -> Path | TargetGrid:
    """Return the image or the grid that the options name."""
    from lcmap.errors import UsageError
    from lcmap.reference.target import TargetGrid

    given = (bounds, resolution, crs)
    if like is not None:
        if any(value is not None for value in given):
            raise UsageError("`like`", "gives the grid already", "drop it, or `bounds` and others")
        return like
    if bounds is None or resolution is None or crs is None:
        raise UsageError("the grid", "is missing", "give `like`, or `bounds`, `resolution`, `crs`")
    try:
        west, south, east, north = map(float, bounds.split(","))
    except ValueError:
        raise UsageError("`bounds`", "are not four numbers", "give W,S,E,N") from None
    return TargetGrid((west, south, east, north), resolution, crs)
