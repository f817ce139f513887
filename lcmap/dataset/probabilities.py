"""Rasters of class probabilities, as `predict` and `fuse` write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lcmap.dataset.inputs import RasterInput
from lcmap.errors import InputMismatchError
from lcmap.nomenclature.tag import read_nomenclature
from lcmap.raster.opening import reading
from lcmap.raster.windows import Window

LEAST_PROBABILITY = float(np.finfo(np.float32).eps)
"""What a smaller probability is taken for where its logarithm counts.

float32 numbers that sum to 1 are exact to 1.2e-7; a smaller probability is rounding, and a 0 would
rule a class out whatever else is known.
"""

_ROUNDING = 1e-3
_REMEDY = "give files that lcmap predict --probabilities wrote"

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class ClassProbabilities:
    """An open raster of class probabilities: a band for each class of its nomenclature."""

    def __init__(self, raster: RasterInput) -> None:
        """Check what an open raster holds.

        Raises:
            InputMismatchError: it does not hold class probabilities, or not say of which classes.
            NomenclatureError: what it says of its classes is malformed.
        """
        self.dataset, self.name, self.grid, self.files = (
            raster.dataset, raster.name, raster.grid, raster.files,
        )  # fmt: skip
        nomenclature = read_nomenclature(self.dataset, self.name)
        if nomenclature is None:
            raise InputMismatchError(self.name, "does not say of which classes it is", _REMEDY)
        if self.dataset.count != len(nomenclature):
            bands = f"has {self.dataset.count} bands for {len(nomenclature)} classes"
            raise InputMismatchError(self.name, f"{bands} of {nomenclature.name}", _REMEDY)
        if set(self.dataset.dtypes) != {"float32"}:
            raise InputMismatchError(
                self.name, f"has {self.dataset.dtypes[0]} values, not float32", _REMEDY
            )
        self.nomenclature = nomenclature

    def of_class(self, code: int, window: Window) -> Floats:
        """Return the probabilities of one class in a window, float32 [h, w], NaN where none.

        Raises:
            NotARasterError: the pixels cannot be read.
            InputMismatchError: a value is not between 0 and 1.
        """
        band = self.nomenclature.index_of(code) + 1
        with reading(self.name):
            values = self.dataset.read(band, window=window.ranges, masked=True)
        valid = ~np.ma.getmaskarray(values) & np.isfinite(values.data)
        checked = self.checked(values.data, valid)
        checked[~valid] = np.nan
        return checked

    def checked(self, pixels: npt.NDArray[Any], valid: Mask) -> Floats:
        """Return pixels of it as they are, float32 [..., h, w], 0 where not `valid`, bool [h, w].

        Raises:
            InputMismatchError: a value is not between 0 and 1.
        """
        values: Floats = np.where(valid, pixels, np.float32(0))
        if values.min() < -_ROUNDING or values.max() > 1 + _ROUNDING:
            raise InputMismatchError(
                self.name,
                f"has values from {values.min():g} to {values.max():g}, probabilities are between "
                "0 and 1",
                _REMEDY,
            )
        return values
