"""How fast a command works, and how long it still takes."""

from __future__ import annotations

import time


class Pace:
    """The rate and the time left of the present step of a command, by the pace of this step alone.

    A command has steps, as predicting and then writing, each of which is counted from its start.
    """

    def __init__(self) -> None:
        """Begin now."""
        self.now = self._start = time.monotonic()
        self._first = self._done = self._total = 0
        self._amount = self._first_amount = 0
        self._unit = ""
        self._end: float | None = None

    def update(self, done: int, total: int, amount: int = 0, unit: str = "px") -> float | None:
        """Return the seconds left, None where nothing tells yet.

        `amount` is what the step took so far, in the unit of its rate.
        """
        before, self.now = self.now, time.monotonic()
        if total != self._total or done < self._done:
            # the first unit took since the step before ended; a run that goes on begins with others
            whole = done <= 1
            self._start, self._first = (before, 0) if whole else (self.now, done)
            self._first_amount = 0 if whole else amount
        self._done, self._total, self._amount, self._unit = done, total, amount, unit
        units, seconds = done - self._first, self.now - self._start
        self._end = self.now + seconds / units * (total - done) if units and seconds else None
        return None if self._end is None else self._end - self.now

    def rate(self) -> float | None:
        """Return how much this step takes a second, None where nothing tells."""
        amount, seconds = self._amount - self._first_amount, self.now - self._start
        return amount / seconds if amount and seconds else None

    def rate_shown(self) -> str:
        """Return how fast this step is, as in 1.2 Mpx/s; nothing where nothing tells."""
        rate = self.rate()
        return "" if rate is None else f"{_in_thousands(rate)}{self._unit}/s"

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


def _in_thousands(value: float) -> str:
    """Return a number in two or three digits and its unit's prefix, as in 1.2 M, 340 k or 12."""
    prefixes = (("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0))
    prefix, size = next((known for known in prefixes if value >= known[1]), prefixes[-1])
    return f"{value / size:.{int(value / size < 10)}f} {prefix}"
