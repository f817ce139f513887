"""The command line: a module per subcommand parses, calls one library function and reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from lcmap import __version__
from lcmap.cli import fuse, predict, prepare, rasterize_ref, reclassify_oso, score, train
from lcmap.cli.examples import EXIT_CODES, epilog
from lcmap.cli.streams import flush_or_discard, occupy_closed_streams
from lcmap.interruption import handle_signals, ignore_signals

COMMANDS: dict[str, Callable[..., None]] = {
    "rasterize-ref": rasterize_ref.command,
    "prepare": prepare.command,
    "train": train.command,
    "predict": predict.command,
    "fuse": fuse.command,
    "reclassify-oso": reclassify_oso.command,
    "score": score.command,
}

app = typer.Typer(
    name="lcmap",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
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
    a model (train), to a map of one image (predict), of several sensors (fuse) or of an image and
    an existing map (reclassify-oso), to its accuracy (score).
    """


for _name, _command in COMMANDS.items():
    app.command(_name, epilog=epilog(_name))(_command)


def main() -> None:
    """Run the command line in a process of its own; `lcmap.__main__` handles signals before."""
    handle_signals()
    occupy_closed_streams()
    try:
        app(prog_name="lcmap")
    finally:
        ignore_signals()
        flush_or_discard()
