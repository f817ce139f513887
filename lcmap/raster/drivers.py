"""Whether GDAL has the drivers that lcmap needs, which settings of the environment can hide."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import cache

import rasterio

from lcmap.errors import UsageError

_NEEDED = ("GTiff", "MEM", "VRT", "COG")
_VARIABLES = ("GDAL_SKIP", "OGR_SKIP")


@cache
def check_raster_drivers() -> None:
    """Check, once in a process, that the drivers are there without which no raster is made.

    Raises:
        UsageError: as `check_drivers`.
    """
    with rasterio.Env() as env:
        check_drivers(_NEEDED, env.drivers())


def check_drivers(needed: Collection[str], available: Collection[str]) -> None:
    """Check that the drivers `needed` are among those `available`.

    Raises:
        UsageError: they are not; it names the variable of the environment that hides them.
    """
    missing = [name for name in needed if name not in available]
    if missing:
        raise UsageError(
            hiding_variables() or "GDAL",
            f"hides from lcmap what it needs, the GDAL driver{'s' * (len(missing) > 1)} "
            + ", ".join(missing),
            f"unset {' and '.join(_VARIABLES)}, or install rasterio and pyogrio again",
        )


def hiding_variables() -> str:
    """Return the variables of the environment that hide drivers, with their values."""
    named = [f"{name}={os.environ[name]}" for name in _VARIABLES if os.environ.get(name)]
    return " and ".join(named)
