"""A map without objects below a minimum mapping unit: the library function of `generalise`."""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from numpy.typing import NDArray

from lcmap import __version__
from lcmap.accuracy.label_raster import LabelRaster
from lcmap.dataset.inputs import InputOptions, open_input
from lcmap.errors import UsageError
from lcmap.overlap import overlapped
from lcmap.paths import PathLike
from lcmap.products.class_map import ClassMap, open_class_map
from lcmap.products.dissolving import dissolve
from lcmap.products.objects import find_objects
from lcmap.products.options import GeneraliseOutputs
from lcmap.progress import Progress, silent
from lcmap.raster.acquisition_day import acquisition_period, period_tags
from lcmap.raster.input_watch import unchanged_inputs
from lcmap.raster.output_set import OutputSet
from lcmap.raster.pipes import check_standard_input_once
from lcmap.raster.pixel_areas import SQUARE_METRES, PixelAreas, pixel_areas
from lcmap.raster.preview.writing import Panel, write_preview
from lcmap.raster.threads import available_threads
from lcmap.raster.windows import Window, iter_blocks
from lcmap.raster.writing import RasterFormat, atomic_raster

if TYPE_CHECKING:
    from lcmap.products.map_objects import Read

BLOCK = 2048
"""Edge, in pixels, of the blocks that are generalised at once."""

_CACHE_BYTES = 64 << 20
_LEAST_MARGIN = 64
_MARGIN = 4
"""How far around a block it is read at first, in sides of a square of the minimum mapping unit."""

_MOST_PIXELS = 1 << 20
"""In a minimum mapping unit: blocks are small beside larger ones."""

_PARTS = 1 << 15
"""Of the area of a central pixel, where the areas of pixels differ: they are added up as integers.

An area below the minimum mapping unit, times the objects of a block, still fits 64 bits.
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Generalised:
    """What was made of a map.

    pixels: those of the grid.
    changed: those that have another class now.
    polygons: how many were written; None where none were asked for.
    areas: how areas were found, in a clause.
    """

    pixels: int
    changed: int
    polygons: int | None
    areas: str

    def text(self, seconds: float) -> str:
        """Return what was made in so many seconds, in a line."""
        share = 100 * self.changed / self.pixels
        megapixels = self.pixels / 1e6
        written = "" if self.polygons is None else f", {self.polygons} polygons"
        return (
            f"{megapixels:.3g} megapixels in {seconds:.1f} s: {share:.1f} % have another class"
            f"{written}; {self.areas}"
        )


@dataclass(frozen=True)
class _MinimumUnit:
    """The area below which objects are dissolved: `least`, in the unit of `row_areas`."""

    areas: PixelAreas
    least: int
    margin: int

    def row_areas(self, row: int, count: int) -> NDArray[np.int64]:
        """Return the area of a pixel in so many rows from one on, int64 [count]."""
        if self.areas.uniform is not None:
            return np.ones(count, np.int64)
        shares = self.areas.of_rows(row, count) / self.areas.central
        return np.rint(shares * _PARTS).astype(np.int64)


def generalise(
    given: PathLike,
    outputs: GeneraliseOutputs,
    mmu: float,
    *,
    nomenclature: PathLike | None = None,
    confidence: PathLike | None = None,
    inputs: InputOptions | None = None,
    threads: int | None = None,
    progress: Progress = silent,
) -> Generalised:
    """Write a map whose objects of less than `mmu` hectares have become part of their neighbours.

    Objects are pixels of one class that are connected by their sides; the rule is that of
    `products.dissolving`. Works by blocks; each is read with so much ground around it that the
    result is that of the whole map. Memory does not grow with the map, but where objects below the
    minimum mapping unit, or chains of them, are longer than blocks. The classes are those of the
    `nomenclature`, else those that the map names, else codes alone. Polygons of the objects go to
    `outputs.vector`, with the mean of the `confidence` raster where one is given.

    Raises:
        UsageError: the unit is no area, or too large for the map's pixels; a confidence without
            polygons.
        UsageError, InputMissingError, NotARasterError, LabelBandError, NoCrsError,
            NomenclatureError, NomenclatureMismatchError: as `open_class_map`.
        UnknownLabelError: a pixel holds no code of a class.
        GridMismatchError: the map's grid is in degrees and turned.
        InputMismatchError, GridMismatchError: as `open_confidence`.
        OutputExistsError, CannotWriteError, UsageError: an output cannot be written.
        LockedError: another run is making one of the outputs.
        InputChangedError: a file changed while it was read.
    """
    inputs = inputs or InputOptions()
    if confidence is not None and outputs.vector is None:
        raise UsageError("`confidence`", "is of use to polygons alone", "name them with `vector`")
    sources = [given] if confidence is None else [given, confidence]
    check_standard_input_once(sources)
    with (
        OutputSet(outputs.files, overwrite=outputs.overwrite, tmpdir=inputs.tmpdir) as files,
        unchanged_inputs(),
        rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES),
    ):
        outputs.check(sources, overwrite=files.overwrite)
        with ExitStack() as stack:
            class_map = stack.enter_context(open_class_map(given, inputs, nomenclature))
            percent = None
            if confidence is not None:
                # what writes vector files takes a third of a second to load
                from lcmap.products.polygons import open_confidence

                percent = stack.enter_context(open_confidence(confidence, class_map, inputs))
            areas = pixel_areas(class_map.grid, class_map.name)
            unit = _minimum_unit(areas, mmu)
            changed = _write_map(class_map, outputs, unit, files, threads, progress)
            polygons = None
            if outputs.vector is not None:
                polygons = _write_polygons(class_map, areas, percent, outputs, files, progress)
        if outputs.preview is not None:
            panel = Panel(outputs.output, files.written(outputs.output))
            write_preview(outputs.preview, [panel], overwrite=files.overwrite, within=files)
    return Generalised(math.prod(class_map.grid.shape), changed, polygons, areas.text)


def _minimum_unit(areas: PixelAreas, mmu: float) -> _MinimumUnit:
    """Return the minimum mapping unit of so many hectares in the pixels of a map.

    Raises:
        UsageError: it is no area, or too large.
    """
    if not (math.isfinite(mmu) and mmu > 0):
        raise UsageError(f"`mmu={mmu:g}`", "is not an area", "give hectares, as in 0.5")
    pixel = areas.central
    pixels = mmu * SQUARE_METRES / pixel
    if pixels > _MOST_PIXELS:
        raise UsageError(
            f"`mmu={mmu:g}`",
            f"is {pixels:.3g} pixels of {areas.name}",
            f"give at most {_MOST_PIXELS * pixel / SQUARE_METRES:.3g} hectares, or a coarser map",
        )
    # a unit of n pixels must not become n + 1 for a rounding error
    least = round(pixels, 6) * (_PARTS if areas.uniform is None else 1)
    margin = max(_LEAST_MARGIN, _MARGIN * math.ceil(math.sqrt(pixels)))
    return _MinimumUnit(areas, math.ceil(least), margin)


def _write_map(
    class_map: ClassMap,
    outputs: GeneraliseOutputs,
    unit: _MinimumUnit,
    files: OutputSet,
    threads: int | None,
    progress: Progress,
) -> int:
    """Write the map block by block; return how many pixels changed."""
    nomenclature = class_map.nomenclature
    made = RasterFormat(
        count=1,
        dtype="uint8",
        nodata=0,
        tags={"TIFFTAG_SOFTWARE": f"lcmap {__version__}"}
        | period_tags(acquisition_period(class_map.raster.dataset, class_map.name) or ()),
        classes=nomenclature.class_table() if nomenclature else None,
        # the mean of codes is no code
        overviews=nomenclature is not None,
        cog=outputs.cog,
        sidecars=True,
    )
    blocks = list(iter_blocks(*class_map.grid.shape, BLOCK))
    workers = threads or available_threads()
    changed = pixels = 0
    with (
        rasterio.Env(GDAL_NUM_THREADS=str(workers)),
        atomic_raster(
            outputs.output, class_map.grid, made, overwrite=files.overwrite, within=files
        ) as dataset,
    ):

        def write(block: tuple[int, Window], done: tuple[NDArray[np.uint8], int]) -> None:
            nonlocal changed, pixels
            number, window = block
            dataset.write(done[0], 1, window=window.ranges)
            changed += done[1]
            pixels += window.pixels
            progress(number, len(blocks), "generalising", amount=pixels)

        overlapped(
            enumerate(blocks, start=1),
            lambda block: class_map.read(_around(class_map, block[1], unit.margin)),
            lambda block, codes: _generalised(class_map, block[1], unit, codes),
            write,
            at_once=workers,
        )
    return changed


def _write_polygons(
    class_map: ClassMap,
    areas: PixelAreas,
    confidence: Read | None,
    outputs: GeneraliseOutputs,
    files: OutputSet,
    progress: Progress,
) -> int:
    """Write the polygons of the map that was just written; return how many there are."""
    from lcmap.products.polygons import write_polygons

    assert outputs.vector is not None
    with open_input(files.written(outputs.output), own=True) as written:
        made = ClassMap(LabelRaster(written), class_map.nomenclature, Lock())
        return write_polygons(
            made, areas, confidence, outputs.vector, files=files, progress=progress
        )


def _around(class_map: ClassMap, window: Window, margin: int) -> Window:
    return window.expanded(margin).clipped(*class_map.grid.shape)


def _generalised(
    class_map: ClassMap, window: Window, unit: _MinimumUnit, codes: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], int]:
    """Return what becomes of a window, uint8 [height, width], and how many pixels change.

    `codes` are those of the window and of the unit's margin around it.
    """
    wide = _around(class_map, window, unit.margin)
    before = codes[window.shifted(-wide.row, -wide.col).slices]
    everywhere = np.ones(before.shape, bool)
    result = _settled(class_map, window, unit, unit.margin, codes, everywhere)
    return result, int(np.count_nonzero(result != before))


def _settled(
    class_map: ClassMap,
    window: Window,
    unit: _MinimumUnit,
    margin: int,
    codes: NDArray[np.uint8],
    wanted: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """Return what becomes of a window where it is `wanted`, bool [height, width].

    `codes` are those of the window and of a margin around it. Where they do not tell, more is read
    around the objects in question.
    """
    height, width = class_map.grid.shape
    wide = _around(class_map, window, margin)
    open_sides = (wide.row > 0, wide.stop_row < height, wide.col > 0, wide.stop_col < width)
    done = dissolve(codes, unit.row_areas(wide.row, wide.height), unit.least, open_sides)
    inner = window.shifted(-wide.row, -wide.col).slices
    result = done.codes[inner].copy()
    if not done.objects.any_in(done.unsettled, *inner):
        return result
    unsettled = done.objects.spread(done.unsettled)[inner] & wanted
    for rows, cols in _boxes(unsettled, 2 * margin):
        part = Window(rows.start, cols.start, rows.stop - rows.start, cols.stop - cols.start)
        part = part.shifted(window.row, window.col)
        logger.debug("%s: %d pixels around %s are read", class_map.name, 2 * margin, part)
        around = class_map.read(_around(class_map, part, 2 * margin))
        left = unsettled[rows, cols]
        settled = _settled(class_map, part, unit, 2 * margin, around, left)
        result[rows, cols][left] = settled[left]
    return result


def _boxes(mask: NDArray[np.bool_], margin: int) -> list[tuple[slice, slice]]:
    """Return boxes that hold a mask: one, or several where less is read with a margin around."""
    rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return []
    top, left = int(rows[0]), int(cols[0])
    one = [(slice(top, int(rows[-1]) + 1), slice(left, int(cols[-1]) + 1))]
    objects = find_objects(mask[one[0]].astype(np.uint8))
    several = [
        (slice(top + own.start, top + own.stop), slice(left + across.start, left + across.stop))
        for own, across in objects.boxes(objects.codes == 1)
    ]

    def pixels(box: tuple[slice, slice]) -> int:
        return math.prod(side.stop - side.start + 2 * margin for side in box)

    chosen: list[tuple[slice, slice]] = min(several, one, key=lambda boxes: sum(map(pixels, boxes)))
    return chosen
