"""Options that several subcommands share, with the same name, letter and help everywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

Output = Annotated[
    str,
    typer.Option("--output", "-o", metavar="FILE", help="Where to write; - is standard output."),
]
Model = Annotated[
    Path, typer.Option("--model", "-m", metavar="MODEL.onnx", help="A model made by lcmap train.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
Tmpdir = Annotated[
    Path | None,
    typer.Option(
        "--tmpdir",
        metavar="FOLDER",
        help="Where pipes and intermediate files are spooled [default: the system's].",
        exists=True,
        file_okay=False,
        writable=True,
    ),
]
AllowVrt = Annotated[
    bool,
    typer.Option("--allow-vrt", help="Open VRT files too; they read other files and addresses."),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="S", min=0, help="Seed of everything that is random.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print details, and tracebacks of errors.")
]
Confidence = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Also write the mapped class's probability in % (uint8)."),
]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="Predict again with shifted tiles of another size and compare: say how many "
        "pixels differ and how far probabilities are apart; write nothing where they "
        "disagree. Takes twice the time.",
    ),
]
TileSize = Annotated[
    int | None,
    typer.Option(
        "--tile",
        metavar="PIXELS",
        min=1,
        help="Size of the blocks predicted at once; the map does not depend on it "
        "[default: the largest that --memory allows].",
    ),
]


def parse_bytes(text: str) -> int:
    """Return a number of bytes written as in 2G, 1.5GB, 800M or 1073741824.

    Raises:
        ValueError: it is no such number.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?", text.strip().upper())
    if found is None:
        raise ValueError(text)
    number, unit = found.groups()
    return int(float(number) * 1024 ** " KMGT".index(unit or " "))


DEFAULT_MEMORY = "2G"
Memory = Annotated[
    int,
    typer.Option(
        "--memory",
        metavar="SIZE",
        parser=parse_bytes,
        help="How much memory to use, as in 800M or 4G; it decides the size of the blocks.",
    ),
]
Cog = Annotated[bool, typer.Option("--cog", help="Write cloud-optimised GeoTIFFs (COG).")]
Qml = Annotated[
    bool,
    typer.Option(
        "--qml", help="Write a QGIS style (.qml) and class names (.aux.xml) beside the map."
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Predict an image of another ground sampling distance too."),
]
Threads = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Processor cores to use [default: all it may]."),
]
Precision = Annotated[
    Literal["float32", "float16", "int8"] | None,
    typer.Option(
        help="int8 brings a float32 model to 8-bit integers by a sample of the image, for "
        "processors with instructions for them; lcmap train --quantize makes such a model and says "
        "what it costs in accuracy. float16 computes in halves, for CUDA devices "
        "[default: the model's].",
        show_default=False,
    ),
]
Engine = Annotated[
    Literal["onnxruntime", "openvino"],
    typer.Option(
        help="What runs the network; openvino comes with pip install 'lcmap[openvino]' and "
        "computes on CPU."
    ),
]
Provider = Annotated[
    Literal["auto", "cpu", "cuda"],
    typer.Option(help="What computes; auto takes CUDA if there."),
]
AllowMissing = Annotated[
    bool,
    typer.Option(
        "--allow-missing",
        help="Map a pixel that has data in any input [default: in all]; what is missing goes in "
        "as 0.",
    ),
]
