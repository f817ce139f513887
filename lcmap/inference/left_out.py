"""Inputs of a model that are left out, as if they were missing everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.encoding import Dates, Encoding
from lcmap.errors import UsageError
from lcmap.model_file import ModelInput
from lcmap.raster.windows import Window


class LeftOut:
    """Stands for the reader of an input: 0 in every channel, as dropout shows it in training.

    It says that all is valid, and does not count where what others say is combined.
    """

    def __init__(self, channels: int, level: int = 0, *, is_series: bool = False) -> None:
        """Leave out an input of so many channels, whose windows are in cells of this level.

        Of a series there is one date, which is valid nowhere.
        """
        self._channels = channels
        self.level = level
        self.encoding: Encoding = Dates(1) if is_series else None

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return a window as the network takes it, as `InputReader.read`."""
        size = window.height, window.width
        return np.zeros((self._channels, *size), np.float32), np.ones(size, bool)

    def read_encoded(
        self, window: Window, encoding: Encoding
    ) -> tuple[tuple[NDArray[Any], ...], NDArray[np.bool_]]:
        """Return a window in the one encoding that there is, as `InputReader.read_encoded`."""
        assert encoding == self.encoding
        values, valid = self.read(window)
        if encoding is None:
            return (values,), valid
        nowhere, day = (
            np.zeros((1, 1, *valid.shape), np.float32),
            np.zeros((1, 1, 1, 1), np.float32),
        )
        return (values[None], nowhere, day), valid


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
