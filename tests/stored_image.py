"""An image of random codes and probabilities, as the arrays that a work folder stores."""

from __future__ import annotations

import numpy as np

from lcmap.inference.band_groups import BandGroup
from lcmap.raster.windows import Window

GROUPS = [BandGroup("codes", 1, "uint8"), BandGroup("probabilities", 3, "float32")]


def image(height: int, width: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "codes": rng.integers(0, 256, (1, height, width), np.uint8),
        "probabilities": rng.random((3, height, width), np.float32),
    }


def part(arrays: dict[str, np.ndarray], window: Window) -> dict[str, np.ndarray]:
    return {name: values[:, *window.slices] for name, values in arrays.items()}
