"""The tags that carry an image's quantiles, and whether they are still those of its pixels."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.raster.opening import read_valid, reading
from lcmap.raster.pixel_sample import PixelSample, sample_windows

TAGS = ("LCMAP_Q02", "LCMAP_Q98")

SAMPLE_TAG = "LCMAP_QUANTILES_OF"
"""In the tags of the image: the digest of the sample of its pixels, see `PixelSample`."""

_FAR = 0.5
"""Of the span between the quantiles: a sample whose own are so far away is of other pixels."""

logger = logging.getLogger(__name__)


def write_quantiles(
    dataset: Any, quantiles: NDArray[np.float64], sample: PixelSample | None = None
) -> None:
    """Write 2 % and 98 % quantiles [bands, 2] into the tags of a raster open for writing.

    The `sample` of its pixels lets one tell later that the pixels have not changed.
    """
    for band, row in zip(dataset.indexes, quantiles, strict=True):
        # repr gives the digits that read back to the same number
        dataset.update_tags(band, **{key: repr(float(q)) for key, q in zip(TAGS, row, strict=True)})
    if sample is not None:
        dataset.update_tags(**{SAMPLE_TAG: sample.digest()})


def read_quantiles(dataset: Any) -> NDArray[np.float64] | None:
    """Return the 2 % and 98 % quantiles in an open raster's band tags, float64 [bands, 2].

    None where a band has none, or none that is a number.
    """
    rows = []
    for band in dataset.indexes:
        tags = dataset.tags(band)
        try:
            rows.append([float(tags[key]) for key in TAGS])
        except (KeyError, ValueError):
            return None
    quantiles = np.array(rows, np.float64)
    return quantiles if np.isfinite(quantiles).all() else None


def carried_quantiles(dataset: Any, name: str) -> NDArray[np.float64] | None:
    """Return the quantiles in an open raster's tags, None where they are not those of its pixels.

    Programs copy the tags along when they rescale, crop or mosaic an image. Where the tags hold a
    digest of a sample of the pixels it must be theirs; else the quantiles of the sample must not be
    far from those in the tags. A warning calls the raster by its `name`.
    """
    carried = read_quantiles(dataset)
    if carried is None:
        return None
    digest = dataset.tags().get(SAMPLE_TAG)
    if digest is not None:
        fits = digest == PixelSample.of(dataset).digest()
    else:
        fits = _are_near(carried, dataset)
    if fits:
        return carried
    logger.warning(
        "%s: its pixels are not those that the quantiles in its tags were computed over: it was "
        "rescaled, cropped or edited since; computing them again",
        name,
    )
    return None


def sampled_quantiles(dataset: Any) -> NDArray[np.float64]:
    """Return the 2 % and 98 % quantiles of a sample of an open raster's pixels, [bands, 2].

    Zeros where no pixel of the sample is valid.

    Raises:
        NotARasterError: they cannot be read.
    """
    parts = []
    with reading(dataset.name):
        for window in sample_windows(dataset.height, dataset.width):
            parts.append(dataset.read(window=window.ranges)[:, read_valid(dataset, window)])
    values = np.concatenate(parts, axis=1)  # [bands, n]
    if not values.shape[1]:
        return np.zeros((len(values), 2))
    found: NDArray[np.float64] = np.quantile(values.astype(np.float64), (0.02, 0.98), axis=1).T
    return found


def _are_near(carried: NDArray[np.float64], dataset: Any) -> bool:
    """Tell whether the quantiles of a sample of the pixels are near those carried, [bands, 2]."""
    found = sampled_quantiles(dataset)
    if not found.any():
        return True
    span = np.maximum(carried[:, 1] - carried[:, 0], found[:, 1] - found[:, 0])
    return bool((np.abs(found - carried) <= _FAR * span[:, None] + 1e-9).all())
