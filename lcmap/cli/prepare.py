"""lcmap prepare: images to one stack with its quantiles, labels on its grid, and tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lcmap.cli.grouped import grouped, option_names
from lcmap.cli.invocation import invocation
from lcmap.cli.options import input_options
from lcmap.cli.prepare_options import (
    Written,
    composite_options,
    label_options,
    stack_options,
    tile_index_options,
    tiling_options,
    written,
)

if TYPE_CHECKING:
    from lcmap.cli.console import Reporter
    from lcmap.cli.invocation import Invocation
    from lcmap.dataset.inputs import InputOptions
    from lcmap.imagery.composite_options import CompositeOptions
    from lcmap.imagery.options import LabelOptions, StackOptions, TileIndexOptions

_OF_A_STACK = [
    *option_names(stack_options, composite_options, label_options, tile_index_options),
    "preview",
]


@grouped(
    stacking=stack_options,
    composite=composite_options,
    labels=label_options,
    tiles=tile_index_options,
    to=written,
    inputs=input_options,
    called=invocation,
)
def command(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE",
            help="Images, or files of single bands, on any grids, - is standard input; or folders "
            "of Sentinel-2 products (ESA SAFE L1C and L2A, THEIA L2A and L3A); or DIMAP products "
            "(SPOT-6/7), by their DIM_*.XML or folder.",
            show_default=False,
        ),
    ],
    *,
    stacking: StackOptions,
    composite: CompositeOptions,
    labels: LabelOptions | None,
    tiles: TileIndexOptions | None,
    to: Written,
    inputs: InputOptions,
    called: Invocation,
) -> None:
    """Stack images on one grid, with their quantiles; cut them into tiles to train on.

    The bands of all images are brought onto one grid, resampled and reprojected where theirs
    differs. A pixel that is invalid in any band is invalid in all. The 2 % and 98 % quantiles of
    each band, over all its valid pixels, are exact; the tags LCMAP_Q02 and LCMAP_Q98 hold them.

    Labels on a finer or the same grid are taken by nearest pixel. Where the stack's grid is
    coarser, a pixel gets the class that covers most of it, "no label" counting as a class.

    With --pan, the bands get the detail of a panchromatic image, as SPOT-6/7's of 1.5 m for bands
    of 6 m. A regression ties the radiometries of the two, so that they may have any units.

    Integers keep their nodata value if all images have the same one. Otherwise the file gets an
    internal mask where pixels may be invalid, so that every value stays data; floats get NaN.

    Sentinel-2 products become reflectance × 10 000 (int16, nodata -10000): the ten bands of 10 and
    20 m on the 10 m grid, unless --bands and --like say otherwise, without clouds, saturation and
    edges. Cloud shadows are masked at level 2A; at level 1C no mask tells them. Products of one day
    are one image; where several see a pixel, the first given counts. Products of level 1C do not
    mix with others. What the grid needs of them is masked into --tmpdir first.

    DIMAP products, as SPOT-6/7's, are mosaicked from their tiles, their bands named and ordered by
    meaning: red, green, blue, nir. Of a folder that holds both, the multispectral one is taken.
    """
    from lcmap.cli.prepare_summary import summary
    from lcmap.imagery.options import PrepareOutputs
    from lcmap.imagery.prepare import prepare

    with called.reporting() as reporter:
        if to.quantiles_alone:
            called.refuse(_OF_A_STACK, "is about a stack", "drop `quantiles_of`, or this")
            _measure_campaign(images, to, inputs, reporter)
            return
        _refuse_what_says_nothing(called, labels, tiles)
        with reporter.progress("preparing") as progress:
            prepared = prepare(
                images,
                PrepareOutputs(to.output, to.preview, to.overwrite),
                stacking=stacking,
                composite=composite,
                labels=labels,
                tiles=tiles,
                inputs=inputs,
                progress=progress,
            )
        if to.output != "-":
            reporter.summary(summary(prepared))


def _refuse_what_says_nothing(
    called: Invocation, labels: LabelOptions | None, tiles: TileIndexOptions | None
) -> None:
    if labels is None:
        of_labels = option_names(label_options)
        called.refuse(of_labels, "says what `labels` are", "give `labels` or drop it")
    if tiles is None:
        of_tiles = option_names(tile_index_options)
        called.refuse(of_tiles, "is about a tile index", "give `tiles=INDEX.geojson`")
    elif tiles.tiles_like is not None:
        called.refuse(option_names(tiling_options), "is taken from `tiles_like`", "drop one")


def _measure_campaign(
    images: list[str], to: Written, inputs: InputOptions, reporter: Reporter
) -> None:
    from lcmap.imagery.campaign import measure_campaign

    with reporter.progress("quantiles") as progress:
        report = measure_campaign(
            images, to.output, inputs=inputs, overwrite=to.overwrite, progress=progress
        )
    reporter.result(report.text, prose=True)
