"""The command line: a module per subcommand parses, calls one library function and reports."""

from __future__ import annotations

import atexit
import gc
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lcmap import __version__
from lcmap.cli import (
    areas,
    fuse,
    generalise,
    merge,
    predict,
    prepare,
    rasterize_ref,
    reclassify_oso,
    sample,
    score,
    stac,
    train,
    update,
)
from lcmap.cli.completion_scripts import use_own_scripts
from lcmap.cli.console import Manner, Voice, not_installed
from lcmap.cli.encodings import in_utf_8_mode, print_what_the_encoding_lacks
from lcmap.cli.examples import EXIT_CODES, epilog
from lcmap.cli.streams import flush_or_discard, occupy_closed_streams
from lcmap.cli.unattended import WORDS, once
from lcmap.errors import UsageError
from lcmap.interruption import handle_signals, ignore_signals
from lcmap.launch import helps_another

_SECONDS_FOR_THE_FIRST = 30.0

COMMANDS: dict[str, Callable[..., None]] = {
    "rasterize-ref": rasterize_ref.command,
    "prepare": prepare.command,
    "train": train.command,
    "predict": predict.command,
    "fuse": fuse.command,
    "reclassify-oso": reclassify_oso.command,
    "merge": merge.command,
    "sample": sample.command,
    "score": score.command,
    "update": update.command,
    "generalise": generalise.command,
    "areas": areas.command,
    "stac": stac.command,
}


class _WithHelpCommand(TyperGroup):
    """Subcommands, with `lcmap help NAME` for `lcmap NAME --help`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args[:1] == ["help"]:
            # while the shell completes, the words of a subcommand follow
            args = args[1:2] if ctx.resilient_parsing else [*args[1:2], "--help"]
        ctx.meta[WORDS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a subcommand; what it needs and is not installed is said in a line."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            missing = not_installed(error)
            if missing is None:
                raise
            if "--log-json" in ctx.meta[WORDS]:
                Voice(Manner(log_json=True)).error(error, *missing)
            else:
                typer.echo(f"lcmap: {missing[0]}", err=True)
            raise typer.Exit(missing[1]) from error
        except Exception as error:
            # typer has its own class for what is wrong with the words of a command line
            if helps_another() and hasattr(error, "format_message"):
                # the first of the processes says it, and torchrun then ends this one
                time.sleep(_SECONDS_FOR_THE_FIRST)
                raise typer.Exit(UsageError.exit_code) from error
            if not ("--log-json" in ctx.meta[WORDS] and hasattr(error, "format_message")):
                raise
            said = error.format_message()
            Voice(Manner(log_json=True)).error(error, said, UsageError.exit_code)
            raise typer.Exit(UsageError.exit_code) from error


use_own_scripts()
app = typer.Typer(
    name="lcmap",
    cls=_WithHelpCommand,
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
    """Make land-cover maps from metre-resolution satellite imagery.

    From vector databases to labels (rasterize-ref), from images and labels to tiles (prepare), to
    a model (train), to a map of one image (predict), of several sensors (fuse) or of an image and
    an existing map (reclassify-oso), on several machines (merge), to points for an interpreter
    (sample), to its accuracy (score), to the map of the next year (update), to a map of a minimum
    mapping unit with its polygons (generalise), to the areas of its classes (areas) and to a
    catalogue (stac).
    """


for _name, _command in COMMANDS.items():
    app.command(_name, epilog=epilog(_name))(once(_command))


def main() -> None:
    """Run the command line in a process of its own; `lcmap.__main__` handles signals before."""
    in_utf_8_mode()
    handle_signals()
    occupy_closed_streams()
    print_what_the_encoding_lacks()
    # when the interpreter ends, it would look for cycles among all that was imported
    atexit.register(gc.freeze)
    try:
        app(prog_name="lcmap")
    finally:
        ignore_signals()
        flush_or_discard()
