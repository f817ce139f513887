"""lcmap prepare: images to one stack with its quantiles, labels on its grid, and tiles."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lcmap import defaults
from lcmap.cli import console
from lcmap.cli.grouped import grouped, refuse
from lcmap.cli.options import Output, Overwrite, Quiet, Seed, Verbose, input_options

OF_LABELS = ("nomenclature", "crosswalk")
OF_A_STACK = (
    "like", "pan", "bands", "band_names", "resampling", "labels", "period", "method", "strict",
    "clear_dates", "dates", "quantiles", "reflectance", "tiles", "nomenclature", "crosswalk",
    "side", "tiles_like", "tile_size", "split", "block_tiles", "gap", "seed",
)  # fmt: skip
OF_TILING = ("tile_size", "split", "block_tiles", "gap", "seed")
OF_TILES = ("side", "tiles_like", *OF_TILING)
"""Options that say nothing without --labels, beside --tiles-like, and without --tiles."""

if TYPE_CHECKING:
    from lcmap.dataset.inputs import InputOptions
    from lcmap.dataset.tile_index import TileIndex
    from lcmap.imagery.prepare import Prepared


@grouped(inputs=input_options)
def command(
    context: typer.Context,
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
    like: Annotated[
        Path | None,
        typer.Option(metavar="GRID", help="A raster on the grid wanted [default: first image]."),
    ] = None,
    pan: Annotated[
        str | None,
        typer.Option(
            metavar="PAN",
            help="A finer panchromatic image: sharpen the images to its pixels, on its grid; - is "
            "standard input. Of a folder with both DIMAP products, its panchromatic one.",
        ),
    ] = None,
    bands: Annotated[
        str | None,
        typer.Option(
            metavar="BAND,...",
            help="Bands to take, in order: numbers counted through all images, or names "
            "[default: all].",
        ),
    ] = None,
    band_names: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...", help="Names for the bands taken [default: those they have]."
        ),
    ] = None,
    resampling: Annotated[
        Literal["cubic", "bilinear", "average", "nearest"],
        typer.Option(help="How images on another grid are resampled."),
    ] = defaults.RESAMPLING,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="LABELS",
            help="Labels, on any grid; written on the stack's grid as STEM.labels.tif beside it.",
        ),
    ] = None,
    nomenclature: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml",
            help="The classes of --labels [default: what the labels carry].",
        ),
    ] = None,
    crosswalk: Annotated[
        str | None,
        typer.Option(
            metavar="FROM:TO|FILE.toml",
            help="Bring --labels into other classes, as flair19:flair7.",
        ),
    ] = None,
    side: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[:MEANING]",
            help="A side input for the tile index, on any grid; may be given several times. A "
            "label map names its nomenclature (oso.tif:oso23) unless it carries class names; "
            "class probabilities are FILE:probabilities, all else is an image.",
        ),
    ] = None,
    tiles: Annotated[
        Path | None,
        typer.Option(
            metavar="INDEX.geojson", help="Cut the stack into tiles and write which are for what."
        ),
    ] = None,
    tiles_like: Annotated[
        Path | None,
        typer.Option(
            metavar="INDEX.geojson",
            help="Take the tiles and splits of this index of an image on the same grid, as to "
            "compare sensors or nomenclatures on the same ground.",
        ),
    ] = None,
    tile_size: Annotated[
        int, typer.Option(metavar="PX", help="Side of a tile; less at the image border.")
    ] = defaults.TILE_SIZE,
    split: Annotated[
        Literal["blocks", "random"],
        typer.Option(
            help="Split tiles into train, validation and test (60, 20, 20 %): by whole blocks of "
            "tiles, so that neighbours seldom straddle splits, or one by one."
        ),
    ] = defaults.SPLIT,
    block_tiles: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Side of a block in tiles [default: "
            f"{defaults.BLOCK_TILES}, halved until there are 8 blocks].",
        ),
    ] = None,
    gap: Annotated[
        int | None,
        typer.Option(
            metavar="PX",
            help="Pixels left between the tiles of different splits [default: "
            f"{defaults.GAP}, with --split random none]. A network of depth 3 sees 46 px to each "
            "side, one of depth 4 94 px.",
        ),
    ] = None,
    seed: Seed = defaults.SEED,
    period: Annotated[
        str | None,
        typer.Option(
            metavar="PERIOD",
            help="Make one image of a period, 2018, 2018-07, 2018-07-14 or 2018-07/2018-09, from "
            "products or stacks of several dates.",
        ),
    ] = None,
    method: Annotated[
        Literal["median", "linear"] | None,
        typer.Option(
            help="How a pixel of --period is made: the median of its clear dates in the period, "
            "or linear in time between the clear dates around the period's middle "
            f"[default: {defaults.COMPOSITE_METHOD}]."
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Leave pixels without a clear date in the period nodata [default: fill them "
            "from the clear dates before and after it].",
        ),
    ] = False,
    clear_dates: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write how many dates of the period are clear at each pixel."
        ),
    ] = None,
    dates: Annotated[
        str | None,
        typer.Option(
            metavar="DATE,...",
            help="The images' dates, in order [default: from their tags or names].",
        ),
    ] = None,
    output: Output = "-",
    quantiles: Annotated[
        str,
        typer.Option(
            metavar="image|FILE",
            help="The quantiles that the stack carries: its own, or those in a file of "
            "--quantiles-of or of any prepared raster.",
        ),
    ] = defaults.QUANTILES,
    reflectance: Annotated[
        bool,
        typer.Option(
            "--reflectance",
            help="Make reflectance at the sensor × 10 000 of DIMAP products, by their calibration.",
        ),
    ] = False,
    quantiles_of: Annotated[
        bool,
        typer.Option(
            "--quantiles-of",
            help="Make no stack: write the exact quantiles over all images together, as JSON.",
        ),
    ] = False,
    inputs: InputOptions,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
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
    20 m on the 10 m grid, unless --bands and --like say otherwise, without clouds, their shadows,
    saturation and edges. Products of one day are one image; where several see a pixel, the first
    given counts. What the grid needs of them is masked into --tmpdir first.

    DIMAP products, as SPOT-6/7's, are mosaicked from their tiles, their bands named and ordered by
    meaning: red, green, blue, nir. Of a folder that holds both, the multispectral one is taken.
    """
    from lcmap.imagery.composite_options import CompositeOptions
    from lcmap.imagery.options import LabelOptions, PrepareOutputs, StackOptions, TileIndexOptions
    from lcmap.imagery.prepare import prepare
    from lcmap.imagery.tiles import Tiling

    with console.reporting(quiet=quiet, verbose=verbose) as reporter:
        if quantiles_of:
            _measure_campaign(context, images, output, inputs, overwrite, reporter)
            return
        if labels is None:
            refuse(context, OF_LABELS, "says what `labels` are", "give `labels` or drop it")
        if tiles is None:
            refuse(context, OF_TILES, "is about a tile index", "give `tiles=INDEX.geojson`")
        if tiles_like is not None:
            refuse(context, OF_TILING, "is taken from `tiles_like`", "drop one")
        with reporter.progress("preparing") as progress:
            prepared = prepare(
                images,
                PrepareOutputs(output, overwrite),
                stacking=StackOptions(
                    like,
                    pan,
                    _listed(bands),
                    _listed(band_names),
                    resampling,
                    quantiles,
                    reflectance,
                ),
                composite=CompositeOptions(period, method, strict, clear_dates, _listed(dates)),
                labels=LabelOptions(labels, nomenclature, crosswalk) if labels else None,
                tiles=TileIndexOptions(
                    tiles, Tiling(tile_size, split, seed, gap, block_tiles), tiles_like, side or ()
                )
                if tiles
                else None,
                inputs=inputs,
                progress=progress,
            )
        if output != "-" and not quiet:
            reporter.result(_summary(prepared))


def _measure_campaign(
    context: typer.Context,
    images: list[str],
    output: str,
    inputs: InputOptions,
    overwrite: bool,
    reporter: console.Reporter,
) -> None:
    from lcmap.imagery.campaign import measure_campaign

    refuse(context, OF_A_STACK, "is about a stack", "drop `quantiles_of`, or this")
    with reporter.progress("quantiles") as progress:
        report = measure_campaign(
            images, output, inputs=inputs, overwrite=overwrite, progress=progress
        )
    reporter.result(report.text)


def _listed(text: str | None) -> list[str] | None:
    """Return the parts of text between commas."""
    return None if text is None else [part.strip() for part in text.split(",")]


def _summary(prepared: Prepared) -> str:
    """Return what was made, a line for each file, and each split's class shares."""
    grid = prepared.grid
    lines = [
        f"{prepared.output}: {len(prepared.band_names)} bands ({', '.join(prepared.band_names)}), "
        f"{prepared.dtype}, {grid.width} × {grid.height} px, "
        f"{100 * prepared.valid_share:.4g} % valid"
    ]
    lines.extend(_composite_lines(prepared))
    if prepared.labels:
        lines.append(f"{prepared.labels}: labels")
    if prepared.tiles:
        lines.extend(
            f"{path}: side input, {what.title}"
            for path, what in zip(prepared.tiles.tiles[0].sides, prepared.tiles.sides, strict=True)
        )
        lines.append(f"{prepared.tiles.path}: {len(prepared.tiles.tiles)} tiles")
        lines.extend(_split_lines(prepared.tiles))
        inside = sum(t.window.height * t.window.width for t in prepared.tiles.tiles)
        share = max(1 - inside / (grid.height * grid.width), 0)
        lines.append(
            f"  in no tile, for a gap of {prepared.tiles.gap} px between splits or "
            f"for want of data: {100 * share:.3g} % of the pixels"
        )
    return "\n".join(lines)


def _composite_lines(prepared: Prepared) -> list[str]:
    made = prepared.composite
    if made is None:
        return []
    lines = [
        f"  {made.period}, {made.method}: {made.days_inside} of {made.days} dates in the period; "
        f"{made.filled} px ({100 * made.filled_share:.4g} %) filled from the others"
    ]
    if made.clear_dates:
        lines.append(f"{made.clear_dates}: clear dates in the period")
    return lines


def _split_lines(index: TileIndex) -> list[str]:
    from lcmap.dataset.class_shares import class_shares
    from lcmap.dataset.tile_index import SPLITS

    lines = []
    for name in SPLITS:
        mine = index.split(name)
        pixels = sum(tile.window.height * tile.window.width for tile in mine)
        line = f"  {name}: {len(mine)} tiles, {pixels / 1e6:.3g} Mpx"
        if index.nomenclature:
            labelled = [sum(tile.class_counts.values()) for tile in mine]
            share = 100 * sum(labelled) / pixels if pixels else 0.0
            line += f"; labels in {sum(map(bool, labelled))} tiles, on {share:.3g} % of the pixels"
            shares = class_shares(mine, index.nomenclature)
            line += ": " + ", ".join(
                f"{item.short} {100 * share:.1f} %"
                for item, share in zip(index.nomenclature.classes, shares, strict=True)
            )
        lines.append(line)
    return [*lines, *_tile_size_line(index)]


def _tile_size_line(index: TileIndex) -> list[str]:
    """Return a line that suggests larger tiles where most training tiles hold no label."""
    training = index.split("train")
    empty = sum(not any(tile.class_counts.values()) for tile in training)
    if not index.nomenclature or 2 * empty <= len(training):
        return []
    larger = index.tile_size * math.ceil(math.sqrt(len(training) / max(len(training) - empty, 1)))
    return [
        f"  {empty} of {len(training)} training tiles hold no label: with --tile-size {larger} "
        "fewer would be empty"
    ]
