"""The bands of a raster, by which files that are one input of the network must be alike."""

from __future__ import annotations

from typing import Any, NamedTuple

from lcmap.errors import InputMismatchError
from lcmap.raster.band_comparison import same_bands
from lcmap.raster.opening import band_names, has_band_names
from lcmap.raster.radiometry import real_dtype


class RasterKind(NamedTuple):
    """The names of a raster's bands and their common data type; messages call it `name`."""

    name: str
    bands: tuple[str, ...]
    dtype: str

    @classmethod
    def of(cls, dataset: Any, name: str) -> RasterKind:
        """Return the kind of an open raster.

        Raises:
            DataError: its values are complex numbers.
        """
        return cls(name, band_names(dataset), str(real_dtype(dataset, name)))

    @property
    def is_named(self) -> bool:
        """Whether its bands have names of their own."""
        return has_band_names(self.bands)

    def check_as(self, first: RasterKind) -> None:
        """Check that it is as another, its bands compared by `same_bands`.

        Raises:
            InputMismatchError: the bands or the data type are not those of the other.
        """
        if not same_bands(self.bands, first.bands):
            bands, others = ", ".join(self.bands), ", ".join(first.bands)
            raise InputMismatchError(
                self.name,
                f"its bands are {bands}, those of {first.name} are {others}",
                "prepare all images with the same bands in the same order",
            )
        if self.dtype != first.dtype:
            raise InputMismatchError(
                self.name,
                f"is {self.dtype}, {first.name} is {first.dtype}",
                "give images of one kind",
            )
