"""Standard streams that a caller closed, and what is left in them when the command ends."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO


def occupy_closed_streams() -> None:
    """Open the null device in the place of standard streams that the caller closed.

    Else the next file that is opened gets their number, and what is said goes into it. The place
    of standard output is only read, so that a result cannot go there without an error.
    """
    for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            # the lowest number that is free is this one
            os.open(os.devnull, mode)
    if sys.stdout is None:
        sys.stdout = _text(1)
    if sys.stderr is None:
        sys.stderr = _text(2)


def _text(descriptor: int) -> TextIO:
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", closefd=False)


def discard(stream: TextIO) -> None:
    """Discard what Python still holds for a stream that cannot be written."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def flush_or_discard() -> None:
    """Write what Python holds for the standard streams; a full disk does not change the exit code.

    A result that cannot be written has been an error before.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                discard(stream)
