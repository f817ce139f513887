"""Writing a stack with its quantiles, and the labels on its grid."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.errors import NoLabelledPixelError
from lcmap.imagery.labels import AlignedLabels
from lcmap.imagery.options import PrepareOutputs
from lcmap.imagery.stack import GridImage
from lcmap.progress import Progress
from lcmap.raster.acquisition_day import write_day
from lcmap.raster.output_set import OutputSet
from lcmap.raster.pixel_sample import PixelSample
from lcmap.raster.quantile_tags import write_quantiles
from lcmap.raster.quantiles import QuantileSelection, no_valid_pixel
from lcmap.raster.radiometry import write_radiometry
from lcmap.raster.writing import RasterFormat, atomic_raster


def write_stack(
    image: GridImage,
    name: str,
    labels: AlignedLabels | None,
    outputs: PrepareOutputs,
    given: NDArray[np.float64] | None,
    *,
    files: OutputSet,
    progress: Progress,
) -> tuple[NDArray[np.float64], float]:
    """Compute an image, called `name`, and labels block by block and write them.

    The files get their names with the rest of the set `files`.

    Returns the quantiles that the stack's tags carry, those `given` or else its own, float64
    [bands, 2], and the share of pixels that are valid in every band. Labels are written where the
    image is valid.

    Raises:
        NotARasterError: the pixels of a file cannot be read.
        AllNodataError: no pixel is valid in every band.
        NoLabelledPixelError: no pixel that is valid has a label.
        CannotWriteError: an output cannot be written.
    """
    selection = QuantileSelection(len(image.names), image.dtype)
    with ExitStack() as open_files:
        image_file = open_files.enter_context(
            atomic_raster(
                outputs.output,
                image.grid,
                RasterFormat(
                    count=len(image.names),
                    dtype=image.dtype,
                    nodata=image.nodata,
                    band_names=image.names,
                    overviews=True,
                    masked=image.masked,
                ),
                overwrite=outputs.overwrite,
                within=files,
            )
        )
        labels_file = None
        if labels is not None:
            labels_file = open_files.enter_context(
                atomic_raster(
                    outputs.labels,
                    image.grid,
                    RasterFormat(
                        count=1,
                        dtype="uint8",
                        nodata=0,
                        band_names=("class",),
                        classes=labels.nomenclature.class_table(),
                        overviews=True,
                        sidecars=True,
                    ),
                    overwrite=outputs.overwrite,
                    within=files,
                )
            )
        sample = PixelSample(len(image.names), *image.grid.shape, image.dtype)
        valid_pixels = _write_blocks(
            image, image_file, labels, labels_file, (selection, sample), progress
        )
        if valid_pixels == 0:
            raise no_valid_pixel(name)
        while given is None and not selection.done:
            for values, valid in image.blocks():
                selection.update(values[:, valid])
            selection.end_pass()
        quantiles = selection.quantiles() if given is None else given
        write_quantiles(image_file, quantiles, sample)
        write_radiometry(image_file, image.radiometry)
        if image.day is not None:
            write_day(image_file, image.day)
    return quantiles, valid_pixels / math.prod(image.grid.shape)


def _write_blocks(
    image: GridImage,
    image_file: Any,
    labels: AlignedLabels | None,
    labels_file: Any,
    measured: tuple[QuantileSelection, PixelSample],
    progress: Progress,
) -> int:
    """Write every block and make the first pass of the quantiles; return the valid pixels."""
    selection, sample = measured
    windows = image.windows()
    read_pixels = valid_pixels = labelled_pixels = 0
    for i, window in enumerate(windows, start=1):
        values, valid = image.read(window)
        image_file.write(values, window=window.ranges)
        if image.masked:
            image_file.write_mask(valid, window=window.ranges)
        selection.update(values[:, valid])
        sample.update(values, window)
        valid_pixels += int(np.count_nonzero(valid))
        if labels is not None:
            codes = np.where(valid, labels.read(window), np.uint8(0))
            labels_file.write(codes, 1, window=window.ranges)
            labelled_pixels += int(np.count_nonzero(codes))
        read_pixels += window.pixels
        progress(i, len(windows), "stacking", amount=read_pixels)
    selection.end_pass()
    if labels is not None and valid_pixels and not labelled_pixels:
        raise NoLabelledPixelError(
            labels.name, "has no label where the image is valid", "check its area"
        )
    return valid_pixels
