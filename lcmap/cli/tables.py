"""Tables of figures as a terminal shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

    from lcmap.accuracy.tables import Table

_UNLIMITED = 1_000_000
"""Columns, more than any terminal has."""


@dataclass(frozen=True)
class _Fitting:
    """Tables with notes below them, for rich. A table that is too wide comes in parts, one below
    another, each with its first column: figures are never cut.
    """

    tables: tuple[Table, ...]
    notes: tuple[str, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        from rich.measure import Measurement
        from rich.text import Text

        unlimited = options.update(max_width=_UNLIMITED)
        for table in self.tables:
            first, last = 1, len(table.header)
            while first < last:
                stop = last
                while stop > first + 1 and (
                    Measurement.get(console, unlimited, _drawn(table, range(first, stop))).maximum
                    > options.max_width
                ):
                    stop -= 1
                title = table.title if first == 1 else f"{table.title} (continued)"
                yield Text(title, style="bold")
                yield _drawn(table, range(first, stop))
                first = stop
        for line in self.notes:
            yield Text(line, style="dim")


def for_terminal(tables: Iterable[Table], notes: Iterable[str]) -> Any:
    """Return tables, and notes below them, as rich shows them on a terminal of any width."""
    return _Fitting(tuple(tables), tuple(notes))


def _drawn(table: Table, columns: Sequence[int]) -> Any:
    """Return the first and some other columns of a table as rich draws them."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    drawn.add_column(Text(table.header[0]), overflow="fold")
    for column in columns:
        drawn.add_column(Text(table.header[column]), justify="right", no_wrap=True)
    for group in table.groups:
        for row in group:
            cells = [row[0], *(row[column] for column in columns)]
            drawn.add_row(*map(Text, cells), end_section=row is group[-1])
    return drawn
