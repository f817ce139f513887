"""The bands of a raster, by which files that are one input of the network must be alike."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lcmap.errors import InputMismatchError
from lcmap.raster.opening import band_names, has_band_names


class RasterKind(NamedTuple):
    """The names of a raster's bands and their common data type; messages call it `name`."""

    name: str
    bands: tuple[str, ...]
    dtype: str

    @classmethod
    def of(cls, dataset: Any, name: str) -> RasterKind:
        """Return the kind of an open raster."""
        return cls(name, band_names(dataset), str(np.result_type(*set(dataset.dtypes))))

    def check_as(self, first: RasterKind) -> None:
        """Check that it is as another; names count where both have names of their own.

        Raises:
            InputMismatchError: the bands or the data type are not those of the other.
        """
        bands, others = self.bands, first.bands
        named = has_band_names(bands) and has_band_names(others)
        if len(bands) != len(others) or (named and bands != others):
            raise InputMismatchError(
                self.name,
                f"its bands are {', '.join(bands)}, those of {first.name} are {', '.join(others)}",
                "prepare all images with the same bands in the same order",
            )
        if self.dtype != first.dtype:
            raise InputMismatchError(
                self.name,
                f"is {self.dtype}, {first.name} is {first.dtype}",
                "give images of one kind",
            )
