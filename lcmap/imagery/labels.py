"""Labels brought onto the grid of a stack, in the classes wanted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import transform_bounds

from lcmap.errors import LabelBandError, NoOverlapError, UsageError
from lcmap.imagery.source import RasterBands, data_vrt, describe
from lcmap.nomenclature import Crosswalk, Nomenclature, as_codes, load_crosswalk, load_nomenclature
from lcmap.nomenclature.library import nomenclature_of
from lcmap.paths import PathLike
from lcmap.raster.alignment import pixel_size
from lcmap.raster.classes import read_class_table
from lcmap.raster.grid import Grid, same_crs
from lcmap.raster.opening import open_raster, read_valid, reading
from lcmap.raster.warping import lazily_aligned
from lcmap.raster.windows import Window, iter_blocks

_BLOCK = 2048
_COARSER = 1.01
"""From this ratio of pixel sizes on, labels are reduced by majority rather than by nearest."""


@dataclass(frozen=True)
class AlignedLabels:
    """Labels of a file on a grid, not yet computed; `codes` is uint8 [1, rows, columns]."""

    path: Path
    nomenclature: Nomenclature
    codes: xr.DataArray

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Compute a window of class codes, uint8 [h, w], 0 where there is no label.

        Raises:
            NotARasterError: the pixels cannot be read.
        """
        rows, cols = window.slices
        with reading(self.path):
            block = self.codes.isel(y=rows, x=cols).compute(scheduler="synchronous")
        values: NDArray[np.uint8] = block.values[0]
        return values


def label_classes(
    labels: Path,
    nomenclature: PathLike | None,
    crosswalk: str | None,
    *,
    allow_vrt: bool = False,
) -> Nomenclature | Crosswalk:
    """Return what a label raster's codes mean: as named, else as the raster itself says.

    Raises:
        UsageError: both are named, or neither and the raster does not say.
        UnknownNomenclatureError, NomenclatureError: as their loaders.
    """
    if nomenclature is not None and crosswalk is not None:
        raise UsageError(
            "--nomenclature", "goes without --crosswalk, which names the classes", "drop one"
        )
    if crosswalk is not None:
        return load_crosswalk(crosswalk)
    if nomenclature is not None:
        return load_nomenclature(nomenclature)
    with open_raster(labels, allow_vrt=allow_vrt) as dataset:
        table = read_class_table(dataset)
    if table is None:
        raise UsageError(
            labels, "does not say what its codes mean", "name --nomenclature or --crosswalk"
        )
    return nomenclature_of(table)


def align_labels(
    labels: Path, classes: Nomenclature | Crosswalk, grid: Grid, *, allow_vrt: bool = False
) -> AlignedLabels:
    """Bring a label raster onto a grid, lazily, through the crosswalk if there is one.

    By nearest neighbour; where the grid is coarser, the class that covers most of a pixel, "no
    label" being one of them.

    Raises:
        InputMissingError, NotARasterError, NoCrsError: as `describe`.
        LabelBandError: more than one band.
        NoOverlapError: they cover no ground of the grid.
        UnknownLabelError: codes on the grid's ground that the nomenclature does not have.
    """
    source = describe(labels, allow_vrt=allow_vrt)
    check_codes(source, classes, grid, allow_vrt=allow_vrt)
    table = _table(classes)
    across, down = pixel_size(source.grid, grid)
    coarser = max(across, down) > _COARSER
    codes = lazily_aligned(
        data_vrt(source, table),
        source.grid,
        grid,
        Resampling.mode if coarser else Resampling.nearest,
        nodata=None,
    )
    target = classes.target if isinstance(classes, Crosswalk) else classes
    return AlignedLabels(labels, target, codes)


def _table(classes: Nomenclature | Crosswalk) -> NDArray[np.uint8]:
    """Return what each code in the file becomes, uint8 [256]."""
    nomenclature = classes.source if isinstance(classes, Crosswalk) else classes
    table = np.zeros(256, np.uint8)
    codes = list(nomenclature.codes)
    table[codes] = classes.table[codes] if isinstance(classes, Crosswalk) else codes
    return table


def check_codes(
    source: RasterBands, classes: Nomenclature | Crosswalk, grid: Grid, *, allow_vrt: bool = False
) -> None:
    """Check the codes of the label raster's own pixels on the grid's ground, before they merge.

    Raises:
        LabelBandError: more than one band.
        NoOverlapError: they cover no ground of the grid.
        UnknownLabelError: codes on the grid's ground that the nomenclature does not have.
    """
    if len(source.indexes) != 1:
        raise LabelBandError(
            source.shown, f"has {len(source.indexes)} bands, labels have one", "give a label raster"
        )
    nomenclature = classes.source if isinstance(classes, Crosswalk) else classes
    bounds = grid.bounds
    if not same_crs(source.grid.crs, grid.crs):
        bounds = transform_bounds(grid.crs, source.grid.crs, *bounds)
    area = source.grid.window_of(bounds).clipped(*source.grid.shape)
    if area.height == 0 or area.width == 0:
        raise NoOverlapError(
            source.shown, "covers no ground of the image", "give the labels of the image's area"
        )
    present = np.zeros(256, bool)
    with open_raster(source.path, allow_vrt=allow_vrt) as dataset:
        for block in iter_blocks(area.height, area.width, _BLOCK):
            window = block.shifted(area.row, area.col)
            values = dataset.read(source.indexes[0], window=window.ranges)
            values[~read_valid(dataset, window)] = 0
            present[np.unique(as_codes(values, source.shown))] = True
    nomenclature.check_labels(np.flatnonzero(present).astype(np.uint8), source.shown)
