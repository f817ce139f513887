"""Options that several subcommands share, with the same name, letter and help everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
