"""Inputs of a model that are left out, as if they were missing everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lcmap.errors import UsageError
from lcmap.model_file import ModelInput
from lcmap.raster.windows import Window


class LeftOut:
    """Stands for the reader of an input, which looks the same everywhere.

    It says that all is valid, and does not count where what others say is combined.
    """

    encoding = None

    def __init__(self, values: NDArray[np.float32], level: int = 0) -> None:
        """Show these values, float32 [C], in every pixel of windows in cells of this level."""
        self._values = values
        self.level = level

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return a window as the network takes it, as `InputReader.read`."""
        shown = np.broadcast_to(self._values[:, None, None], (len(self._values), *window[2:]))
        return shown.copy(), np.ones(window[2:], bool)


def left_out(names: Sequence[str], wanted: Sequence[ModelInput]) -> list[int]:
    """Return the places of those inputs of a model that are named.

    A name is that of the input, or of the nomenclature of a label map; it means all that have it.

    Raises:
        UsageError: no input has that name, or the image, which gives the grid.
    """
    found: set[int] = set()
    for name in names:
        places = [place for place, item in enumerate(wanted) if name in _names(item)]
        if places == [0]:
            raise UsageError(
                f"`without={name}`", "is the image, which gives the grid", "leave out another"
            )
        if not places:
            others = ", ".join(" or ".join(_names(item)) for item in wanted[1:])
            raise UsageError(
                f"`without={name}`",
                "is no input of the model",
                f"it may go without {others}" if others else "it has the image alone",
            )
        found.update(places)
    return sorted(found)


def _names(wanted: ModelInput) -> list[str]:
    return [wanted.name, *([wanted.nomenclature.name] if wanted.nomenclature else [])]
