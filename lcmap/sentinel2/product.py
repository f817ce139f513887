"""Telling products from other folders, and reading whichever kind a folder is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lcmap.errors import ProductError, UsageError
from lcmap.paths import PathLike
from lcmap.sentinel2.bands import BANDS, LAND_BANDS, normalised
from lcmap.sentinel2.esa import METADATA, find_metadata, read_safe
from lcmap.sentinel2.scene import Scene
from lcmap.sentinel2.theia import COMPOSITE, REFLECTANCE, is_theia, read_theia


def is_sentinel2(path: PathLike) -> bool:
    """Tell whether a path is the folder of a Sentinel-2 product.

    Raises:
        ProductError: its metadata are a link out of it.
    """
    folder = Path(path)
    return folder.is_dir() and (find_metadata(folder) is not None or is_theia(folder))


def refuse_archive(path: PathLike) -> None:
    """Refuse a product that is still packed.

    Raises:
        ProductError: it is a zip archive.
    """
    if Path(path).suffix.casefold() == ".zip" and os.path.isfile(path):
        raise ProductError(path, "is an archive", "unpack it and name the folder in it")


def product_bands(wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the bands wanted of products, the ten of 10 and 20 m by default.

    Raises:
        UsageError: no band of Sentinel-2, or one twice.
    """
    if wanted is None:
        return LAND_BANDS
    bands = tuple(normalised(name) for name in wanted)
    for band in bands:
        if band not in BANDS:
            raise UsageError(
                band or "`bands`", "is not a band of Sentinel-2", f"there are: {', '.join(BANDS)}"
            )
        if bands.count(band) > 1:
            raise UsageError(band, "is named twice", "name each band once")
    return bands


def read_product(folder: Path, bands: Sequence[str]) -> list[Scene]:
    """Return the scenes of a product's folder, with these bands and their masks.

    Raises:
        ProductError: it is not a product, or not whole.
        UsageError: a band that such products do not have.
    """
    if find_metadata(folder) is not None:
        return read_safe(folder, bands)
    if is_theia(folder):
        return read_theia(folder, bands)
    raise ProductError(
        folder,
        f"is not a Sentinel-2 product: there is no {', '.join(METADATA)} (ESA), "
        f"no {REFLECTANCE} and no {COMPOSITE} (THEIA) in it",
        "name the folder that holds these",
    )
