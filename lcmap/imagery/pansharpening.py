"""Multispectral bands sharpened to the pixels of a panchromatic image, lazily by block.

The detail is what the panchromatic image has beyond itself seen by the bands' sensor, whose blur it
gets, as in the generalised Laplacian pyramid matched to the modulation transfer function (Aiazzi et
al., 2006). The blur is the one by which the bands explain the reduced panchromatic image best; it
is estimated, as by Vivone et al. (2015). The same regression ties the two sensors' radiometries, as
in adaptive component substitution (Aiazzi et al., 2007); so their units need not be the same.

Each band takes of the detail what it follows of the intensity around the pixel, as in context-based
decision (Aiazzi et al., 2002), shrunk towards the mean of high-pass filtering (Chavez et al., 1991)
and smoothing-filter-based intensity modulation (Liu, 2000) where the neighbourhood tells little.
Since only detail is added, light that the panchromatic image sees and the bands do not leaves no
cast on broad tones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling

from lcmap.errors import InputMismatchError, OverlapError
from lcmap.imagery.raster_bands import RasterBands
from lcmap.imagery.reduced_pan import reduce_pan, write_gains
from lcmap.imagery.stack import Stack, as_dtype, common_nodata, stack
from lcmap.progress import Progress, silent
from lcmap.raster.alignment import covers, overlaps, pixel_size
from lcmap.raster.windows import Window

_FINER = 1.01


@dataclass(frozen=True)
class PansharpenedStack(Stack):
    """Bands sharpened on the grid of a panchromatic image, not yet computed.

    `parts` are, in floats: the bands, their gains, the panchromatic image reduced and as it is.
    """

    parts: Stack

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Compute a window: the image [bands, h, w] and where it and its sources are valid.

        Raises:
            NotARasterError: the pixels of a file cannot be read.
        """
        parts, valid = self.parts.read(window)
        image = np.zeros((len(self.names), *valid.shape), self.dtype)
        image[:] = 0 if self.nodata is None else self.nodata
        reduced, pan = parts[-2:, valid]
        bands, gains = np.split(parts[:-2, valid], 2)
        image[:, valid] = as_dtype(bands + gains * (pan - reduced), self.dtype, self.nodata)
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
    nodata value. Temporary files in `folder`, which has to live as long as the stack, hold the
    panchromatic image and the bands' gains at the resolution of the first image.

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
    reduced = reduce_pan(pan, images, dtype, folder / "reduced-pan.tif", progress)
    gains = write_gains(chosen, reduced, dtype, folder / "gains.tif", progress)
    bands = [replace(source, dtype=dtype) for source in chosen]
    parts = stack([*bands, gains, reduced.bands, pan], pan.grid, resampling)
    own_type = np.result_type(*(source.dtype for source in chosen))
    nodata = common_nodata(chosen, own_type)
    may_lack = any(
        source.masked or source.nodata is not None or not covers(source.grid, pan.grid)
        for source in [*chosen, pan]
    )
    return PansharpenedStack(
        grid=pan.grid,
        names=tuple(name for source in chosen for name in source.names),
        dtype=own_type.name,
        nodata=nodata,
        masked=nodata is None and may_lack,
        radiometry=tuple(band for source in chosen for band in source.radiometry),
        layers=parts.layers,
        parts=parts,
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
