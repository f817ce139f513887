"""Label rasters that a user names, opened and read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags

from lcmap.dataset.inputs import InputOptions, RasterInput, open_input
from lcmap.nomenclature import as_codes
from lcmap.paths import PathLike
from lcmap.raster.opening import read_valid, reading, require_label_band
from lcmap.raster.pipes import display_name
from lcmap.raster.windows import Window


class LabelRaster:
    """An open label raster of one band; `name` is what messages call it."""

    def __init__(self, source: RasterInput) -> None:
        """Read the codes of an open raster."""
        self.path = source.path
        self.name = source.name
        self.dataset = source.dataset
        self.grid = source.grid
        flags = self.dataset.mask_flag_enums[0]
        self._may_be_invalid = flags != [MaskFlags.all_valid] and not (
            flags == [MaskFlags.nodata] and self.dataset.nodata == 0
        )

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Return the codes in a window, uint8 [height, width], 0 where the raster has no data.

        Raises:
            NotARasterError: the pixels cannot be read.
            UnknownLabelError: a pixel holds a value that is not a code from 0 to 255.
        """
        with reading(self.name):
            labels = self.dataset.read(1, window=window.ranges)
            if self._may_be_invalid or labels.dtype.kind == "f":
                labels = np.where(read_valid(self.dataset, window), labels, 0)
        return as_codes(labels, self.name)

    def read_valid(self, window: Window) -> NDArray[np.bool_]:
        """Return where the raster has data in a window, bool [height, width].

        Raises:
            NotARasterError: the pixels cannot be read.
        """
        with reading(self.name):
            return read_valid(self.dataset, window)


@contextmanager
def open_labels(given: PathLike, inputs: InputOptions | None = None) -> Iterator[LabelRaster]:
    """Open a label raster that a user named.

    Raises:
        UsageError, InputMissingError, NotARasterError, CannotWriteError: as `open_input`.
        LabelBandError: it has several bands.
        NoCrsError: it does not say its CRS.
    """
    with open_input(given, inputs) as source:
        require_label_band(source.dataset.count, source.name)
        source.require_crs()
        yield LabelRaster(source)


@dataclass(frozen=True)
class LabelFile:
    """A label raster that a user named, opened where it is needed unless it is open already."""

    given: PathLike
    raster: LabelRaster | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return display_name(self.given)

    @contextmanager
    def opened(self, inputs: InputOptions) -> Iterator[LabelRaster]:
        """Open it, as `open_labels`; what is open already stays open afterwards."""
        if self.raster is not None:
            yield self.raster
        else:
            with open_labels(self.given, inputs) as raster:
                yield raster
