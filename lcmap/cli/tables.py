"""Tables of figures as a terminal shows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lcmap.accuracy.tables import Table


def for_terminal(tables: Iterable[Table], notes: Iterable[str]) -> Any:
    """Return tables, and notes below them, as rich shows them."""
    from rich import box
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    shown: list[Any] = []
    for table in tables:
        rich_table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for number, heading in enumerate(table.header):
            rich_table.add_column(
                Text(heading), justify="right" if number else "left", no_wrap=True
            )
        for group in table.groups:
            for row in group:
                rich_table.add_row(*map(Text, row), end_section=row is group[-1])
        shown += [Text(table.title, style="bold"), rich_table]
    return Group(*shown, *(Text(line, style="dim") for line in notes))
