"""Telling Sentinel-2 products from images by what is on the disk."""

from __future__ import annotations

import os

from lcmap.imagery.dimap import is_dimap
from lcmap.paths import PathLike
from lcmap.sentinel2.product import refuse_archive


def is_product(path: PathLike) -> bool:
    """Tell whether an input is to be read as a Sentinel-2 product: a folder.

    Raises:
        ProductError: it is a zip archive.
    """
    refuse_archive(path)
    return os.path.isdir(path) and not is_dimap(path)
