"""Whether PROJ's database, from which coordinate reference systems come, is one that works."""

from __future__ import annotations

import os
from functools import cache

from rasterio.crs import CRS
from rasterio.errors import CRSError

from lcmap.errors import UsageError

_CODE = 2154
"""Any projected system tells."""

_VARIABLES = ("PROJ_DATA", "PROJ_LIB")


@cache
def check_crs_database() -> None:
    """Check, once in a process, that EPSG codes are resolved.

    Other programs set PROJ_LIB or PROJ_DATA to a database of their own version of PROJ. With one
    that rasterio's PROJ cannot read, GDAL opens files without an error and forgets what their
    coordinate reference systems are.

    Raises:
        UsageError: they are not.
    """
    try:
        if CRS.from_epsg(_CODE).is_projected:
            return
    except CRSError:
        pass
    named = [f"{name}={os.environ[name]}" for name in _VARIABLES if os.environ.get(name)]
    raise UsageError(
        " and ".join(named) or "PROJ",
        f"its database does not resolve EPSG:{_CODE}, so coordinate reference systems would be "
        "lost",
        f"unset {' and '.join(_VARIABLES)}, or install rasterio again",
    )
