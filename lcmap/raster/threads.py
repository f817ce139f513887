"""How many threads a run may have."""

from __future__ import annotations

import os


def available_threads() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0))
