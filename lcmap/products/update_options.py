"""What can be chosen of an update, as values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lcmap import defaults
from lcmap.errors import UsageError
from lcmap.paths import PathLike
from lcmap.raster.destination import check_apart
from lcmap.raster.preview.writing import check_preview
from lcmap.raster.writing import check_raster_output


@dataclass(frozen=True)
class UpdateRule:
    """When a pixel leaves last year's class.

    margin: the binary logarithm of the ratio that this year's probabilities of the new class and of
        last year's must exceed: at 1 the new class is twice as probable, at 2 four times, at 3
        eight times. 0 takes this year's map as it is.
    min_change: hectares that connected pixels of change have together at least; smaller ones keep
        last year's class. None drops none.
    crosswalk: brings last year's classes into this year's, a built-in name or a TOML file.
    """

    margin: float = defaults.MARGIN
    min_change: float | None = None
    crosswalk: PathLike | None = None

    def check(self) -> None:
        """Check the numbers.

        Raises:
            UsageError: one is out of its range.
        """
        if not (math.isfinite(self.margin) and self.margin >= 0):
            raise UsageError("`margin`", f"{self.margin:g} is not 0 or more", "give such a number")
        if self.min_change is not None and not (
            math.isfinite(self.min_change) and self.min_change > 0
        ):
            raise UsageError(
                "`min_change`", f"{self.min_change:g} is not above 0", "give hectares, or leave out"
            )


@dataclass(frozen=True)
class UpdateOutputs:
    """Where the updated map goes.

    output: the map; "-" is standard output.
    changes: the change map; None: it is not written.
    preview: a picture of both; None: it is not made.
    overwrite: replace files that exist.
    """

    output: PathLike
    changes: PathLike | None = None
    preview: PathLike | None = None
    overwrite: bool = False

    @property
    def files(self) -> list[PathLike]:
        """The rasters that are written, the change map first: where the map is, it is."""
        return [path for path in (self.changes, self.output) if path is not None]

    def check(self, inputs: Sequence[PathLike]) -> None:
        """Check them, before any work, against the inputs, each other and what is there.

        Raises:
            UsageError: one is an input, or two are the same file.
            OutputExistsError, CannotWriteError: one cannot be written.
        """
        check_apart([*self.files, *([self.preview] if self.preview else [])], inputs)
        for path in self.files:
            check_raster_output(path, overwrite=self.overwrite)
        check_preview(self.preview, overwrite=self.overwrite)
