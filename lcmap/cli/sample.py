"""lcmap sample: a probability sample of a map's pixels, to estimate its accuracy and areas by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lcmap import defaults
from lcmap.cli.grouped import grouped, section
from lcmap.cli.invocation import invocation
from lcmap.cli.options import MapNomenclature, Overwrite, Seed, label_input_options

if TYPE_CHECKING:
    from lcmap.cli.invocation import Invocation
    from lcmap.dataset.inputs import InputOptions
    from lcmap.products.sample_options import SampleDesign, SampleFrame


@section("Design")
def sample_design(
    design: Annotated[
        Literal["stratified", "random", "systematic"],
        typer.Option(
            help="How points are drawn: in strata, from all pixels alike, or on a square grid with "
            "a random start."
        ),
    ] = defaults.DESIGN,
    size: Annotated[
        int | None,
        typer.Option(metavar="N", help="How many points; of a grid, about so many."),
    ] = None,
    target_se: Annotated[
        float | None,
        typer.Option(
            metavar="SE",
            help="In place of --size: the standard error that overall accuracy is to have, as in "
            "0.01.",
        ),
    ] = None,
    allocation: Annotated[
        Literal["proportional", "equal", "optimal"],
        typer.Option(
            help="How points are divided among strata, beyond --minimum: by area, alike, or by "
            "area and how uncertain --expected says each is."
        ),
    ] = defaults.ALLOCATION,
    minimum: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=f"The fewest points of a stratum [default: {defaults.STRATUM_POINTS}, or what "
            "--size allows].",
        ),
    ] = None,
    expected: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[CLASS=]ACCURACY,...",
            help="The user's accuracy that is expected, of all classes or of each, as in "
            f"0.85,Wat=0.95 [default: {defaults.EXPECTED_ACCURACY:g}].",
        ),
    ] = None,
    seed: Seed = defaults.SEED,
) -> SampleDesign:
    """Return how points are drawn."""
    from lcmap.products.sample_options import SampleDesign

    return SampleDesign(design, size, target_se, allocation, minimum, tuple(expected or ()), seed)


@section("Ground")
def sample_frame(
    strata: Annotated[
        str | None,
        typer.Option(
            metavar="RASTER",
            help="A label raster, on any grid of the map's system, whose classes are the strata "
            "[default: the map's classes].",
        ),
    ] = None,
    nomenclature: MapNomenclature = None,
    tiles: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INDEX.geojson",
            help="Draw no point in the training and validation tiles of this index. Repeat it for "
            "several images.",
        ),
    ] = None,
) -> SampleFrame:
    """Return what points are drawn of."""
    from lcmap.products.sample_options import SampleFrame

    return SampleFrame(strata, nomenclature, tuple(tiles or ()))


@grouped(design=sample_design, frame=sample_frame, inputs=label_input_options, called=invocation)
def command(
    map_: Annotated[
        str, typer.Argument(metavar="MAP", help="A map of class codes; - is standard input.")
    ],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="POINTS.gpkg", help="The points to write."),
    ],
    design: SampleDesign,
    frame: SampleFrame,
    overwrite: Overwrite = False,
    inputs: InputOptions,
    called: Invocation,
) -> None:
    """Draw a probability sample of a map's pixels, for an interpreter to fill in.

    The points are at the centres of pixels that have a class, drawn without replacement, in a
    random order. Each says its stratum, its inclusion probability, the pixels and points of its
    stratum and the area of its pixel. Fill in the field reference of every point with the class
    that is there: a code, a name or an acronym, or 0 where it cannot be told. Then lcmap score
    --sample gives the accuracy of this map, or of another of the same ground, and the areas of
    classes, with standard errors.

    By default points are divided by area, but each class of the map gets 50 where --size allows
    it: overall accuracy and areas want the first, user's accuracy of rare classes the second
    (Olofsson et al. 2014).
    """
    from lcmap.products.sample import sample

    with called.reporting() as reporter:
        if design.kind != "stratified":
            called.refuse(
                ["strata", "allocation", "minimum"], f"is of strata, not of a {design.kind} sample"
            )
        with reporter.progress("sample") as progress:
            drawn = sample(
                map_,
                output,
                design,
                frame,
                overwrite=overwrite,
                inputs=inputs,
                progress=progress,
            )
        reporter.summary(drawn.text)
