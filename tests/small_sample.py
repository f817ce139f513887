"""Probability samples with known answers, and what fills in their references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import shapely
from numpy.typing import NDArray

from lcmap.accuracy.design_based import StratifiedSample

# the numerical example of Stehman (2014): 40 points, 10 in each of four strata
STEHMAN_SIZES = np.array([40_000.0, 30_000.0, 20_000.0, 10_000.0])
STEHMAN_STRATA = "A" * 10 + "B" * 10 + "C" * 10 + "D" * 10
STEHMAN_MAP = "A" * 7 + "B" * 3 + "A" + "B" * 11 + "C" * 6 + "B" * 2 + "D" * 10
STEHMAN_REFERENCE = (
    "A" * 5 + "CBABCA" + "B" * 5 + "AABB" + "C" * 5 + "DDBBA" + "D" * 7 + "CCB"
)  # fmt: skip

# the example of Olofsson et al. (2014), table 8: rows the map, columns the reference
OLOFSSON_COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
OLOFSSON_PIXELS = np.array([200_000.0, 150_000.0, 3_200_000.0, 6_450_000.0])
OLOFSSON_HECTARES = 0.09


def indices(letters: str) -> NDArray[np.int64]:
    """Return A as 0, B as 1 and so on."""
    return np.array(["ABCD".index(letter) for letter in letters])


def stehman() -> tuple[StratifiedSample, NDArray[np.int64], NDArray[np.int64]]:
    """Return the sample, the reference and the map of Stehman's example."""
    sample = StratifiedSample(indices(STEHMAN_STRATA), STEHMAN_SIZES)
    return sample, indices(STEHMAN_REFERENCE), indices(STEHMAN_MAP)


def olofsson(times: float = 1) -> tuple[StratifiedSample, NDArray[np.int64], NDArray[np.int64]]:
    """Return the sample, the reference and the map of the example of Olofsson et al.

    Its equations have no correction for a finite population: this many `times` the pixels have
    none to speak of.
    """
    mapped, reference = (
        np.repeat(each.ravel(), OLOFSSON_COUNTS.ravel()) for each in np.indices((4, 4))
    )
    return StratifiedSample(mapped, times * OLOFSSON_PIXELS), reference, mapped


def read_points(path: Path) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    """Return the points of a file and its columns."""
    meta, _, geometries, columns = pyogrio.raw.read(path, layer=0)
    return shapely.from_wkb(geometries), dict(zip(meta["fields"], columns, strict=True))


def write_points(
    path: Path, points: Any, columns: dict[str, Any], crs: str | None = "EPSG:2154"
) -> Path:
    """Write points with columns, as a GIS leaves them."""
    path.unlink(missing_ok=True)
    arrays = [np.asarray(values) for values in columns.values()]
    arrays = [a.astype(object) if a.dtype.kind in "US" else a for a in arrays]
    pyogrio.raw.write(
        path, shapely.to_wkb(points), arrays, list(columns), layer=path.stem, crs=crs,
        geometry_type="Point" if shapely.get_type_id(points[0]) == 0 else "Unknown",
    )  # fmt: skip
    return path


def filled_in(path: Path, target: Path, labels: NDArray[np.uint8], transform: Any) -> Path:
    """Write the points of a file with the codes of labels [rows, columns] as their reference."""
    points, columns = read_points(path)
    cols, rows = ~transform @ (shapely.get_x(points), shapely.get_y(points))
    codes = labels[np.floor(rows).astype(int), np.floor(cols).astype(int)]
    return write_points(target, points, columns | {"reference": codes.astype(str)})
