"""How a command was called: which options were given, and what it is to print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer

from lcmap.cli import console
from lcmap.cli.grouped import section
from lcmap.errors import UsageError
from lcmap.launch import helps_another, launched


@dataclass(frozen=True)
class Invocation:
    """One call of a command.

    context: what was given on the command line.
    manner: how it says what it does.
    strict_crs: refuse a datum shift whose grid is missing.
    """

    context: typer.Context
    manner: console.Manner
    strict_crs: bool

    @contextmanager
    def reporting(self) -> Iterator[console.Reporter]:
        """Yield what the command reports with, as `console.reporting`."""
        with console.reporting(self.manner) as reporter:
            name = self.manner.command
            if launched().size > 1 and name != "train":
                raise UsageError(
                    "torchrun", f"lcmap {name} is done by one process", "start it without"
                )
            from lcmap.raster.datum_shift import datum_shifts

            with datum_shifts(strict=self.strict_crs):
                yield reporter

    def refuse(self, names: Iterable[str], because: str, remedy: str = "leave it out") -> None:
        """Refuse options that were given, and not left at their defaults, where they do not apply.

        Raises:
            UsageError: one of the parameters `names` was given.
        """
        for name in names:
            source = self.context.get_parameter_source(name)
            if source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT"):
                raise UsageError(f"`{name}`", because, remedy)


@section("The run")
def invocation(
    context: typer.Context,
    strict_crs: Annotated[
        bool,
        typer.Option(
            "--strict-crs",
            help="Refuse to bring coordinates into another system where the grid of the datum "
            "shift is not installed [default: warn]; places may be off by metres without it.",
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print details, and tracebacks of errors.")
    ] = False,
    log_json: Annotated[
        bool,
        typer.Option(
            "--log-json",
            help="Write messages, progress, errors and the end of the run on standard error as "
            "JSON, an object a line.",
        ),
    ] = False,
) -> Invocation:
    """Return how the command was called."""
    return Invocation(context, manner_of(context, quiet, verbose, log_json), strict_crs)


def manner_of(context: typer.Context, quiet: bool, verbose: bool, log_json: bool) -> console.Manner:
    """Return how a command says what it does, by its options; one that helps another is quiet."""
    quiet = quiet or helps_another()
    return console.Manner(quiet, verbose, log_json, context.command.name or "")
