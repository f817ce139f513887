"""The quantiles of a campaign: of many images, as if they were one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.inputs import InputOptions, RasterInput, open_input
from lcmap.dataset.quantile_file import BandQuantiles, write_quantile_file
from lcmap.dataset.raster_files import raster_files
from lcmap.dataset.raster_kind import RasterKind
from lcmap.errors import AllNodataError, UsageError
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.input_watch import unchanged_inputs
from lcmap.raster.opening import read_valid, reading
from lcmap.raster.output_set import OutputSet
from lcmap.raster.pipes import STANDARD_STREAM
from lcmap.raster.quantiles import select_quantiles
from lcmap.raster.radiometry import (
    NamedRadiometry,
    Radiometry,
    common_radiometry,
    radiometry_of,
)
from lcmap.raster.windows import iter_blocks
from lcmap.raster.writing import check_output

_BLOCK = 1024


@dataclass(frozen=True)
class CampaignReport:
    """What was measured: the file, the quantiles and how many images they are of."""

    output: str
    quantiles: BandQuantiles
    images: int

    @property
    def text(self) -> str:
        """The quantiles in a line."""
        bands = ", ".join(
            f"{name} {low:g} to {high:g}"
            for name, (low, high) in zip(
                self.quantiles.bands, self.quantiles.values.tolist(), strict=True
            )
        )
        return f"{self.output}: 2 % and 98 % quantiles of {self.images} images: {bands}"


def measure_campaign(
    images: Sequence[PathLike],
    output: PathLike,
    *,
    inputs: InputOptions | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> CampaignReport:
    """Write the exact quantiles of all images together, every valid pixel counting once an image.

    `images` are files, folders of rasters or patterns, all with the same bands and data type.

    Raises:
        UsageError: standard input or output.
        InputMissingError, NotARasterError, NoCrsError: an image cannot be opened.
        InputMismatchError: an image has other bands, another type, level, scale or offset.
        DataError: an image has complex numbers.
        AllNodataError: no pixel of any image is valid.
        InputChangedError: an image changed while it was read.
        OutputExistsError, CannotWriteError: the output cannot be written.
        LockedError: another run is making it.
    """
    inputs = inputs or InputOptions()
    if STANDARD_STREAM in [os.fspath(path) for path in (*images, output)]:
        raise UsageError("`quantiles_of`", "takes images and an output in files", "name them")
    files = [file for item in images for file in raster_files(item)]
    with OutputSet([output], overwrite=overwrite, inputs=files) as made:
        check_output(output, overwrite=made.overwrite)
        return _measure(files, output, inputs, made, progress)


def _measure(
    files: Sequence[PathLike],
    output: PathLike,
    inputs: InputOptions,
    made: OutputSet,
    progress: Progress,
) -> CampaignReport:
    with open_input(files[0], inputs) as first:
        kind = RasterKind.of(first.dataset, first.name)
    done = 0

    def blocks() -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
        nonlocal done
        for file in files:
            with open_input(file, inputs, bands=len(kind.bands)) as image:
                yield from _blocks(image)
            done += 1
            progress(min(done, len(files)), len(files), "quantiles")

    with unchanged_inputs():
        radiometry = _common_radiometry(files, kind, inputs)
        values = select_quantiles(blocks, len(kind.bands), kind.dtype)
    if np.isnan(values).any():
        raise AllNodataError(
            files[0], "like all others, has no pixel that is valid in every band", "check `nodata`"
        )
    quantiles = BandQuantiles(kind.bands, kind.dtype, values, radiometry)
    write_quantile_file(output, quantiles, len(files), overwrite=made.overwrite, within=made)
    return CampaignReport(os.fspath(output), quantiles, len(files))


def _blocks(image: RasterInput) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
    for window in iter_blocks(*image.grid.shape, _BLOCK):
        with reading(image.name):
            yield image.dataset.read(window=window.ranges), read_valid(image.dataset, window)


def _common_radiometry(
    files: Sequence[PathLike], kind: RasterKind, inputs: InputOptions
) -> tuple[Radiometry, ...]:
    """Return what all images mean by their bands, before any is measured."""
    found = []
    for file in files:
        with open_input(file, inputs, bands=len(kind.bands)) as image:
            RasterKind.of(image.dataset, image.name).check_as(kind)
            found.append(NamedRadiometry(image.name, radiometry_of(image.dataset, image.name)))
    return common_radiometry(found)
