"""Labels brought onto the grid of a stack, in the classes wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.warp import transform_bounds

from lcmap.dataset.inputs import RasterInput
from lcmap.errors import OverlapError, UsageError
from lcmap.imagery.options import LabelOptions
from lcmap.imagery.raster_bands import bands_of
from lcmap.nomenclature import Crosswalk, Nomenclature, as_codes, load_crosswalk, load_nomenclature
from lcmap.raster.grid import Grid, same_crs
from lcmap.raster.label_resampling import LabelsOnGrid
from lcmap.raster.opening import read_valid, require_label_band
from lcmap.raster.windows import Window, iter_blocks

_BLOCK = 2048


@dataclass(frozen=True)
class AlignedLabels:
    """The labels of an open raster on a grid, in the classes wanted."""

    name: str
    nomenclature: Nomenclature
    on_grid: LabelsOnGrid

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Return a window of class codes, uint8 [h, w], 0 where there is no label.

        Raises:
            NotARasterError: the pixels cannot be read.
        """
        return self.on_grid.read(window)


def label_classes(labels: RasterInput, options: LabelOptions) -> Nomenclature | Crosswalk:
    """Return what a label raster's codes mean: as named, else as the raster itself says.

    Raises:
        UsageError: neither a nomenclature nor a crosswalk is named, and the raster does not say.
        UsageError, NomenclatureError: as their loaders.
    """
    if options.crosswalk is not None:
        return load_crosswalk(options.crosswalk)
    if options.nomenclature is not None:
        return load_nomenclature(options.nomenclature)
    if labels.content.nomenclature is None:
        raise UsageError(
            labels.name, "does not say what its codes mean", "name `nomenclature` or `crosswalk`"
        )
    return labels.content.nomenclature


def align_labels(
    labels: RasterInput, classes: Nomenclature | Crosswalk, grid: Grid
) -> AlignedLabels:
    """Bring an open label raster onto a grid, through the crosswalk if there is one.

    By the rule of `LabelsOnGrid`; classes that the crosswalk merges vote together.

    Raises:
        NoCrsError: the labels do not say where on earth they are.
        LabelBandError: more than one band.
        OverlapError: they cover no ground of the grid.
        UnknownLabelError: codes on the grid's ground that the nomenclature does not have.
    """
    check_codes(labels, classes, grid)
    if isinstance(classes, Crosswalk):
        on_grid = LabelsOnGrid(labels.dataset, grid, labels.name, classes.apply)
        return AlignedLabels(labels.name, classes.target, on_grid)
    on_grid = LabelsOnGrid(labels.dataset, grid, labels.name, classes.check_labels)
    return AlignedLabels(labels.name, classes, on_grid)


def check_codes(labels: RasterInput, classes: Nomenclature | Crosswalk, grid: Grid) -> None:
    """Check the codes of an open label raster on the grid's ground, before they merge.

    Raises:
        NoCrsError: the labels do not say where on earth they are.
        LabelBandError: more than one band.
        OverlapError: they cover no ground of the grid.
        UnknownLabelError: codes on the grid's ground that the nomenclature does not have.
    """
    bands = bands_of(labels)
    require_label_band(len(bands.indexes), labels.name)
    nomenclature = classes.source if isinstance(classes, Crosswalk) else classes
    bounds = grid.bounds
    if not same_crs(labels.grid.crs, grid.crs):
        bounds = transform_bounds(grid.crs, labels.grid.crs, *bounds)
    area = labels.grid.window_of(bounds).clipped(*labels.grid.shape)
    if area.height == 0 or area.width == 0:
        raise OverlapError(
            labels.name, "covers no ground of the image", "give the labels of the image's area"
        )
    present = np.zeros(256, bool)
    for block in iter_blocks(area.height, area.width, _BLOCK):
        window = block.shifted(area.row, area.col)
        values = labels.dataset.read(1, window=window.ranges)
        values[~read_valid(labels.dataset, window)] = 0
        present[np.unique(as_codes(values, labels.name))] = True
    nomenclature.check_labels(np.flatnonzero(present).astype(np.uint8), labels.name)
