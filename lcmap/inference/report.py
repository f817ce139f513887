"""What a map was made of, and a summary of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class MapReport:
    """How much of a map there is, and what computed it.

    pixels: those of the grid.
    mapped: those that got a class.
    computed_by: the engine and its arithmetic, or the rule.
    continued: a part was there already, of a run that had been stopped.
    """

    pixels: int
    mapped: int
    computed_by: str
    continued: bool

    unmapped: ClassVar[str] = "without data"

    def text(self, seconds: float) -> str:
        """Return the report of a run of so many seconds in a line."""
        if not self.pixels:  # of more shards than tiles
            return f"no tile of the map falls into it; {self.computed_by}"
        mapped = 100 * self.mapped / self.pixels
        megapixels = self.pixels / 1e6
        rate = "" if self.continued else f", {_significant(megapixels / seconds)} megapixels/s"
        return (
            f"{_significant(megapixels)} megapixels, {mapped:.1f} % mapped, "
            f"{100 - mapped:.1f} % {self.unmapped}; {self.computed_by}{rate}"
        )


def _significant(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"
