"""What an update changed, in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcmap.products.changes import UNCHANGED, ChangeClasses
from lcmap.products.hectares import plain_hectares

_MOST_LINES = 10


@dataclass(frozen=True)
class UpdateReport:
    """What became of the pixels.

    counts: pixels of each code of the change map, int64.
    differing: pixels whose class in the two maps is not the same.
    unseen: pixels with a class in last year's map alone.
    hectares: the ground of a pixel.
    """

    classes: ChangeClasses
    counts: NDArray[np.int64]
    differing: int
    unseen: int
    hectares: float

    @property
    def changed(self) -> int:
        """Pixels with another class than last year."""
        return int(self.counts[UNCHANGED + 1 :].sum())

    @property
    def compared(self) -> int:
        """Pixels with a class in both years."""
        return int(self.counts[UNCHANGED:].sum())

    @property
    def text(self) -> str:
        """How much changed, how much the maps differ, and the largest changes in hectares."""
        changed, differing = self._share(self.changed), self._share(self.differing)
        lines = [f"changed: {changed}; the maps differ in {differing}"]
        if self.unseen:
            lines.append(f"without a class this year: {self._area(self.unseen)}")
        pairs = [(int(self.counts[code]), old, new) for code, old, new in self.classes.pairs()]
        largest = sorted((pair for pair in pairs if pair[0]), key=lambda pair: -pair[0])
        lines += [
            f"  {old.name} → {new.name}: {self._area(pixels)}"
            for pixels, old, new in largest[:_MOST_LINES]
        ]
        if rest := sum(pixels for pixels, _, _ in largest[_MOST_LINES:]):
            lines.append(f"  {len(largest) - _MOST_LINES} other changes: {self._area(rest)}")
        return "\n".join(lines)

    def _share(self, pixels: int) -> str:
        return f"{self._area(pixels)} ({100 * pixels / max(self.compared, 1):.2f} %)"

    def _area(self, pixels: int) -> str:
        return f"{plain_hectares(pixels * self.hectares, figures=4)} ha"
