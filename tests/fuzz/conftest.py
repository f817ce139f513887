"""Bounds within which every parser ends."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

_MEMORY = 1 << 30
_SECONDS = 60 * int(os.environ.get("LCMAP_FUZZ", "1"))


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    """Let the process have 1 GB more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _MEMORY, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.fixture(autouse=True)
def bounded_time() -> Iterator[None]:
    """Fail a parser that does not end; all examples of one have so long."""

    def fail(signum: int, frame: FrameType | None) -> None:
        raise AssertionError("does not end")

    previous = signal.signal(signal.SIGALRM, fail)
    signal.alarm(_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)
