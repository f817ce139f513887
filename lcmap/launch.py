"""How torchrun started this process: as one of several that train together, or not at all.

Imports neither torch nor anything else that takes time, since each command asks.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Launch:
    """The place of this process among those of a run.

    rank: its number, from 0 to `size` - 1 on all machines.
    local_rank: its number among the `local_size` of its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


class _Voice:
    """Whether this process says its errors; None until the processes agreed on who does."""

    speaks: bool | None = None


def launched() -> Launch:
    """Return the place that torchrun gave this process; without torchrun it is alone."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Launch()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    return Launch(*(int(os.environ[name]) for name in names))


def helps_another() -> bool:
    """Return whether this process helps that of rank 0, which alone writes and reports."""
    return launched().rank > 0


def says_errors() -> bool:
    """Return whether this process is to say what ended it: of several, one does."""
    return not helps_another() if _Voice.speaks is None else _Voice.speaks


def agree_who_says_errors(mine: bool) -> None:
    """Keep whether it is this process that says what ended the run."""
    _Voice.speaks = mine
