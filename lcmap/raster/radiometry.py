"""What the values of a band mean, so that only values of one meaning are combined.

GDAL's scale and offset tags say how a band's numbers become physical values; the level says which
reflectance they are: at the top of the atmosphere (TOA) or at the surface (BOA), or the sensor's
own numbers (DN). Values are never changed by them. Bands that become one band, or are scaled by
common quantiles, must agree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np

from lcmap.errors import DataError, InputMismatchError

TOA = "TOA"
BOA = "BOA"
DN = "DN"

LEVEL_TAG = "LCMAP_RADIOMETRY"
"""In the tags of a band: TOA, BOA or DN."""

_MEANINGS = {
    TOA: "top-of-atmosphere reflectance (TOA)",
    BOA: "surface reflectance (BOA)",
    DN: "the sensor's own numbers (DN)",
}

_LEVEL_IN_NAME = re.compile(
    r"(?<![a-z0-9])(?:msi)?l(?:evel[-_ ]?)?(?:(1)(?:c|tp|gt|gs)|(?:2(?:a|sp|sr)|3a))(?![a-z0-9])",
    re.IGNORECASE,
)
"""Levels in the names of Sentinel-2 (ESA, THEIA) and Landsat products: _MSIL1C_, _L2A_, _L2SP_."""

_TOLERANCE = 1e-6
"""Relative: some programs keep the tags as float32."""


@dataclass(frozen=True)
class Radiometry:
    """What the numbers of a band mean: value = number × scale + offset.

    `level` is TOA, BOA or DN; "" where nothing says it.
    """

    scale: float = 1.0
    offset: float = 0.0
    level: str = ""

    def has_tags_of(self, other: Radiometry) -> bool:
        """Tell whether scale and offset are those of another band."""
        return _same(self.scale, other.scale) and _same(self.offset, other.offset)

    @property
    def tags_text(self) -> str:
        """Scale and offset in words."""
        return f"scale {self.scale:g} and offset {self.offset:g}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE**2)


def radiometry_from(values: Sequence[Mapping[str, Any]]) -> tuple[Radiometry, ...]:
    """Return what `Radiometry.to_dict` gave of each band; nothing where a band says nothing.

    Raises:
        TypeError, ValueError: a value is not what it should be.
    """
    if not all("scale" in band and "offset" in band for band in values):
        return ()
    found = tuple(
        Radiometry(float(band["scale"]), float(band["offset"]), str(band.get("level", "")))
        for band in values
    )
    if not all(math.isfinite(band.scale) and math.isfinite(band.offset) for band in found):
        raise ValueError("a scale or offset is not finite")
    if any(band.level and band.level not in _MEANINGS for band in found):
        raise ValueError("an unknown level")
    return found


class NamedRadiometry(NamedTuple):
    """The bands of an image, and what messages call it."""

    name: str
    bands: tuple[Radiometry, ...]


def radiometry_of(dataset: Any, name: str, indexes: Sequence[int] = ()) -> tuple[Radiometry, ...]:
    """Return what the bands of an open raster called `name` mean: all of them, or those numbered.

    The level is that of the bands' tags, else that in the name, as products are called.
    """
    level = level_in_name(name)
    return tuple(
        Radiometry(
            _finite(dataset.scales[index - 1], 1.0),
            _finite(dataset.offsets[index - 1], 0.0),
            _level_in_tags(dataset, index) or level,
        )
        for index in indexes or dataset.indexes
    )


def _finite(number: float, default: float) -> float:
    return float(number) if math.isfinite(number) else default


def _level_in_tags(dataset: Any, index: int) -> str:
    said = str(dataset.tags(index).get(LEVEL_TAG, ""))
    return said if said in _MEANINGS else ""


def real_dtype(dataset: Any, name: str) -> np.dtype[Any]:
    """Return the smallest dtype that holds the values of all bands; messages call it `name`.

    Raises:
        DataError: they are complex numbers.
    """
    dtype: np.dtype[Any] = np.result_type(*dataset.dtypes)
    if dtype.kind == "c":
        raise DataError(name, f"has {dtype.name} values", "give real numbers")
    return dtype


def level_in_name(name: str) -> str:
    """Return the level in a path, "" where there is none: "S2A_MSIL1C_2018.tif" is TOA.

    The file's name goes before its folder's.
    """
    for part in reversed(PurePath(name).parts):
        found = {TOA if match[1] else BOA for match in _LEVEL_IN_NAME.finditer(part)}
        if len(found) == 1:
            return found.pop()
    return ""


def write_radiometry(dataset: Any, bands: Sequence[Radiometry]) -> None:
    """Write what its bands mean into the tags of a raster open for writing."""
    plain = Radiometry()
    if not all(band.has_tags_of(plain) for band in bands):
        dataset.scales = tuple(band.scale for band in bands)
        dataset.offsets = tuple(band.offset for band in bands)
    for index, band in zip(dataset.indexes, bands, strict=True):
        if band.level:
            dataset.update_tags(index, **{LEVEL_TAG: band.level})


def common_radiometry(images: Sequence[NamedRadiometry]) -> tuple[Radiometry, ...]:
    """Return what images mean by their bands, which are combined, first with first.

    A band whose level is unknown may be of any, and so is then what it is combined to.

    Raises:
        InputMismatchError: a level, a scale or an offset is another.
    """
    common = list(images[0].bands)
    for place, first in enumerate(common):
        known: NamedRadiometry | None = None
        for image in images:
            band = image.bands[place]
            if not band.has_tags_of(first):
                raise InputMismatchError(
                    image.name,
                    f"its band {place + 1} has {band.tags_text}, that of {images[0].name} has "
                    f"{first.tags_text}",
                    "bring all to one scale, e.g. gdal_translate -unscale -ot Float32 IN OUT",
                )
            if not band.level:
                common[place] = replace(first, level="")
                continue
            known = known or image
            other = known.bands[place].level
            if band.level != other:
                raise InputMismatchError(
                    image.name,
                    f"is {_MEANINGS[band.level]}, and {known.name} is {_MEANINGS[other]}",
                    "give images of one level, as L2A alone",
                )
    return tuple(common)
