"""Reading windows of images and labels, from several threads at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from lcmap.dataset.idle_pool import IdlePool
from lcmap.dataset.input_reader import InputReader
from lcmap.dataset.inputs import InputOptions, RasterInput, open_input, seen_input
from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.series import (
    MOST_OPEN,
    Series,
    SeriesPool,
    SeriesReader,
    mean_quantiles,
    open_series,
)
from lcmap.dataset.side_options import SideOptions
from lcmap.dataset.tile_index import IndexedTile, Side, rasters_of
from lcmap.nomenclature import Nomenclature
from lcmap.nomenclature.classes import NO_INDEX
from lcmap.raster.grid import Grid
from lcmap.raster.opening import RASTER_DRIVERS, VIRTUAL_DRIVERS, open_raster, read_valid, reading
from lcmap.raster.plain_vrt import is_plain_mosaic
from lcmap.raster.windows import Window

IGNORE = NO_INDEX
"""The class index of pixels without a label."""

_MOST_RASTERS = MOST_OPEN // 2
"""How many rasters stay open, and how many that are brought to the grid of an image."""


@dataclass(frozen=True)
class LabelledWindow:
    """A window of an image with its valid pixels and, where there are labels, its class indices.

    image: [C, h, w] in the image's dtype; valid: bool [h, w];
    labels: uint8 [h, w], 0 … K-1 in the nomenclature's order, 255 where there is no label or the
    image is not valid; None without labels.
    """

    image: NDArray[Any]
    valid: NDArray[np.bool_]
    labels: NDArray[np.uint8] | None


class TileReader:
    """Reads windows of the rasters that a tile index names; each is lent to one thread at a time.

    Use it as a context manager, or call `close` when no thread reads any more.
    """

    def __init__(
        self,
        nomenclature: Nomenclature | None,
        *,
        allow_vrt: bool = False,
        quantiles: Mapping[Side, NDArray[np.float64]] | None = None,
        side_options: Mapping[Side, SideOptions] | None = None,
    ) -> None:
        """Read labels in the codes of this nomenclature.

        `quantiles`, float64 [C, 2], are those of the images for which others than their own count,
        `side_options` say of what is not as its file says how it is opened.
        """
        self._table = nomenclature.code_to_index if nomenclature else None
        self._rasters: IdlePool[Path, Any] = IdlePool(_MOST_RASTERS)
        self._inputs: IdlePool[tuple[Path, Path, RasterContent], InputReader]
        self._inputs = IdlePool(_MOST_RASTERS)
        self._lock = threading.Lock()
        self._allow_vrt = allow_vrt
        self._quantiles = dict(quantiles or {})
        self._side_options = dict(side_options or {})
        self._series: dict[tuple[Path, ...], Series] = {}
        self._series_readers: dict[tuple[Side, Path, int], SeriesReader] = {}
        self._dates: SeriesPool = IdlePool(MOST_OPEN)

    def __enter__(self) -> TileReader:
        """Return the reader itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every file."""
        self.close()

    def close(self) -> None:
        """Close the files that no thread reads just now."""
        for pool in (self._rasters, self._inputs, self._dates):
            pool.close()

    def read(self, tile: IndexedTile, window: Window | None = None) -> LabelledWindow:
        """Read a tile, or any window [row, col, height, width] of its image.

        Raises:
            NotARasterError: the pixels cannot be read.
        """
        window = window or tile.window
        image, valid = self.image(tile.image, window)
        if tile.labels is None:
            return LabelledWindow(image, valid, None)
        labels = self.labels(tile.labels, window)
        return LabelledWindow(image, valid, np.where(valid, labels, np.uint8(IGNORE)))

    def image(self, path: Path, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read a window of an image: [C, h, w] in its dtype, and its valid pixels, bool [h, w].

        Raises:
            NotARasterError: the pixels cannot be read.
        """
        with self._raster(path) as dataset, reading(path):
            return dataset.read(window=window.ranges), read_valid(dataset, window)

    def shape(self, path: Path) -> tuple[int, int]:
        """Return the rows and columns of a raster."""
        with self._raster(path) as dataset:
            return dataset.height, dataset.width

    def labels(self, path: Path, window: Window) -> NDArray[np.uint8]:
        """Read a window of labels as class indices, uint8 [h, w], 255 where there is none.

        Raises:
            NotARasterError: the pixels cannot be read.
        """
        if self._table is None:
            raise ValueError("reading labels takes the nomenclature they are in")
        with self._raster(path) as dataset, reading(path):
            codes: NDArray[np.uint8] = dataset.read(1, window=window.ranges)
        return self._table[codes]

    def index_of(self, code: int) -> int:
        """Return the class index of a code, as `labels` has it."""
        if self._table is None:
            raise ValueError("reading labels takes the nomenclature they are in")
        return int(self._table[code])

    def side(
        self, side: Side, content: RasterContent, image: Path, window: Window
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a side input as the network takes it on a window of an image's grid.

        The window is in cells of the content's level. Float32 [C, h, w], and where it is valid,
        bool [h, w]; see `InputReader`. A series is packed in one array, see `SeriesPixels`, and
        valid where any date is.

        Raises:
            NotARasterError: the pixels cannot be read.
            UnknownLabelError: a label map holds codes that its nomenclature does not have.
        """
        if isinstance(side, tuple):
            found = self._series_reader(side, image, content.level).read(window)
            return found.packed, found.any_valid
        opening = partial(self._input, side, content, image)
        with self._inputs.lent((side, image, content), opening) as reader:
            return reader.read(window)

    @contextmanager
    def _input(self, side: Path, content: RasterContent, image: Path) -> Iterator[InputReader]:
        """Yield what reads a side input on the grid of an image."""
        name, options, quantiles = os.fspath(side), self.options_of(side), None
        if content.kind == "image":
            quantiles = self.quantiles(side)
        else:
            options = replace(options, nodata=None)
        with (
            self._opened(side) as dataset,
            seen_input(dataset, side, name, options, meaning="image") as seen,
        ):
            yield InputReader(seen.dataset, self._grid(image), content, quantiles, name)

    def _grid(self, image: Path) -> Grid:
        with self._raster(image) as dataset:
            return Grid.of(dataset)

    def _series_reader(self, paths: tuple[Path, ...], image: Path, level: int) -> SeriesReader:
        key = paths, image, level
        if key not in self._series_readers:
            series, options = self.series(paths), self.options_of(paths)
            self._series_readers[key] = SeriesReader(
                series, self._grid(image), self.quantiles(paths), options, self._dates, level
            )
        return self._series_readers[key]

    def series(self, paths: tuple[Path, ...]) -> Series:
        """Return a series, whose dates are checked when it is first asked for.

        Raises:
            LcmapError: as `open_series`.
        """
        if paths not in self._series:
            self._series[paths] = open_series(
                paths, os.fspath(paths[0]), self.options_of(paths), bands=None
            )
        return self._series[paths]

    def options_of(self, side: Side) -> InputOptions:
        """Return how an image or a series is opened: VRTs too, if one of it is a plain mosaic."""
        allow_vrt = any(map(self._may_be_virtual, rasters_of(side)))
        return self._side_options.get(side, SideOptions()).input_options(allow_vrt=allow_vrt)

    def opened(self, path: Path) -> AbstractContextManager[RasterInput]:
        """Open an image, or what is beside it, as it is read.

        Raises:
            LcmapError: as `open_input`.
        """
        return open_input(path, self.options_of(path), meaning="image")

    def quantiles(self, path: Side) -> NDArray[np.float64]:
        """Return the 2 % and 98 % quantiles that count for an image or a series, float64 [C, 2]."""
        if isinstance(path, tuple):
            if path not in self._quantiles:
                series = self.series(path), self.options_of(path)
                self._quantiles[path] = mean_quantiles([series])
            return self._quantiles[path]
        with self._lock:
            if path not in self._quantiles:
                with self.opened(path) as image:
                    self._quantiles[path] = image.quantiles(remedy="prepare it with")
            return self._quantiles[path]

    def _may_be_virtual(self, path: Path) -> bool:
        return self._allow_vrt or is_plain_mosaic(path)

    def _raster(self, path: Path) -> AbstractContextManager[Any]:
        """Lend a raster to this thread."""
        return self._rasters.lent(path, partial(self._opened, path))

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Any]:
        """Yield a raster of its own, which any thread may read and close."""
        virtual = self._may_be_virtual(path)
        with open_raster(path, allow_vrt=virtual):  # checks it; its environment is one thread's
            pass
        drivers = VIRTUAL_DRIVERS if virtual else RASTER_DRIVERS
        dataset = DatasetReader(os.fspath(path), driver=list(drivers))
        try:
            yield dataset
        finally:
            dataset.close()
