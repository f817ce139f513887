"""Pictures of places: label rasters in the colours of their classes, and where maps are wrong."""

from __future__ import annotations

import base64
import io

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

from lcmap.nomenclature import Nomenclature

RIGHT, WRONG, UNKNOWN = (225, 225, 225), (0, 0, 0), (255, 255, 255)


def data_address(picture: NDArray[np.uint8]) -> str:
    """Return a picture [height, width, 3] as a data: address of a PNG."""
    out = io.BytesIO()
    imsave(out, picture, format="png", metadata={"Software": ""})
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def in_colors(states: NDArray[np.uint8], nomenclature: Nomenclature) -> NDArray[np.uint8]:
    """Return states [height, width] in the colours of their classes, white without a class."""
    palette = np.full((256, 3), 255, np.uint8)
    for k, land in enumerate(nomenclature.classes):
        palette[k] = [int(land.color[i : i + 2], 16) for i in (1, 3, 5)]
    return palette[states]


def errors(
    reference: NDArray[np.uint8], mapped: NDArray[np.uint8], classes: int
) -> NDArray[np.uint8]:
    """Return where a map is wrong, black, and right, light grey; white without a reference."""
    known = reference < classes
    found = np.where((reference == mapped)[..., None], RIGHT, WRONG)
    return np.where(known[..., None], found, UNKNOWN).astype(np.uint8)
