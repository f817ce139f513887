"""What a Sentinel-2 product holds: files of bands, how they become reflectance, and masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BandFile:
    """The file of one band: reflectance is (number + offset) / quantification.

    `nodata` is the number that means no data, `saturated` the one that means saturation, if any.
    """

    path: Path
    nodata: int
    saturated: int | None = None
    offset: float = 0.0
    quantification: float = 10_000.0


@dataclass(frozen=True)
class RasterMask:
    """A band of a raster over the scene, at any resolution; `masked`, bool [256], by its values."""

    path: Path
    index: int
    masked: NDArray[np.bool_]


@dataclass(frozen=True)
class PolygonMask:
    """Polygons in the scene's coordinates (GeoJSON geometries) that cover what is masked."""

    path: Path
    polygons: tuple[dict[str, Any], ...]


Mask = RasterMask | PolygonMask


@dataclass(frozen=True)
class Scene:
    """One granule of a product: an area seen on one day.

    `bands` has the files of the bands wanted, `masks` by band the masks that hold for it; both are
    keyed by names such as "B8A". `name` is what messages call it, `level` is TOA or BOA; `metadata`
    is the file that says so, None where there is none.
    """

    name: str
    day: date
    bands: Mapping[str, BandFile]
    masks: Mapping[str, tuple[Mask, ...]]
    level: str
    metadata: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is read of it: metadata, bands and masks."""
        found = {file.path for file in self.bands.values()}
        found |= {mask.path for masks in self.masks.values() for mask in masks}
        return tuple(sorted(found | ({self.metadata} if self.metadata else set())))


def values_masked(*values: int) -> NDArray[np.bool_]:
    """Return a table, bool [256], that masks these values."""
    table = np.zeros(256, bool)
    table[list(values)] = True
    return table


def bits_masked(bits: int) -> NDArray[np.bool_]:
    """Return a table, bool [256], that masks the values in which any of these bits is set."""
    table: NDArray[np.bool_] = (np.arange(256) & bits) != 0
    return table
