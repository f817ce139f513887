"""Whether the shift from one datum to another is as exact as it can be."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform_bounds

from lcmap.errors import DataError

Bounds = tuple[float, float, float, float]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Policy:
    """Whether a shift that is not exact is refused, and which were warned of already."""

    strict: bool = False
    told: set[str] = field(default_factory=set)


_policies = [_Policy()]


@contextmanager
def datum_shifts(*, strict: bool) -> Iterator[None]:
    """Refuse shifts whose grid is missing with `strict`, else warn of each once, in what follows.

    It holds for the process, as PROJ's own settings do: coordinates are transformed in many places
    and by threads.
    """
    _policies.append(_Policy(strict))
    try:
        yield
    finally:
        _policies.pop()


def check_datum_shift(source: CRS, target: CRS, bounds: Bounds) -> None:
    """Check that what transforms coordinates within `bounds`, in the target system, is installed.

    PROJ takes a grid of shifts where it has one. Without it places are off by metres, unsaid.

    Raises:
        DataError: a grid is missing, and that is refused (see `datum_shifts`).
    """
    grid = _missing_grid(source.to_wkt(), target.to_wkt(), bounds)
    if grid is None or grid in _policies[-1].told:
        return
    subject = f"{_name(source)} to {_name(target)}"
    problem = (
        f"the grid of the datum shift, {grid}, is not installed, so places may be off by metres"
    )
    remedy = (
        f"pyproj sync --file {grid} (or projsync) downloads it; or set PROJ_NETWORK=ON, or have "
        "PROJ_DATA name the folder that holds it and proj.db"
    )
    if _policies[-1].strict:
        raise DataError(subject, problem, remedy)
    _policies[-1].told.add(grid)
    logger.warning("%s: %s; %s", subject, problem, remedy)


@cache
def _missing_grid(source: str, target: str, bounds: Bounds) -> str | None:
    """Return the file that the best transformation lacks, None where it lacks none."""
    # most runs have their inputs in one system, and pyproj takes a while to import
    from pyproj.exceptions import ProjError
    from pyproj.transformer import AreaOfInterest, TransformerGroup

    try:
        west, south, east, north = transform_bounds(CRS.from_wkt(target), "EPSG:4326", *bounds)
        area = AreaOfInterest(west, south, east, north)
        with warnings.catch_warnings():
            # it is said here, with the remedy
            warnings.simplefilter("ignore")
            found = TransformerGroup(source, target, always_xy=True, area_of_interest=area)
    except (ProjError, CRSError, ValueError):
        return None
    if found.best_available:
        return None
    missing = (grid for operation in found.unavailable_operations for grid in operation.grids)
    return next((grid.short_name for grid in missing if not grid.available), None)


def _name(crs: CRS) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else "a system without an EPSG code"
