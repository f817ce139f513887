"""Options that several subcommands share, with the same name, letter and help everywhere.

Those that make up one value of the library are declared as the parameters of a function that
returns it: a new one is added here and in the value's class, and every command has it.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lcmap import defaults
from lcmap.cli import builtin_names
from lcmap.cli.grouped import grouped, section
from lcmap.engines.compute import Arithmetic, Compute, EngineName
from lcmap.engines.compute import Provider as ProviderName

if TYPE_CHECKING:
    from lcmap.dataset.inputs import InputOptions
    from lcmap.inference.options import MapOutputs, ModelInputOptions

PreferredImage = Literal["order", "newest", "confidence"]

Output = Annotated[
    str,
    typer.Option("--output", "-o", metavar="FILE", help="Where to write; - is standard output."),
]
Model = Annotated[
    Path, typer.Option("--model", "-m", metavar="MODEL.onnx", help="A model made by lcmap train.")
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Make outputs again even if they are up to date, and replace files that lcmap did "
        "not make.",
    ),
]
Cog = Annotated[bool, typer.Option("--cog", help="Write cloud-optimised GeoTIFFs (COG).")]
Preview = Annotated[
    Path | None,
    typer.Option(
        "--preview",
        metavar="FILE.png",
        help="Also write a picture to look at, beside the image if there is one, with a legend of "
        "the classes that occur, their shares and a scale bar.",
    ),
]
Tmpdir = Annotated[
    Path | None,
    typer.Option(
        "--tmpdir",
        metavar="FOLDER",
        help="Where pipes and intermediate files are kept meanwhile [default: the system's].",
        exists=True,
        file_okay=False,
    ),
]
AllowVrt = Annotated[
    bool,
    typer.Option("--allow-vrt", help="Open VRT files too; they read other files and addresses."),
]
MapNomenclature = Annotated[
    str | None,
    typer.Option(
        "--nomenclature",
        metavar="NAME|FILE.toml",
        autocompletion=builtin_names.nomenclatures,
        help="The classes of the map [default: those that it names, else its codes].",
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed", metavar="S", min=0, max=2**32 - 1, help="Seed of everything that is random."
    ),
]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="Predict again with shifted tiles of another size and compare: report how many "
        "pixels differ and how far probabilities are apart, and write nothing where they "
        "disagree. Takes twice the time.",
    ),
]


def parse_bytes(text: str) -> int:
    """Return a number of bytes written as in 2G, 1.5GB, 800M or 1073741824.

    Raises:
        typer.BadParameter: it is not such a number.
    """
    found = re.fullmatch(r"(\d{1,18}(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?", text.strip().upper())
    if found is None:
        raise typer.BadParameter(
            f"{text!r} is not a size; write a number and K, M, G or T, as in 800M, 4G or 1.5GB, "
            "or bytes alone"
        )
    number, unit = found.groups()
    return int(float(number) * 1024 ** " KMGT".index(unit or " "))


def bytes_in_units(size: int) -> str:
    """Return a number of bytes to read, as in 640 KiB."""
    power = min(max(size.bit_length() - 1, 0) // 10, 4)
    return f"{size / 1024**power:.3g} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def bytes_as_text(size: int) -> str:
    """Return a number of bytes in the largest unit that divides it, as in 2G."""
    power = max(power for power in range(5) if size % 1024**power == 0)
    return f"{size // 1024**power}{' KMGT'[power].strip()}"


Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Accept an image of another ground sampling distance than the model's."
    ),
]


def map_sheets(
    sheets: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write each output in sheets beside it, as map-SHEET.tif, one for each "
            "polygon of this vector file that has ground of the map.",
        ),
    ] = None,
    sheet_name: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD",
            help='The field that names the sheets [default: the only one, or "name"].',
        ),
    ] = None,
) -> tuple[Path | None, str | None]:
    """Return the file of the sheets of a map, and the field that names them."""
    return sheets, sheet_name


def map_certainty(
    confidence: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write the mapped class's probability in % (uint8)."
        ),
    ] = None,
    margin: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write how far the second most probable class is below the mapped one, in % "
            "(uint8, 255 without data): low where the map is most likely wrong.",
        ),
    ] = None,
) -> tuple[Path | None, Path | None]:
    """Return the files of the confidence and of the margin of a map."""
    return confidence, margin


def map_display(
    preview: Preview = None,
    qml: Annotated[
        bool | None,
        typer.Option(
            "--qml/--no-qml",
            help="Write a QGIS style (.qml) and an attribute table (.aux.xml: classes, pixels, "
            "colours) beside the map, or do not. "
            "Without either: where the map is a file.",
        ),
    ] = None,
) -> tuple[Path | None, bool | None]:
    """Return the file of the picture of a map, and whether the map gets a style."""
    return preview, qml


@section("Outputs")
@grouped(certainty=map_certainty, in_sheets=map_sheets, display=map_display)
def map_outputs(
    output: Output = "-",
    certainty: tuple[Path | None, Path | None] = (None, None),
    probabilities: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write each class's probability (float32, a band per class)."
        ),
    ] = None,
    scenes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write which of several images each pixel is mapped from: their numbers "
            "(uint16), and in the tags their names.",
        ),
    ] = None,
    in_sheets: tuple[Path | None, str | None] = (None, None),
    display: tuple[Path | None, bool | None] = (None, None),
    cog: Cog = False,
    overwrite: Overwrite = False,
) -> MapOutputs:
    """Return the files of a map."""
    from lcmap.inference.options import MapOutputs

    return MapOutputs(
        output,
        certainty[0],
        probabilities,
        scenes,
        certainty[1],
        *in_sheets,
        preview=display[0],
        cog=cog,
        qml=display[1],
        overwrite=overwrite,
    )


@section("Computing")
def computing(
    tile: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            min=1,
            help="Size of the blocks predicted at once; the map does not depend on it "
            "[default: the largest that --memory allows].",
        ),
    ] = None,
    memory: Annotated[
        int,
        typer.Option(
            metavar="SIZE",
            parser=parse_bytes,
            help="How much memory to use, as in 800M or 4G; it decides the size of the blocks.",
        ),
    ] = bytes_as_text(defaults.MEMORY),  # type: ignore[assignment]
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Processor cores to use [default: all it may]."),
    ] = None,
    precision: Annotated[
        Arithmetic | None,
        typer.Option(
            help="int8 converts a float32 model to 8-bit integers with a sample of the image, for "
            "processors with instructions for them; lcmap train --quantize makes such a model and "
            "reports what it costs in accuracy. bfloat16 is for processors that have it (AMX, "
            "AVX512-BF16) and OpenVINO, float16 for CUDA devices, where it may be slower than "
            "float32 [default: the model's].",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        EngineName,
        typer.Option(
            help="What runs the network; auto takes OpenVINO on the CPU where it is installed, as "
            "by pip install 'lcmap[openvino]', else onnxruntime."
        ),
    ] = defaults.ENGINE,
    provider: Annotated[
        ProviderName, typer.Option(help="The device; auto takes CUDA where it is there.")
    ] = defaults.PROVIDER,
    scheduler: Annotated[
        str,
        typer.Option(
            metavar="local|tcp://HOST:PORT|FILE.json",
            help="Compute on the workers of a Dask scheduler, by its address or the file that it "
            "writes; they open the same files by the same paths. Needs "
            "pip install 'lcmap[distributed]'.",
        ),
    ] = defaults.SCHEDULER,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Make part I of N of the map alone, as for job arrays: the part is kept beside "
            "the map, and lcmap merge MAP writes the map once all parts are there.",
        ),
    ] = None,
) -> Compute:
    """Return what computes a map."""
    return Compute(tile, memory, threads, precision, engine, provider, scheduler, shard)


Nodata = Annotated[
    float | None,
    typer.Option(
        metavar="VALUE",
        help="The value of images' pixels without data, as 0 for a black border that no tag "
        "declares; side inputs that declare one keep it [default: what each file says].",
    ),
]
AssumeCrs = Annotated[
    str | None,
    typer.Option(
        metavar="EPSG:CODE",
        help="The coordinate reference system of rasters whose own is missing or local.",
    ),
]
Quantiles = Annotated[
    str | None,
    typer.Option(
        metavar="image|model|FILE",
        autocompletion=builtin_names.quantiles,
        help="What images are scaled by: each by its own 2 % and 98 % quantiles, all by those of "
        "the training images, or, where it is of their bands, by those in a file: of lcmap prepare "
        "--quantiles-of, or any prepared raster [default: as the images of training were].",
    ),
]
Prefer = Annotated[
    PreferredImage,
    typer.Option(
        "--prefer",
        help="Which of several images is mapped where they overlap: the first in the order given, "
        "the one taken last, by its tags or name, or the one whose class is the surest, for which "
        "all are mapped.",
    ),
]


@section("Inputs")
def label_input_options(
    allow_vrt: AllowVrt = False, assume_crs: AssumeCrs = None, tmpdir: Tmpdir = None
) -> InputOptions:
    """Return how rasters are opened that are not images."""
    from lcmap.dataset.inputs import InputOptions

    return InputOptions(allow_vrt, tmpdir, assume_crs=assume_crs)


@section("Inputs")
def input_options(
    allow_vrt: AllowVrt = False,
    nodata: Nodata = None,
    assume_crs: AssumeCrs = None,
    tmpdir: Tmpdir = None,
) -> InputOptions:
    """Return how images are opened."""
    from lcmap.dataset.inputs import InputOptions

    return InputOptions(allow_vrt, tmpdir, nodata, assume_crs)


@section("Inputs")
def model_inputs(
    allow_vrt: AllowVrt = False,
    nodata: Nodata = None,
    assume_crs: AssumeCrs = None,
    quantiles: Quantiles = None,
    prefer: Prefer = defaults.PREFER,
    force: Force = False,
    tmpdir: Tmpdir = None,
) -> ModelInputOptions:
    """Return how the images for a model of one input are opened."""
    from lcmap.inference.options import ModelInputOptions

    return ModelInputOptions(
        allow_vrt=allow_vrt,
        tmpdir=tmpdir,
        nodata=nodata,
        assume_crs=assume_crs,
        force=force,
        quantiles=quantiles,
        prefer=prefer,
    )


@section("Inputs")
@grouped(one=model_inputs)
def several_inputs(
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing",
            help="Map a pixel that has data in any input [default: in all]; missing pixels go in "
            "as 0.",
        ),
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Leave out an input as if it were missing everywhere, to see what it gives: side1 "
            "is the first after the image; a label map may be named by its nomenclature. It is not "
            "read. Repeat for several.",
        ),
    ] = None,
    *,
    one: ModelInputOptions,
) -> ModelInputOptions:
    """Return how the inputs of a model of several inputs are opened."""
    return dataclasses.replace(one, allow_missing=allow_missing, without=tuple(without or ()))
