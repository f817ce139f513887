"""The command line: one module per subcommand, which parses, calls one function and reports."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Annotated

import typer

from lcmap import __version__

COMMANDS = ("rasterize-ref", "prepare", "train", "predict", "score")

EPILOG = (
    "Exit codes: 0 done; 1 a bug; 2 usage; 65 bad data; 66 no input; 73 cannot write; "
    "75 locked, try again; 130 interrupted."
)

app = typer.Typer(
    name="lcmap",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lcmap {__version__}")
        raise typer.Exit


@app.callback()
def lcmap(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Make land-cover maps from metric satellite imagery.

    From vector databases to labels (rasterize-ref), from images and labels to tiles (prepare), to
    a model (train), to a map (predict), to its accuracy (score).
    """


for _name in COMMANDS:
    _module = f"lcmap.cli.{_name.replace('-', '_')}"
    if importlib.util.find_spec(_module):
        app.command(_name, epilog=EPILOG)(importlib.import_module(_module).command)


def main() -> None:
    """Run the command line; the entry point of the package."""
    app(prog_name="lcmap")
