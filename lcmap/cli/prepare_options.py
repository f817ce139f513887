"""The options of lcmap prepare, as the values that the library takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lcmap import defaults
from lcmap.cli import builtin_names
from lcmap.cli.grouped import grouped, section
from lcmap.cli.options import Output, Overwrite, Seed

if TYPE_CHECKING:
    from lcmap.imagery.composite_options import CompositeOptions
    from lcmap.imagery.options import LabelOptions, StackOptions, TileIndexOptions
    from lcmap.imagery.tiles import Tiling


@section("Bands and grid")
def stack_options(
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
            autocompletion=builtin_names.bands,
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
    quantiles: Annotated[
        str,
        typer.Option(
            metavar="image|FILE",
            autocompletion=builtin_names.stack_quantiles,
            help="The quantiles that the stack carries: its own, or those in a file of "
            "--quantiles-of or of any prepared raster.",
        ),
    ] = defaults.STACK_QUANTILES,
    reflectance: Annotated[
        bool,
        typer.Option(
            "--reflectance",
            help="Make reflectance at the sensor × 10 000 of DIMAP products, by their calibration.",
        ),
    ] = False,
) -> StackOptions:
    """Return how images become the bands of a stack."""
    from lcmap.imagery.options import StackOptions

    return StackOptions(
        like, pan, _listed(bands), _listed(band_names), resampling, quantiles, reflectance
    )


@section("Products and dates")
def composite_options(
    period: Annotated[
        str | None,
        typer.Option(
            metavar="PERIOD",
            help="Make one image of a period, 2018, 2018-07, 2018-07-14 or 2018-07/2018-09, from "
            "products or stacks of several dates; beside a series in --side, choose its dates by "
            "this period instead.",
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
) -> CompositeOptions:
    """Return how images of several dates become one."""
    from lcmap.imagery.composite_options import CompositeOptions

    return CompositeOptions(period, method, strict, clear_dates, _listed(dates))


@section("Labels")
def label_options(
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
            autocompletion=builtin_names.nomenclatures,
            help="The classes of --labels [default: what the labels carry].",
        ),
    ] = None,
    crosswalk: Annotated[
        str | None,
        typer.Option(
            metavar="FROM:TO|FILE.toml",
            autocompletion=builtin_names.crosswalks,
            help="Bring --labels into other classes, as flair19:flair7.",
        ),
    ] = None,
) -> LabelOptions | None:
    """Return the labels for the stack."""
    from lcmap.imagery.options import LabelOptions

    return LabelOptions(labels, nomenclature, crosswalk) if labels else None


@section("Tiles and splits")
def tiling_options(
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
            "side, the default one 188 px.",
        ),
    ] = None,
    seed: Seed = defaults.SEED,
) -> Tiling:
    """Return how the stack is cut into tiles and how these are split."""
    from lcmap.imagery.tiles import Tiling

    return Tiling(tile_size, split, seed, gap, block_tiles)


@section("Tiles and splits")
@grouped(tiling=tiling_options)
def tile_index_options(
    tiles: Annotated[
        Path | None,
        typer.Option(
            metavar="INDEX.geojson",
            help="Cut the stack into tiles, and write which of them train, validate and test.",
        ),
    ] = None,
    *,
    tiling: Tiling,
    tiles_like: Annotated[
        Path | None,
        typer.Option(
            metavar="INDEX.geojson",
            help="Take the tiles and splits of this index of an image on the same grid, as to "
            "compare sensors or nomenclatures on the same ground.",
        ),
    ] = None,
    side: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[:MEANING][@LEVEL]",
            autocompletion=builtin_names.meanings,
            help="A side input for the tile index, on any grid; may be given several times. A "
            "label map names its nomenclature (oso.tif:oso23) unless it carries class names; "
            "class probabilities are FILE:probabilities, all else is an image. A folder or a "
            "quoted pattern with :series is the dates of one sensor ('s2/*.tif:series'), or "
            "Sentinel-2 products ('S2*.SAFE:series'), masked as they are read. The "
            "network takes it on cells of 2^LEVEL × 2^LEVEL pixels of the image, by default the "
            "largest that are no larger than its own pixels.",
        ),
    ] = None,
) -> TileIndexOptions | None:
    """Return the tile index of the stack."""
    from lcmap.imagery.options import TileIndexOptions

    return TileIndexOptions(tiles, tiling, tiles_like, side or ()) if tiles else None


@dataclass(frozen=True)
class Written:
    """What is written, and where: a stack, or quantiles alone."""

    output: str
    quantiles_alone: bool
    preview: Path | None
    overwrite: bool


@section("Outputs")
def written(
    output: Output = "-",
    quantiles_of: Annotated[
        bool,
        typer.Option(
            "--quantiles-of",
            help="Make no stack: write the exact quantiles over all images together, as JSON.",
        ),
    ] = False,
    preview: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="Also write a picture to look at: the stack in natural colours where its bands "
            "have them, with a scale bar, the tiles of each split over it, and the labels.",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> Written:
    """Return what is written."""
    return Written(output, quantiles_of, preview, overwrite)


def _listed(text: str | None) -> list[str] | None:
    """Return the parts of text between commas."""
    return None if text is None else [part.strip() for part in text.split(",")]
