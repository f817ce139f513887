"""In which form figures are printed, and the files that they are written to as well."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from lcmap.cli.grouped import section
from lcmap.errors import UsageError

if TYPE_CHECKING:
    from lcmap.accuracy.tables import Table

AlsoTo = Annotated[
    list[Path] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Also write everything to a file, in the format of its ending: .json, .csv or "
        ".txt. May be repeated.",
    ),
]


class _Figures(Protocol):
    def to_json(self) -> Any: ...
    def to_csv(self) -> Any: ...


@dataclass(frozen=True)
class PrintedForm:
    """The form in which figures are printed: tables where it is neither JSON nor CSV."""

    as_json: bool
    as_csv: bool

    def check(self) -> None:
        """Check what is asked for before any work.

        Raises:
            UsageError: standard output is to take two forms.
        """
        if self.as_json and self.as_csv:
            raise UsageError(
                "--csv", "standard output takes one form", "write the other with -o FILE.csv"
            )

    def of(
        self,
        figures: _Figures,
        tables: Callable[[], tuple[Iterable[Table], Iterable[str]]],
        text: Callable[[], str],
    ) -> Any:
        """Return what is printed: `tables` and notes on a terminal, `text` elsewhere."""
        if self.as_json:
            return figures.to_json()
        if self.as_csv:
            return figures.to_csv()
        if sys.stdout.isatty():
            from lcmap.cli.tables import for_terminal

            return for_terminal(*tables())
        return text()


@section("Results")
def printed_form(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON instead of tables.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print everything as CSV instead of tables.")
    ] = False,
) -> PrintedForm:
    """Return the form in which figures are printed."""
    return PrintedForm(as_json, as_csv)
