"""How progress is shown to a person: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lcmap.cli.pace import Pace, duration
from lcmap.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

_SECONDS_BETWEEN_LINES = 30.0
_REFRESHES_A_SECOND = 4  # enough to the eye, and little to send over ssh
_WIDE = 80
_NARROWEST_BAR, _WIDEST_BAR = 8, 40
_SHORTEST_NOTE = 16
_logger = logging.getLogger("lcmap")


@contextmanager
def progress_bar(console: Console, title: str) -> Iterator[Progress]:
    """Yield a callback that draws a bar in the last line of a terminal, and is gone at the end.

    The line is as wide as the terminal, also where that changes. On narrow ones the title makes
    room for what is being done, then the bar for the rate and the time left.
    """
    from rich.progress import Progress as Bar
    from rich.progress import ProgressColumn
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    pace = Pace()

    class Line(ProgressColumn):
        # rich's own columns are cut where they do not fit, the time left among them, and its time
        # left is of all steps together, and 0 from the end of the first
        def render(self, task: Any) -> Table:
            percent = "" if task.total is None else f"{_percent(task.completed, task.total):>5}"
            told = " ".join(
                filter(None, [percent, ", ".join(filter(None, [pace.rate_shown(), pace.shown()]))])
            )
            note = task.fields["note"]
            doing = f"{title}: {note}" if note and console.width >= _WIDE else note or title
            room = console.width - len(told) - 3
            bar = min(max(room - len(doing), _NARROWEST_BAR), _WIDEST_BAR)
            bar = bar if room - bar >= min(len(doing), _SHORTEST_NOTE) else 0
            grid = Table.grid(padding=(0, 1, 0, 0))
            for width in (min(len(doing), room - bar), bar, len(told)):
                grid.add_column(width=width, no_wrap=True)
            drawn = ProgressBar(task.total, task.completed, width=bar, pulse=task.total is None)
            grid.add_row(Text(doing, overflow="ellipsis"), drawn if bar else "", Text(told))
            return grid

    with Bar(
        Line(), console=console, transient=True, refresh_per_second=_REFRESHES_A_SECOND
    ) as bar:
        task = bar.add_task(title, total=None, note="")

        def update(
            done: int, total: int, note: str = "", *, amount: int = 0, unit: str = "px"
        ) -> None:
            pace.update(done, total, amount, unit)
            bar.update(task, completed=done, total=total, note=note)

        yield update


class ProgressLines:
    """Progress as log lines with the time left, at most one in half a minute."""

    def __init__(self, title: str) -> None:
        """Begin now."""
        self._title = title
        self._pace = Pace()
        self._last = self._pace.now

    def __call__(
        self, done: int, total: int, note: str = "", *, amount: int = 0, unit: str = "px"
    ) -> None:
        """Log a line if it is time for one."""
        left = self._pace.update(done, total, amount, unit)
        now = self._pace.now
        if now - self._last < _SECONDS_BETWEEN_LINES or not 0 < done < total:
            return
        self._last = now
        in_words = "" if left is None else f"{duration(left)} left"
        told = [_percent(done, total), self._pace.rate_shown(), in_words, note]
        _logger.info("%s: %s", self._title, ", ".join(filter(None, told)))


def _percent(done: float, total: float) -> str:
    """Return the percentage done, rounded down, so that 100 % is the end."""
    return f"{int(100 * done // max(total, 1))} %"
