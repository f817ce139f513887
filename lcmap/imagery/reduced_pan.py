"""A panchromatic image as the multispectral sensor would have seen it, and how bands follow it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import transform_bounds

from lcmap.dataset.inputs import open_input
from lcmap.errors import InputMismatchError, OverlapError
from lcmap.imagery.pan_response import Moments, Response, response
from lcmap.imagery.raster_bands import RasterBands, bands_of
from lcmap.imagery.stack import Stack, stack
from lcmap.progress import Progress
from lcmap.raster.grid import Grid, same_crs
from lcmap.raster.pixel_sample import sample_windows
from lcmap.raster.windows import Window
from lcmap.raster.writing import RasterFormat, atomic_raster

logger = logging.getLogger(__name__)

_SPREADS = (0.8, 0.6, 0.7, 0.9, 1.0)
"""Of B-spline kernels, in multispectral pixels: near to Gaussian, transfer 0.16 to 0.54 at Nyquist.

The first, 0.33, is near to what most sensors have, and is taken where the pixels do not tell. Wider
ones would be taken for sensors' where the panchromatic image is noisy and the ground is smooth.
"""

_POORLY_EXPLAINED = 0.5
_MARGIN = 4
"""Multispectral pixels beyond the panchromatic image that the resampling kernels reach."""

_SHRINKAGE = 0.25
"""Of the intensity's variance: how much of it a neighbourhood needs for its own gains to count."""

_LARGEST_RATIO = 4.0
"""Of a band to the panchromatic intensity: in shadow the ratio is noise and would amplify it."""


@dataclass(frozen=True)
class ReducedPan:
    """The panchromatic image at multispectral resolution, and its variance in units of bands."""

    bands: RasterBands
    tied: Response
    variance: float


def reduce_pan(
    pan: RasterBands, images: Sequence[RasterBands], dtype: str, path: Path, progress: Progress
) -> ReducedPan:
    """Write the panchromatic image as the bands' sensor would see it, and tie it to the bands.

    The blur is the one by which a sample of the bands explains it best. The file is on the grid of
    the first image.

    Raises:
        InputMismatchError: the bands explain nothing of it.
        OverlapError: no pixel is valid in both.
        NotARasterError: pixels cannot be read.
        CannotWriteError: no space for the file.
    """
    grid = _common_ground(images[0], pan)
    averaged = stack([*(replace(s, dtype=dtype) for s in images), pan], grid, Resampling.average)
    with closing(averaged), ExitStack() as resources:
        spread = _best_spread(averaged, pan)
        seen = (
            averaged,
            (None if spread is None else resources.enter_context(_blurred(pan, grid, spread))),
        )
        moments = Moments(len(averaged.names))
        windows = averaged.windows()
        with atomic_raster(
            path, grid, RasterFormat(count=1, dtype=dtype, nodata=math.nan), overwrite=False
        ) as file:
            for i, window in enumerate(windows, start=1):
                values, valid = _read(*seen, window)
                moments.update(values[:, valid])
                file.write(np.where(valid, values[-1], np.nan), 1, window=window.ranges)
                progress(i, len(windows), "reducing the panchromatic image")
    tied = _tied(moments, pan, images[0].name)
    transfer = "pixel means" if spread is None else f"{np.sinc(spread / 2) ** 4:.2f} at Nyquist"
    _say(tied, transfer, pan, averaged.names[:-1])
    variance = moments.comoment[-1, -1] / moments.count / tied.gain**2
    with open_input(path, own=True) as written:
        return ReducedPan(bands_of(written), tied, float(variance))


def _common_ground(image: RasterBands, pan: RasterBands) -> Grid:
    """Return the grid of the image's pixels that the panchromatic image reaches."""
    bounds = pan.grid.bounds
    if not same_crs(pan.grid.crs, image.grid.crs):
        bounds = transform_bounds(pan.grid.crs, image.grid.crs, *bounds)
    return image.grid.subgrid(
        image.grid.window_of(bounds).expanded(_MARGIN).clipped(*image.grid.shape)
    )


@contextmanager
def _blurred(pan: RasterBands, grid: Grid, spread: float) -> Iterator[Stack]:
    with closing(stack([pan], grid, Resampling.cubic_spline, spread)) as blurred:
        yield blurred


def _read(
    averaged: Stack, blurred: Stack | None, window: Window
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read bands and panchromatic image, the latter blurred where its kernel finds pixels."""
    values, valid = averaged.read(window)
    return values if blurred is None else _with_pan(values, blurred, window), valid


def _with_pan(values: NDArray[Any], blurred: Stack, window: Window) -> NDArray[Any]:
    seen, found = blurred.read(window)
    return np.concatenate([values[:-1], np.where(found, seen, values[-1:])])


def _best_spread(averaged: Stack, pan: RasterBands) -> float | None:
    """Return the spread of the blur by which the bands explain most; None: pixels' means do."""
    windows = list(sample_windows(*averaged.grid.shape))
    sample = [averaged.read(window) for window in windows]
    best = _explained(sample)
    spread = None
    for tried in _SPREADS:
        with _blurred(pan, averaged.grid, tried) as blurred:
            explained = _explained(
                (_with_pan(values, blurred, window), valid)
                for (values, valid), window in zip(sample, windows, strict=True)
            )
        if explained > best or (spread is None and best == 0):
            best, spread = explained, tried
    return spread


def _explained(sample: Iterable[tuple[NDArray[Any], NDArray[np.bool_]]]) -> float:
    """Return how much of the panchromatic image the bands explain, 0 if nothing."""
    moments: Moments | None = None
    for values, valid in sample:
        moments = moments or Moments(len(values))
        moments.update(values[:, valid])
    tied = None if moments is None else response(moments)
    return 0.0 if tied is None else tied.explained


def _tied(moments: Moments, pan: RasterBands, image: str) -> Response:
    if moments.count == 0:
        raise OverlapError(
            pan.name,
            f"has no valid pixel where {image} has one",
            "check both files' places and nodata values",
        )
    tied = response(moments)
    if tied is None:
        raise InputMismatchError(
            pan.name,
            f"shows nothing of what {image} shows",
            "give the panchromatic image of the same ground and date",
        )
    return tied


def _say(tied: Response, transfer: str, pan: RasterBands, names: Sequence[str]) -> None:
    weights = ", ".join(f"{n} {w:.3g}" for n, w in zip(names, tied.weights, strict=True))
    logger.debug("%s: %s; blur %s; R² %.3f", pan.name, weights, transfer, tied.explained)
    if tied.explained < _POORLY_EXPLAINED:
        logger.warning(
            "%s: the bands explain %.0f %% of it only; is it of the same ground and date?",
            pan.name,
            100 * tied.explained,
        )


def write_gains(
    chosen: Sequence[RasterBands], reduced: ReducedPan, dtype: str, path: Path, progress: Progress
) -> RasterBands:
    """Write what a change of the panchromatic image by 1 changes in each chosen band, by pixel.

    Raises:
        NotARasterError: pixels cannot be read.
        CannotWriteError: no space for the file.
    """
    grid = reduced.bands.grid
    sources = [*(replace(source, dtype=dtype) for source in chosen), reduced.bands]
    layout = RasterFormat(
        count=sum(len(source.names) for source in chosen), dtype=dtype, nodata=math.nan
    )
    with (
        closing(stack(sources, grid, Resampling.average)) as both,
        atomic_raster(path, grid, layout, overwrite=False) as file,
    ):
        windows = both.windows()
        for i, window in enumerate(windows, start=1):
            around = window.expanded(1).clipped(*grid.shape)
            values, valid = both.read(around)
            gains = local_gains(values[:-1], values[-1], valid, reduced.tied, reduced.variance)
            inside = window.shifted(-around.row, -around.col).slices
            file.write(gains[:, *inside].astype(dtype), window=window.ranges)
            progress(i, len(windows), "relating the bands to it")
    with open_input(path, own=True) as written:
        return bands_of(written)


def local_gains(
    bands: NDArray[Any],
    pan: NDArray[Any],
    valid: NDArray[np.bool_],
    tied: Response,
    variance: float,
) -> NDArray[np.float64]:
    """Return gains [bands, h, w], NaN where not valid, of bands [bands, h, w] and pan [h, w].

    A gain is the slope of the band over the intensity among the 3 × 3 pixels around. The less the
    intensity varies there, the nearer it is to the mean of 1 (high-pass filtering) and the band's
    ratio to the intensity (modulation). `variance` is the intensity's in the whole image.
    """
    shrinkage = _SHRINKAGE * variance
    intensity = np.where(valid, (pan.astype(np.float64) - tied.offset) / tied.gain, 0)
    count = np.maximum(_sum_around(valid.astype(np.float64)), 1)
    mean = _sum_around(intensity) / count
    spread = np.maximum(_sum_around(intensity**2) / count - mean**2, 0)
    gains = np.full(bands.shape, np.nan)
    for band, out in zip(bands, gains, strict=True):
        values = np.where(valid, band, 0).astype(np.float64)
        covariance = _sum_around(values * intensity) / count - _sum_around(values) / count * mean
        ratio = np.divide(values, intensity, out=np.ones_like(values), where=intensity > 0)
        prior = 0.5 + 0.5 * np.clip(ratio, 0, _LARGEST_RATIO)
        slope = (covariance + shrinkage * prior) / (spread + shrinkage) / tied.gain
        out[valid] = slope[valid]
    return gains


def _sum_around(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of 3 × 3 pixels, zeros beyond the border."""
    padded = np.pad(values, 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    sums: NDArray[np.float64] = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return sums
