"""Masked reflectance of scenes, at the bands' own resolution.

A mask must act before an image is resampled, or the kernel mixes what it hides into its
neighbours. So the part of a scene that a grid needs is written once to temporary files: as
reflectance, with nodata wherever a mask of any resolution says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.features import geometry_mask

from lcmap.imagery.raster_bands import RasterBands
from lcmap.imagery.sentinel2.bands import RESOLUTIONS
from lcmap.imagery.sentinel2.scene import BandFile, Mask, PolygonMask, RasterMask, Scene
from lcmap.raster.alignment import footprint
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster, reading
from lcmap.raster.radiometry import Radiometry
from lcmap.raster.windows import Window, iter_blocks
from lcmap.raster.writing import write_error

SCALE = 10_000
"""What reflectance is multiplied by."""

NODATA = -10_000

_CHUNK = 1024
"""Rows and columns masked at once: the tiles of ESA's JPEG 2000 files."""

_BLOCK = 256


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


def write_masked_scene(
    scene: Scene,
    bands: Sequence[str],
    target: Grid,
    folder: Path,
    number: int,
) -> list[RasterBands]:
    """Write the masked reflectance of what a grid needs of a scene; return it as sources.

    There is a file for each resolution in `folder`, its name begun with the scene's `number`. The
    sources have the bands as named in `bands`, int16, in the order of the files.

    Raises:
        InputMissingError, NotARasterError: a file of the scene cannot be read.
        CannotWriteError: no space left in the folder.
    """
    sources = []
    for metres in sorted({RESOLUTIONS[band] for band in bands}):
        names = tuple(band for band in bands if RESOLUTIONS[band] == metres)
        with ExitStack() as files:
            datasets = [files.enter_context(open_raster(scene.bands[b].path)) for b in names]
            grid = Grid.of(datasets[0])
            window = footprint(grid, target)
            path = folder / f"{number:04d}_{metres}m.tif"
            _write(scene, names, datasets, window, path)
        sources.append(
            RasterBands(
                path=path,
                name=scene.name,
                grid=grid.subgrid(window),
                indexes=tuple(range(1, len(names) + 1)),
                names=names,
                dtype="int16",
                nodata=float(NODATA),
                masked=False,
                radiometry=(Radiometry(level=scene.level),) * len(names),
            )
        )
    return sources


def _write(
    scene: Scene, names: Sequence[str], datasets: Sequence[Any], window: Window, path: Path
) -> None:
    grid = Grid.of(datasets[0])
    part = grid.subgrid(window)
    profile = {
        "driver": "GTiff",
        "width": part.width,
        "height": part.height,
        "count": len(names),
        "dtype": "int16",
        "nodata": NODATA,
        "crs": part.crs,
        "transform": part.transform,
        "compress": "deflate",
        "zlevel": 1,
        "predictor": 2,
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "interleave": "band",
        "bigtiff": "IF_SAFER",
    }
    with ExitStack() as files:
        masks = _open_masks(scene, names, files)
        try:
            output = files.enter_context(rasterio.open(path, "w", **profile))
            for block in iter_blocks(part.height, part.width, _CHUNK):
                inside = block.shifted(window.row, window.col)
                known: dict[int, NDArray[np.bool_]] = {}
                for band, (name, dataset) in enumerate(zip(names, datasets, strict=True), start=1):
                    masked = np.zeros((block.height, block.width), bool)
                    for mask in scene.masks[name]:
                        # bands share masks
                        if id(mask) not in known:
                            known[id(mask)] = _hidden(mask, masks, grid, inside)
                        masked |= known[id(mask)]
                    with reading(scene.bands[name].path):
                        numbers = dataset.read(1, window=inside.ranges)
                    values = reflectance(numbers, scene.bands[name], masked)
                    output.write(values, band, window=block.ranges)
        except RasterioError as error:
            raise write_error(path.parent, path, error) from error


def _open_masks(scene: Scene, names: Sequence[str], files: ExitStack) -> dict[Path, Any]:
    paths = {mask.path for name in names for mask in _rasters(scene.masks[name])}
    return {path: files.enter_context(open_raster(path)) for path in sorted(paths)}


def _rasters(masks: Sequence[Mask]) -> Iterator[RasterMask]:
    for mask in masks:
        if isinstance(mask, RasterMask):
            yield mask


def _hidden(mask: Mask, masks: dict[Path, Any], grid: Grid, window: Window) -> NDArray[np.bool_]:
    """Return what a mask hides of a window of a band's grid, bool [h, w]."""
    if isinstance(mask, RasterMask):
        with reading(mask.path):
            return mask_window(mask, masks[mask.path], grid, window)
    return polygon_window(mask, grid, window)


def polygon_window(mask: PolygonMask, grid: Grid, window: Window) -> NDArray[np.bool_]:
    """Return the pixels of a window whose centre is in a polygon, bool [h, w]."""
    shape = (window.height, window.width)
    if not mask.polygons:
        return np.zeros(shape, bool)
    transform = grid.subgrid(window).transform
    hidden: NDArray[np.bool_] = geometry_mask(mask.polygons, shape, transform, invert=True)
    return hidden
