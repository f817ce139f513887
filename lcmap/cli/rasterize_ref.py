"""lcmap rasterize-ref: vector databases to labels on the grid of an image."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmap.cli import builtin_names
from lcmap.cli.grouped import grouped, section
from lcmap.cli.invocation import invocation
from lcmap.cli.options import Output, Overwrite, Preview, label_input_options

if TYPE_CHECKING:
    from lcmap.cli.invocation import Invocation
    from lcmap.dataset.inputs import InputOptions
    from lcmap.reference.rasterize import RasterizeOutputs
    from lcmap.reference.target import TargetGrid


@dataclass(frozen=True)
class WantedGrid:
    """The grid of the labels: that of an image, or the one that bounds and resolution make."""

    like: Path | None
    bounds: str | None
    resolution: float | None
    crs: str | None

    def chosen(self) -> Path | TargetGrid:
        """Return the image or the grid.

        Raises:
            UsageError: neither is given, or both are.
        """
        from lcmap.errors import UsageError
        from lcmap.reference.target import TargetGrid

        if self.like is not None:
            if (self.bounds, self.resolution, self.crs) != (None, None, None):
                raise UsageError(
                    "`like`", "gives the grid already", "drop it, or `bounds` and others"
                )
            return self.like
        if self.bounds is None or self.resolution is None or self.crs is None:
            raise UsageError(
                "the grid", "is missing", "give `like`, or `bounds`, `resolution`, `crs`"
            )
        try:
            west, south, east, north = map(float, self.bounds.split(","))
        except ValueError:
            raise UsageError("`bounds`", "are not four numbers", "give W,S,E,N") from None
        return TargetGrid((west, south, east, north), self.resolution, self.crs)


@section("Grid")
def wanted_grid(
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
) -> WantedGrid:
    """Return the grid of the labels."""
    return WantedGrid(like, bounds, resolution, crs)


@section("Outputs")
def label_outputs(
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
    preview: Preview = None,
    overwrite: Overwrite = False,
) -> RasterizeOutputs:
    """Return the files to write."""
    from lcmap.reference.rasterize import RasterizeOutputs

    return RasterizeOutputs(output, conflicts, preview, overwrite)


@grouped(grid=wanted_grid, outputs=label_outputs, inputs=label_input_options, called=invocation)
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
            autocompletion=builtin_names.rules,
            help="bdtopo-topo6, bdtopo-topo18, bdtopo-oso-reclass, or rules of your own.",
        ),
    ],
    grid: WantedGrid,
    outputs: RasterizeOutputs,
    all_touched: Annotated[
        bool,
        typer.Option(
            "--all-touched",
            help="Burn every pixel that a feature touches, not only those whose centre it covers.",
        ),
    ] = False,
    inputs: InputOptions,
    called: Invocation,
) -> None:
    """Burn vector databases to labels on the grid of an image.

    The rules say, in order, which features of which layer become which class, how wide lines are
    and which class the ground around buildings gets; later rules win. Layer names, field names and
    the values that rules ask for are compared without regard to case and accents. The labels are a
    uint8 GeoTIFF, 0 where there is no feature, with the nomenclature's colours and names. What
    each rule took, and what none took, is printed; on standard error where the labels go to
    standard output.
    """
    from lcmap.reference.rasterize import rasterize_reference

    with called.reporting() as reporter:
        with reporter.progress("rasterizing") as progress:
            summary = rasterize_reference(
                sources,
                rules,
                grid.chosen(),
                outputs,
                all_touched=all_touched,
                inputs=inputs,
                progress=progress,
            )
        if outputs.output == "-":
            logging.getLogger("lcmap").info("%s", summary.text)
        else:
            reporter.summary(summary.text)
