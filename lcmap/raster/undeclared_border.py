"""Borders without data that a raster does not declare."""

from __future__ import annotations

import logging
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lcmap.raster.opening import read_valid
from lcmap.raster.windows import Window

BorderRemedy = Literal["say", "prepare it with"]
"""Of a border that is no data: say so to the command at hand, or to the one before it."""

logger = logging.getLogger(__name__)

_LEAST_SHARE = 0.5
"""Of the outermost pixels: with so many of one value in all bands, and valid, it is a border."""


def undeclared_border(dataset: Any, quantiles: NDArray[np.float64]) -> float | None:
    """Return the value that fills the border of an open raster in all bands, None if none does.

    Such a border counts as data, and its value is the 2 % or 98 % quantile of every band,
    `quantiles` [bands, 2]: nothing in the image is darker, or nothing is brighter.

    Raises:
        RasterioIOError: its pixels cannot be read.
    """
    for value in (quantiles[0, 0], quantiles[0, 1]):
        if (quantiles == value).any(axis=1).all():
            share = _share(dataset, value)
            if share >= _LEAST_SHARE:
                return float(value)
    return None


def warn_of_border(
    dataset: Any, quantiles: NDArray[np.float64], name: str, remedy: BorderRemedy = "say"
) -> None:
    """Say so where a value fills the border of an open raster, called `name`, and counts as data.

    The `remedy` is to say that it is no data, or to prepare the raster so.

    Raises:
        RasterioIOError: its pixels cannot be read.
    """
    border = undeclared_border(dataset, quantiles)
    if border is not None:
        logger.warning(
            "%s: the value %g fills its border in all bands and counts as data; if it is not, %s "
            "`nodata=%g`",
            name,
            border,
            remedy,
            border,
        )


def _share(dataset: Any, value: float) -> float:
    """Return the share of the outermost pixels that are valid and hold a value in all bands."""
    height, width = dataset.height, dataset.width
    edges = (
        Window(0, 0, 1, width),
        Window(height - 1, 0, 1, width),
        Window(0, 0, height, 1),
        Window(0, width - 1, height, 1),
    )
    found = total = 0
    for edge in edges:
        pixels = dataset.read(window=edge.ranges)
        filled = (pixels == value).all(axis=0) & read_valid(dataset, edge)
        found += int(np.count_nonzero(filled))
        total += filled.size
    return found / total
