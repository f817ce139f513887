"""Work that a signal must not cut in two: it waits until that is done.

The handlers of the command line ask here; a program of its own may as well. Only the main thread
runs them.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class _Waiting:
    """How deep in such work the main thread is, and which signal waits for its end."""

    depth = 0
    signum: int | None = None


def must_wait(signum: int) -> bool:
    """Return whether a signal has come amid such work; it is raised again after it."""
    if _Waiting.depth:
        _Waiting.signum = signum
    return _Waiting.depth > 0


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Do what is inside to its end before a signal ends the run."""
    _Waiting.depth += 1
    try:
        yield
    finally:
        _Waiting.depth -= 1
        signum, _Waiting.signum = _Waiting.signum, None
        if signum is not None:
            signal.raise_signal(signum)
