"""Multispectral bands sharpened to the pixels of a panchromatic image, lazily by block.

The detail is what the panchromatic image has beyond itself reduced to multispectral pixels and
brought back. It is injected half as it is, as high-pass filtering does (Chavez et al., 1991), and
half in proportion to the band, as smoothing-filter-based intensity modulation does (Liu, 2000). The
two sensors' radiometries are tied by the regression of the reduced panchromatic image on the bands,
as in adaptive component substitution (Aiazzi et al., 2007); so their units need not be the same.
Since only detail is added, light that the panchromatic image sees and the bands do not leaves no
cast on broad tones.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
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
from lcmap.imagery.stack import Stack, common_nodata, stack
from lcmap.progress import Progress, silent
from lcmap.raster.alignment import covers, overlaps, pixel_size
from lcmap.raster.grid import Grid, same_crs
from lcmap.raster.windows import Window
from lcmap.raster.writing import RasterFormat, atomic_raster

logger = logging.getLogger(__name__)

_FINER = 1.01
_LARGEST_RATIO = 4.0
"""Of a band to the panchromatic intensity: in shadow the ratio is noise and would amplify it."""

_POORLY_EXPLAINED = 0.5
_MARGIN = 4
"""Multispectral pixels beyond the panchromatic image that the resampling kernels reach."""


def inject(
    bands: NDArray[Any], reduced: NDArray[Any], pan: NDArray[Any], tied: Response
) -> NDArray[Any]:
    """Return sharpened bands [bands, h, w] of the same float dtype.

    `bands` [bands, h, w] and `reduced` [h, w], the panchromatic image at multispectral resolution,
    are interpolated to the pixels of `pan` [h, w].
    """
    kind = bands.dtype.type
    detail = (pan - reduced) / kind(tied.gain)
    intensity = (reduced - kind(tied.offset)) / kind(tied.gain)
    lit = intensity > 0
    ratio = np.divide(bands, intensity, out=np.ones_like(bands), where=lit)
    np.clip(ratio, 0, kind(_LARGEST_RATIO), out=ratio)
    sharpened: NDArray[Any] = bands + detail * (kind(0.5) + kind(0.5) * ratio)
    return sharpened


def as_dtype(values: NDArray[Any], dtype: str, nodata: float | None) -> NDArray[Any]:
    """Return values as a dtype, rounded and clipped to its range, none of them the nodata value."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        converted: NDArray[Any] = values.astype(kind)
        if nodata is not None and not math.isnan(nodata):
            missing = kind.type(nodata)
            converted[converted == missing] = np.nextafter(missing, kind.type(np.inf))
        return converted
    info = np.iinfo(kind)
    converted = np.clip(np.rint(values), info.min, info.max).astype(kind)
    if nodata is not None:
        beside = nodata + 1 if nodata < info.max else nodata - 1
        converted[converted == kind.type(nodata)] = kind.type(beside)
    return converted


@dataclass(frozen=True)
class PansharpenedStack(Stack):
    """Bands sharpened on the grid of a panchromatic image, not yet computed.

    `parts` are, in floats, the bands, the reduced panchromatic image and the panchromatic image.
    """

    parts: Stack
    tied: Response

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Compute a window: the image [bands, h, w] and where it and its sources are valid.

        Raises:
            NotARasterError: the pixels of a file cannot be read.
        """
        parts, valid = self.parts.read(window)
        image = np.zeros((len(self.names), *valid.shape), self.dtype)
        image[:] = 0 if self.nodata is None else self.nodata
        *bands, reduced, pan = parts[:, valid]
        image[:, valid] = as_dtype(
            inject(np.stack(bands), reduced, pan, self.tied), self.dtype, self.nodata
        )
        return image, valid


def pansharpen(
    pan: RasterBands,
    images: Sequence[RasterBands],
    chosen: Sequence[RasterBands],
    folder: Path,
    *,
    resampling: Resampling = Resampling.cubic,
    progress: Progress = silent,
) -> PansharpenedStack:
    """Sharpen the chosen bands of multispectral images with a panchromatic one, on its grid.

    All `images` tie the radiometries, `chosen` are bands of theirs. The bands keep their dtype and
    nodata value. A temporary file in `folder`, which has to live as long as the stack, holds the
    panchromatic image at the resolution of the first image.

    Raises:
        InputMismatchError: `pan` has several bands, is not finer than an image, or shows nothing of
            what they show.
        OverlapError: the images have no ground in common with `pan`, or no valid pixel.
        NotARasterError: pixels cannot be read.
        CannotWriteError: no space in `folder`.
    """
    _check(pan, images)
    dtype = _float_type([pan, *images])
    pan = replace(pan, dtype=dtype)
    reduced, tied = _reduce(pan, images, dtype, folder / "reduced-pan.tif", progress)
    parts = stack(
        [*(replace(source, dtype=dtype) for source in chosen), reduced, pan], pan.grid, resampling
    )
    own_type = np.result_type(*(source.dtype for source in chosen))
    nodata = common_nodata(chosen, own_type)
    may_lack = any(
        source.masked or source.nodata is not None or not covers(source.grid, pan.grid)
        for source in [*chosen, pan]
    )
    return PansharpenedStack(
        grid=pan.grid,
        names=parts.names[:-2],
        dtype=own_type.name,
        nodata=nodata,
        masked=nodata is None and may_lack,
        radiometry=parts.radiometry[:-2],
        layers=parts.layers,
        parts=parts,
        tied=tied,
    )


def _check(pan: RasterBands, images: Sequence[RasterBands]) -> None:
    if len(pan.indexes) != 1:
        raise InputMismatchError(
            pan.name,
            f"has {len(pan.indexes)} bands, a panchromatic image has one",
            "name the panchromatic image as `pan`",
        )
    for source in images:
        if not overlaps(source.grid, pan.grid):
            raise OverlapError(
                source.name,
                f"covers no ground of {pan.name}",
                "check both files' places and coordinate reference systems",
            )
        if min(pixel_size(pan.grid, source.grid)) < _FINER:
            raise InputMismatchError(
                pan.name,
                f"does not have finer pixels than {source.name}",
                "name the finer image of the two as `pan`",
            )


def _float_type(sources: Sequence[RasterBands]) -> str:
    """Return the smaller float type that holds every value of the sources."""
    return str(np.result_type(np.float32, *(source.dtype for source in sources)))


def _reduce(
    pan: RasterBands, images: Sequence[RasterBands], dtype: str, path: Path, progress: Progress
) -> tuple[RasterBands, Response]:
    """Write the panchromatic image averaged over multispectral pixels, and tie it to the bands."""
    grid = _common_ground(images[0], pan)
    both = stack([*(replace(s, dtype=dtype) for s in images), pan], grid, Resampling.average)
    moments = Moments(len(both.names))
    windows = both.windows()
    try:
        with atomic_raster(
            path, grid, RasterFormat(count=1, dtype=dtype, nodata=math.nan), overwrite=False
        ) as file:
            for i, window in enumerate(windows, start=1):
                values, valid = both.read(window)
                moments.update(values[:, valid])
                file.write(np.where(valid, values[-1], np.nan), 1, window=window.ranges)
                progress(i, len(windows), "reducing the panchromatic image")
    finally:
        both.close()
    if moments.count == 0:
        raise OverlapError(
            pan.name,
            f"has no valid pixel where {images[0].name} has one",
            "check both files' places and nodata values",
        )
    tied = response(moments)
    if tied is None:
        raise InputMismatchError(
            pan.name,
            f"shows nothing of what {images[0].name} shows",
            "give the panchromatic image of the same ground and date",
        )
    _say(tied, pan, both.names[:-1])
    with open_input(path) as written:
        return bands_of(written), tied


def _common_ground(image: RasterBands, pan: RasterBands) -> Grid:
    """Return the grid of the image's pixels that the panchromatic image reaches."""
    bounds = pan.grid.bounds
    if not same_crs(pan.grid.crs, image.grid.crs):
        bounds = transform_bounds(pan.grid.crs, image.grid.crs, *bounds)
    return image.grid.subgrid(
        image.grid.window_of(bounds).expanded(_MARGIN).clipped(*image.grid.shape)
    )


def _say(tied: Response, pan: RasterBands, names: Sequence[str]) -> None:
    weights = ", ".join(f"{n} {w:.3g}" for n, w in zip(names, tied.weights, strict=True))
    logger.debug("%s: %s; R² %.3f", pan.name, weights, tied.explained)
    if tied.explained < _POORLY_EXPLAINED:
        logger.warning(
            "%s: the bands explain %.0f %% of it only; is it of the same ground and date?",
            pan.name,
            100 * tied.explained,
        )
