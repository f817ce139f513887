"""What can be chosen of a sample, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lcmap import defaults
from lcmap.errors import UsageError
from lcmap.paths import PathLike
from lcmap.products.class_map import ClassMap
from lcmap.products.sample_allocation import Allocation

Design = Literal["stratified", "random", "systematic"]

FEWEST = 2
"""Points in a stratum, for its variance."""


@dataclass(frozen=True)
class SampleDesign:
    """How points are drawn.

    kind: stratified, simple random, or systematic (a square grid with a random start).
    size: how many points, of a grid about so many; None: the fewest that `target_se` takes.
    target_se: the standard error that the overall accuracy is to have, as a fraction.
    allocation: how points are divided among strata, see `allocate`.
    minimum: the fewest points of a stratum; None: `defaults.STRATUM_POINTS`, or what fits.
    expected: the accuracy that is expected, for the size and an optimal allocation: one number, or
        by class as CLASS=ACCURACY; several in a text are separated by commas.
    seed: of the draw.
    """

    kind: Design = "stratified"
    size: int | None = None
    target_se: float | None = None
    allocation: Allocation = defaults.ALLOCATION
    minimum: int | None = None
    expected: tuple[str, ...] = ()
    seed: int = defaults.SEED

    def check(self) -> None:
        """Check what can be without the map.

        Raises:
            UsageError: not exactly one of size and standard error, or one that is none.
        """
        if (self.size is None) == (self.target_se is None):
            raise UsageError("`size`", "or `target_se` says how many points", "give one of them")
        if self.size is not None and self.size < FEWEST:
            raise UsageError(f"`size={self.size}`", "tells no variance", "give 2 points or more")
        if self.target_se is not None and not 0 < self.target_se < 1:
            raise UsageError(
                f"`target_se={self.target_se:g}`", "is no standard error", "as in 0.01"
            )
        if self.minimum is not None and self.minimum < FEWEST:
            raise UsageError(
                f"`minimum={self.minimum}`", "tells no variance", "give 2 points or more"
            )


@dataclass(frozen=True)
class SampleFrame:
    """What points are drawn of.

    strata: a label raster whose classes are the strata; None: the map's own.
    nomenclature: the classes of the strata, a built-in name or a TOML file; None: those that the
        raster names, else its codes.
    tiles: tile indexes whose training and validation tiles are left out.
    """

    strata: PathLike | None = None
    nomenclature: PathLike | None = None
    tiles: tuple[PathLike, ...] = ()


def minimum_of(design: SampleDesign, strata: int) -> int:
    """Return the fewest points of a stratum: what was asked for, else what fits in the size."""
    if design.minimum is not None:
        return design.minimum
    if design.size is None:
        return defaults.STRATUM_POINTS
    return max(min(defaults.STRATUM_POINTS, design.size // strata), FEWEST)


def expected_accuracy(
    design: SampleDesign, strata: ClassMap, codes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the accuracy that is expected of each of these strata.

    Raises:
        UsageError: it is none, or of a class that there is not.
    """
    default, of_class = defaults.EXPECTED_ACCURACY, {}
    for text in (part.strip() for item in design.expected for part in item.split(",")):
        name, _, number = text.rpartition("=")
        try:
            accuracy = float(number)
        except ValueError:
            accuracy = -1.0
        if not 0 <= accuracy <= 1:
            raise UsageError(f"`expected={text}`", "is no accuracy", "as in 0.9 or Wat=0.95")
        if not name:
            default = accuracy
            continue
        classes = strata.nomenclature
        found = classes.find(name) if classes is not None else None
        code = found.code if found else int(name) if name.isdecimal() and len(name) < 4 else -1
        if found is None and (classes is not None or code not in codes):
            raise UsageError(
                f"`expected={text}`",
                f"names no class of {strata.name}",
                "name it by its code, name or acronym",
            )
        of_class[code] = accuracy
    return np.array([of_class.get(code, default) for code in codes.tolist()], np.float64)
