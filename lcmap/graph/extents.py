"""What the tensors of a graph cover of an image: pure arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class OffTheGridError(Exception):
    """A tile whose side cuts a pooling cell: the one where it `starts`, or the other.

    The cell is made of these `inputs`.
    """

    def __init__(self, *, starts: bool) -> None:
        """Say which side; whoever knows the inputs adds them."""
        super().__init__()
        self.starts = starts
        self.inputs: frozenset[str] = frozenset()


class Extent(NamedTuple):
    """What a tensor covers along an axis, from `start` to `stop`, in cells of 2^`scale` pixels."""

    scale: int
    start: int
    stop: int

    def grown(self, before: int, after: int) -> Extent:
        """Return this with so many cells more at its ends."""
        return Extent(self.scale, self.start - before, self.stop + after)

    def pooled(self) -> Extent:
        """Return the pooling cells that this is made of.

        Raises:
            OffTheGridError: it cuts one.
        """
        if self.start % 2 or self.stop % 2:
            raise OffTheGridError(starts=self.start % 2 == 1)
        return Extent(self.scale + 1, self.start // 2, self.stop // 2)

    def unpooled(self) -> Extent:
        """Return this in cells of half the size."""
        return Extent(self.scale - 1, self.start * 2, self.stop * 2)

    def cells(self) -> Extent:
        """Return the pooling cells that this touches."""
        return Extent(self.scale + 1, self.start // 2, -(-self.stop // 2))

    def around(self, result: Extent, part: Extent) -> Extent:
        """Return what of this a part of a result takes, all of which takes all of this."""
        return self.grown(result.start - part.start, part.stop - result.stop)

    def united(self, other: Extent) -> Extent:
        """Return the least that holds both."""
        return Extent(self.scale, min(self.start, other.start), max(self.stop, other.stop))


class Covered(NamedTuple):
    """What a tensor covers along both axes."""

    rows: Extent
    columns: Extent

    def each(self, change: Callable[[Extent], Extent]) -> Covered:
        """Return this with both changed."""
        return Covered(change(self.rows), change(self.columns))

    def united(self, other: Covered) -> Covered:
        """Return the least that holds both."""
        return Covered(self.rows.united(other.rows), self.columns.united(other.columns))
