"""Two years of a map, with probabilities, as predict writes them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from small_labels import label_writer
from support import write_raster

from lcmap.nomenclature import Nomenclature, load_nomenclature
from lcmap.nomenclature.tag import nomenclature_tag

CORNER = (700_000.0, 6_250_000.0)


class Years(NamedTuple):
    """Codes of both years, uint8 [h, w], and the probabilities of the second, float32 [K, h, w]."""

    last: NDArray[np.uint8]
    new: NDArray[np.uint8]
    probabilities: NDArray[np.float32]


def write_years(
    folder: Path,
    *,
    shape: tuple[int, int] = (60, 75),
    classes: Nomenclature | None = None,
    gaps: bool = False,
    seed: int = 0,
) -> Years:
    """Write last.tif, new.tif and p.tif of random patches, 1 m a pixel; the new map is the
    most probable class.

    With `gaps` both maps have pixels without a class; the probabilities are NaN where the new map
    is, and at a few pixels more.
    """
    classes = classes or load_nomenclature("flair7")
    rng = np.random.default_rng(seed)
    height, width = shape
    coarse = rng.dirichlet(np.full(len(classes), 0.3), (height // 5 + 1, width // 5 + 1))
    patches = coarse.repeat(5, 0).repeat(5, 1)[:height, :width]
    mixed = 0.7 * patches + 0.3 * rng.dirichlet(np.ones(len(classes)), shape)
    p = np.moveaxis(mixed, -1, 0).astype(np.float32)
    new = classes.index_to_code[p.argmax(0)]
    kept = rng.random(shape) < 0.5
    last = np.where(kept, new, classes.index_to_code[rng.integers(0, len(classes), shape)])
    if gaps:
        new[rng.random(shape) < 0.1] = 0
        last[rng.random(shape) < 0.1] = 0
        p[:, (new == 0) | (rng.random(shape) < 0.02)] = np.nan
    write = label_writer(folder)
    write("last.tif", last, classes=classes)
    write("new.tif", new, classes=classes)
    write_probabilities(folder / "p.tif", p, classes)
    return Years(last, new, p)


def write_probabilities(path: Path, p: NDArray[np.float32], classes: Nomenclature) -> Path:
    """Write probabilities on the grid of `write_years`."""
    write_raster(path, p, nodata=np.nan, corner=CORNER, pixel=1.0)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(**nomenclature_tag(classes))
    return path
