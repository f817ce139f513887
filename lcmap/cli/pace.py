"""How long a command still takes."""

from __future__ import annotations

import time


class Pace:
    """The time left of the present step of a command, by the pace of this step alone.

    A command has steps, as predicting and then writing, each of which is counted from its start.
    """

    def __init__(self) -> None:
        """Begin now."""
        self.now = self._start = time.monotonic()
        self._first = self._done = self._total = 0
        self._end: float | None = None

    def update(self, done: int, total: int) -> float | None:
        """Return the seconds left, None where nothing tells yet."""
        before, self.now = self.now, time.monotonic()
        if total != self._total or done < self._done:
            # the first unit took since the step before ended; a run that goes on begins with others
            self._start, self._first = (before, 0) if done <= 1 else (self.now, done)
        self._done, self._total = done, total
        units, seconds = done - self._first, self.now - self._start
        self._end = self.now + seconds / units * (total - done) if units and seconds else None
        return None if self._end is None else self._end - self.now

    def shown(self) -> str:
        """Return the time left now, as in 3 min 20 s; nothing where nothing tells."""
        if self._end is None or self._done >= self._total:
            return ""
        return f"{duration(max(self._end - time.monotonic(), 1))} left"


def duration(seconds: float) -> str:
    """Return a time in the two units that matter, as in 40 s, 3 min 20 s or 4 h 4 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
