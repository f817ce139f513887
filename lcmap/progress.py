"""How a long-running library function tells its caller how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A callback that receives how many of how many steps are done."""

    def __call__(
        self, done: int, total: int, note: str = "", *, amount: int = 0, unit: str = "px"
    ) -> None:
        """Receive the steps done, the steps in all and a short note on the current state.

        `amount` is what these steps took so far in a unit that says how fast the work is: pixels,
        or `unit`; 0 where nothing is counted.
        """


def silent(done: int, total: int, note: str = "", *, amount: int = 0, unit: str = "px") -> None:
    """Ignore the progress."""
