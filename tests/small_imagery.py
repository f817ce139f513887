"""What tests of imagery and of warping share: the bands of a file, and a small real scene."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from support import EXAMPLE_DATA

from lcmap.dataset.inputs import InputOptions, open_input
from lcmap.imagery.raster_bands import RasterBands, bands_of


def bands_in(path: Path, *, allow_vrt: bool = False) -> RasterBands:
    """Return what a raster file offers."""
    with open_input(path, InputOptions(allow_vrt=allow_vrt)) as opened:
        return bands_of(opened)


@cache
def scene(height: int = 120, width: int = 96) -> NDArray[np.float64]:
    """Four bands of a real image, values 0 to 255."""
    with rasterio.open(EXAMPLE_DATA / "suburb_rgbn.tif") as dataset:
        image: NDArray[np.float64] = dataset.read().astype(np.float64)[:, :height, :width]
    image.flags.writeable = False
    return image


def averaged(image: NDArray[Any], ratio: int = 4) -> NDArray[np.float64]:
    """Return the means of squares of `ratio` pixels."""
    bands, height, width = image.shape
    shape = (bands, height // ratio, ratio, width // ratio, ratio)
    means: NDArray[np.float64] = image.reshape(shape).mean(axis=(2, 4))
    return means
