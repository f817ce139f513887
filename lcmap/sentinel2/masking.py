"""Masked reflectance of scenes, at the bands' own resolution.

A mask must act before an image is resampled, or the kernel mixes what it hides into its
neighbours. So windows of bands become reflectance at their own resolution, with nodata wherever a
mask of any resolution says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.features import geometry_mask

from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster, reading
from lcmap.raster.windows import Window
from lcmap.sentinel2.bands import RESOLUTIONS
from lcmap.sentinel2.scene import BandFile, Mask, PolygonMask, RasterMask, Scene

SCALE = 10_000
"""What reflectance is multiplied by."""

NODATA = -10_000

CHUNK = 1024
"""Rows and columns masked at once: the tiles of ESA's JPEG 2000 files."""

Opening = Callable[[Path], AbstractContextManager[Any]]


def reflectance(
    numbers: NDArray[Any], file: BandFile, masked: NDArray[np.bool_]
) -> NDArray[np.int16]:
    """Return the reflectance × 10 000 of a band's numbers [h, w], `NODATA` where there is none.

    There is none where it is masked, bool [h, w], and where the number itself says so. The result
    is rounded, and limited to what int16 holds besides nodata.
    """
    missing = masked | (numbers == file.nodata)
    if file.saturated is not None:
        missing |= numbers == file.saturated
    values = (numbers.astype(np.float64) + file.offset) * (SCALE / file.quantification)
    limited = np.clip(np.rint(values), NODATA + 1, np.iinfo(np.int16).max).astype(np.int16)
    limited[missing] = NODATA
    return limited


def mask_window(mask: RasterMask, dataset: Any, grid: Grid, window: Window) -> NDArray[np.bool_]:
    """Return what a raster mask hides of a window of a band's grid, bool [h, w].

    The mask covers the same ground with larger pixels, the same, or smaller ones; of smaller ones,
    one that is masked suffices.
    """
    down, across = dataset.height / grid.height, dataset.width / grid.width
    rows, row_cells = _cells(window.row, window.height, down)
    cols, col_cells = _cells(window.col, window.width, across)
    part = Window(int(rows[0]), int(cols[0]), row_cells, col_cells)
    values = dataset.read(mask.index, window=part.ranges)
    table = mask.masked[np.minimum(values, 255).astype(np.uint8)]
    along = np.logical_or.reduceat(table, rows - rows[0], axis=0)
    both: NDArray[np.bool_] = np.logical_or.reduceat(along, cols - cols[0], axis=1)
    return both


def _cells(start: int, count: int, ratio: float) -> tuple[NDArray[np.intp], int]:
    """Return the first mask cell of each of `count` pixels from `start`, and the cells in all.

    `ratio` is the cells a pixel covers, above or below 1. Cells ascend, and a pixel's go on to the
    next pixel's first; `reduceat` takes one cell where two pixels share it.
    """
    edges = (np.arange(start, start + count) + (0.5 if ratio < 1 else 0.0)) * ratio
    first = np.floor(edges + 1e-6).astype(np.intp)
    stop = math.ceil((start + count) * ratio - 1e-6)
    return first, max(stop, int(first[-1]) + 1) - int(first[0])


def by_resolution(bands: Sequence[str]) -> list[tuple[str, ...]]:
    """Return these bands in groups of one pixel size, the smallest first, each in their order."""
    return [
        tuple(band for band in bands if RESOLUTIONS[band] == metres)
        for metres in sorted({RESOLUTIONS[band] for band in bands})
    ]


class MaskedBands:
    """The open bands of a scene that share a pixel size, read as one raster of reflectance.

    `grid` is theirs, [C] their `names`.
    """

    def __init__(
        self, scene: Scene, names: Sequence[str], datasets: Sequence[Any], masks: dict[Path, Any]
    ) -> None:
        """Take the open files of these bands, and those of their masks by path."""
        self.names = tuple(names)
        self.grid = Grid.of(datasets[0])
        self._scene = scene
        self._datasets = tuple(datasets)
        self._masks = masks

    def read(self, window: Window) -> NDArray[np.int16]:
        """Return a window of reflectance × 10 000, int16 [C, h, w], `NODATA` where there is none.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        result = np.empty((len(self.names), window.height, window.width), np.int16)
        known: dict[int, NDArray[np.bool_]] = {}
        for band, (name, dataset) in enumerate(zip(self.names, self._datasets, strict=True)):
            masked = np.zeros((window.height, window.width), bool)
            for mask in self._scene.masks[name]:
                # bands share masks
                if id(mask) not in known:
                    known[id(mask)] = self._hidden(mask, window)
                masked |= known[id(mask)]
            file = self._scene.bands[name]
            with reading(file.path):
                numbers = dataset.read(1, window=window.ranges)
            result[band] = reflectance(numbers, file, masked)
        return result

    def _hidden(self, mask: Mask, window: Window) -> NDArray[np.bool_]:
        """Return what a mask hides of a window, bool [h, w]."""
        if isinstance(mask, RasterMask):
            with reading(mask.path):
                return mask_window(mask, self._masks[mask.path], self.grid, window)
        return polygon_window(mask, self.grid, window)


@contextmanager
def opened_bands(
    scene: Scene, names: Sequence[str], opening: Opening = open_raster
) -> Iterator[MaskedBands]:
    """Open bands of one pixel size, and the rasters that mask them, each by `opening`.

    Raises:
        InputMissingError, NotARasterError: a file of the scene cannot be read.
    """
    paths = {mask.path for name in names for mask in raster_masks(scene, name)}
    with ExitStack() as files:
        datasets = [files.enter_context(opening(scene.bands[name].path)) for name in names]
        masks = {path: files.enter_context(opening(path)) for path in sorted(paths)}
        yield MaskedBands(scene, names, datasets, masks)


def raster_masks(scene: Scene, band: str) -> Iterator[RasterMask]:
    """Yield those masks of a band that are rasters."""
    for mask in scene.masks[band]:
        if isinstance(mask, RasterMask):
            yield mask


def polygon_window(mask: PolygonMask, grid: Grid, window: Window) -> NDArray[np.bool_]:
    """Return the pixels of a window whose centre is in a polygon, bool [h, w]."""
    shape = (window.height, window.width)
    if not mask.polygons:
        return np.zeros(shape, bool)
    transform = grid.subgrid(window).transform
    hidden: NDArray[np.bool_] = geometry_mask(mask.polygons, shape, transform, invert=True)
    return hidden
