"""How a long-running library function tells its caller how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A callback that receives how many of how many steps are done."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Receive the steps done, the steps in all and a short note on the current state."""


def silent(done: int, total: int, note: str = "") -> None:
    """Ignore the progress."""
