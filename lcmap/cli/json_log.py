"""What a command says on standard error as JSON, an object a line, for programs that watch it.

Version 1. Each line has `time` (UTC, ISO 8601), `command`, `pid` and `event`, which is one of

    message    level (debug, info, warning, error) and message
    progress   step, note, done and total; rate: how many pixels, or what unit says, this step
               takes a second; left: seconds. These two are null while nothing tells. The first and
               the last of each step, and others some seconds apart
    end        the last line of a run that ended well: exit_code 0, seconds, up_to_date (whether
               there was nothing to do) and outputs, the files that are up to date now
    error      the last line of another: exit_code, class, message, subject, problem, remedy, and
               with --verbose traceback; the last three are null where the error has none

Programs should pass over events and members that they do not know: more may join.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from lcmap.cli.pace import Pace
from lcmap.errors import LcmapError

SECONDS_BETWEEN_STEPS = 5.0


class JsonLog:
    """The lines of one run of a command."""

    def __init__(self, command: str, *, as_options: Callable[[str], str]) -> None:
        """Begin the run; `as_options` shows the parameters in a message as options."""
        self._command = command
        self._as_options = as_options
        self._start = time.monotonic()

    def message(self, record: logging.LogRecord) -> None:
        """Write a message."""
        level = record.levelname.lower()
        self._write("message", level=level, message=self._as_options(record.getMessage()))

    def progress(self, title: str) -> JsonProgress:
        """Return a callback that writes the progress of a step."""
        return JsonProgress(lambda **members: self._write("progress", step=title, **members))

    def end(self, outputs: Sequence[str], *, up_to_date: bool) -> None:
        """Write that the run ended well, and the files that it leaves."""
        seconds = round(time.monotonic() - self._start, 3)
        self._write(
            "end", exit_code=0, seconds=seconds, up_to_date=up_to_date, outputs=list(outputs)
        )

    def error(self, error: BaseException, line: str, code: int, trace: str | None = None) -> None:
        """Write that an error ended the run; `line` is what is said of it elsewhere."""
        members: dict[str, Any] = {
            "exit_code": code,
            "class": type(error).__name__,
            "message": line,
            "subject": None,
            "problem": None,
            "remedy": None,
        }
        if isinstance(error, LcmapError):
            parts = {"subject": error.subject, "problem": error.problem, "remedy": error.remedy}
            members |= {name: self._as_options(part) or None for name, part in parts.items()}
        self._write("error", **members, **({} if trace is None else {"traceback": trace}))

    def _write(self, event: str, **members: Any) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        about = {"time": now, "command": self._command, "pid": os.getpid(), "event": event}
        # a standard error that is full is no reason to give up the work
        with suppress(OSError):
            sys.stderr.write(json.dumps(about | members) + "\n")
            sys.stderr.flush()


class JsonProgress:
    """Progress as lines of JSON."""

    def __init__(self, write: Callable[..., None]) -> None:
        """Hand the members of a line to `write`."""
        self._write = write
        self._pace = Pace()
        self._last = self._pace.now
        self._step: tuple[str, int] | None = None

    def __call__(
        self, done: int, total: int, note: str = "", *, amount: int = 0, unit: str = "px"
    ) -> None:
        """Receive the steps done, the steps in all and a short note."""
        left = self._pace.update(done, total, amount, unit)
        first = self._step != (note, total)
        self._step = note, total
        now = self._pace.now
        if not first and done < total and now - self._last < SECONDS_BETWEEN_STEPS:
            return
        self._last = now
        rate, seconds = self._pace.rate(), None if left is None else round(left, 1)
        rate = None if rate is None else float(f"{rate:.4g}")  # from steps to gigapixels a second
        self._write(note=note, done=done, total=total, rate=rate, unit=unit, left=seconds)
