"""A sample that was drawn: its strata, what is expected of it, and a table of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lcmap.accuracy.tables import Table, plain_table
from lcmap.products.sample_options import Design


class DrawnStratum(NamedTuple):
    """A stratum: its code (0 where all pixels are one), name, pixels and points.

    `inclusion` is the probability with which each of its pixels is in the sample.
    """

    code: int
    name: str
    pixels: int
    points: int
    inclusion: float


@dataclass(frozen=True)
class Drawn:
    """A sample that was drawn.

    left_out: pixels with a class that are in tiles which were left out.
    without_stratum: pixels with a class for which the raster of strata has none.
    expected_se: the standard error of overall accuracy that the expected accuracy gives.
    """

    design: Design
    strata: tuple[DrawnStratum, ...]
    left_out: int
    without_stratum: int
    expected_se: float

    @property
    def points(self) -> int:
        """The number of points."""
        return sum(item.points for item in self.strata)

    @property
    def table(self) -> Table:
        """The strata as a table."""
        total = sum(item.pixels for item in self.strata)
        rows = tuple(
            (item.name, _grouped(item.pixels), f"{100 * item.pixels / total:.2f}",
             str(item.points))
            for item in self.strata
        )  # fmt: skip
        return Table(f"{self.design} sample", ("stratum", "pixels", "%", "points"), (rows,))

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines on the sample."""
        lines = [
            f"{self.points} points; overall accuracy will have a standard error of about "
            f"{100 * self.expected_se:.2f} % if it is as expected"
        ]
        for pixels, which in (
            (self.left_out, "of training and validation tiles are left out"),
            (self.without_stratum, "of the map are in no stratum"),
        ):
            if pixels:
                lines.append(f"{_grouped(pixels)} pixels {which}: figures will be of the rest")
        return tuple(lines)

    @property
    def text(self) -> str:
        """All as lines of plain text."""
        return "\n".join([plain_table(self.table), *self.notes])


def _grouped(count: int) -> str:
    return f"{count:,}".replace(",", " ")
