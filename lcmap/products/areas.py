"""The areas of the classes of a map: the library function behind `lcmap areas`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import rasterio

from lcmap.accuracy.tables import check_report_path
from lcmap.dataset.inputs import InputOptions
from lcmap.errors import GridMismatchError, UsageError
from lcmap.overlap import overlapped
from lcmap.paths import PathLike
from lcmap.products.area_counting import Areas, Cells, ZoneCounter, count_block
from lcmap.products.area_report import AreaReport
from lcmap.products.area_tables import write_area_report
from lcmap.products.class_map import ClassMap, open_class_map
from lcmap.progress import Progress, silent
from lcmap.raster.code_counts import CODES
from lcmap.raster.input_watch import unchanged_inputs
from lcmap.raster.output_set import OutputSet
from lcmap.raster.pipes import check_standard_input_once
from lcmap.raster.pixel_areas import PixelAreas, pixel_areas
from lcmap.raster.threads import available_threads
from lcmap.raster.windows import Window, iter_blocks

if TYPE_CHECKING:
    from lcmap.products.zones import Zones

BLOCK = 2048
"""Edge, in pixels, of the blocks that are counted at once."""

_CACHE_BYTES = 32 << 20


@dataclass(frozen=True)
class AreaOptions:
    """What areas are counted of, and where they go.

    nomenclature: the classes of the maps, a built-in name or a TOML file; None: those that each
        names, else its codes.
    zones: polygons of a vector file to count in as well, as FILE or FILE:LAYER; None for none.
    zone_name: the field with the names of the zones; None: one that is called so, else they are
        numbered.
    files: files to write, in the form of their endings: .json, .csv or .txt.
    overwrite: replace what is there.
    """

    nomenclature: PathLike | None = None
    zones: PathLike | None = None
    zone_name: str | None = None
    files: tuple[PathLike, ...] = ()
    overwrite: bool = False


def areas(
    maps: Sequence[PathLike],
    options: AreaOptions | None = None,
    *,
    inputs: InputOptions | None = None,
    threads: int | None = None,
    progress: Progress = silent,
) -> AreaReport:
    """Count the area of each class of a map, or from which class to which of two on one grid.

    In zones, pixels on the border count by the part that the zone covers. Works by blocks; memory
    does not grow with the maps.

    Raises:
        UsageError: there is not one map nor two; the name of zones without zones.
        UsageError, DataError, InputMissingError: of the maps, as `open_class_map`; of the zones, as
            `read_zones`.
        UnknownLabelError: a pixel holds no code of a class.
        GridMismatchError: the two maps are not on one grid; or it is in degrees and turned.
        OutputExistsError, CannotWriteError: of an output.
        LockedError: another run is making one of the outputs.
        InputChangedError: a file changed while it was read.
    """
    options, inputs = options or AreaOptions(), inputs or InputOptions()
    if len(maps) not in (1, 2):
        raise UsageError("areas", f"{len(maps)} maps are given", "give one, or two of one ground")
    if options.zone_name is not None and options.zones is None:
        raise UsageError("`zone_name`", "there are no zones", "name them with `zones`")
    check_standard_input_once(maps)
    with (
        OutputSet(options.files, overwrite=options.overwrite, inputs=_read(maps, options)) as files,
        unchanged_inputs(),
        rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES),
        ExitStack() as stack,
    ):
        for file in options.files:
            check_report_path(file, overwrite=files.overwrite)
        opened = [
            stack.enter_context(open_class_map(given, inputs, options.nomenclature))
            for given in maps
        ]
        first = opened[0]
        for other in opened[1:]:
            _check_grids(first, other)
        pixels = pixel_areas(first.grid, first.name)
        zones = None
        if options.zones is not None:
            from lcmap.products.zones import read_zones

            zones = read_zones(options.zones, options.zone_name, first.grid, first.name)
        whole, by_zone = _count(opened, pixels, zones, threads, progress)
        report = AreaReport(
            tuple(item.name for item in opened),
            tuple(item.nomenclature for item in opened),
            pixels.text,
            whole,
            None if zones is None else dict(zip(zones.names, by_zone, strict=True)),
        )
        for file in options.files:
            write_area_report(report, file, files)
    return report


def _read(maps: Sequence[PathLike], options: AreaOptions) -> list[PathLike]:
    """Return the files that are read, which are not to be written."""
    read = [*maps]
    if options.zones is not None:
        from lcmap.vector.sources import vector_file  # with pandas: it takes long

        read.append(vector_file(options.zones))
    if options.nomenclature is not None:
        read.append(options.nomenclature)
    return read


def _check_grids(one: ClassMap, other: ClassMap) -> None:
    if not one.grid.matches(other.grid):
        raise GridMismatchError(
            other.name, f"is not on the grid of {one.name}", "bring it onto that grid first"
        )


def _count(
    maps: Sequence[ClassMap],
    pixels: PixelAreas,
    zones: Zones | None,
    threads: int | None,
    progress: Progress,
) -> tuple[Areas, list[Areas]]:
    """Return the areas of all cells, and of those of each zone."""
    blocks = list(iter_blocks(*pixels.grid.shape, BLOCK))
    counter = None if zones is None else ZoneCounter(zones)
    pixels_read = 0
    whole: Areas = Counter()
    by_zone: list[Areas] = [Counter() for _ in (zones.names if zones else ())]

    def read(block: tuple[int, Window]) -> Cells:
        codes = maps[0].read(block[1])
        if len(maps) == 1:
            return codes
        cells = codes.astype(np.uint16)
        cells *= np.uint16(CODES)
        cells += maps[1].read(block[1])
        return cells

    def count(block: tuple[int, Window], cells: Cells) -> tuple[Areas, dict[int, Areas]]:
        window = block[1]
        rows = pixels.of_rows(window.row, window.height)
        in_zones = counter.count(cells, window, rows) if counter else {}
        return count_block(cells, rows), in_zones

    def add(block: tuple[int, Window], found: tuple[Areas, dict[int, Areas]]) -> None:
        nonlocal pixels_read
        whole.update(found[0])
        for number, counted in found[1].items():
            by_zone[number].update(counted)
        pixels_read += block[1].pixels
        progress(block[0], len(blocks), amount=pixels_read)

    overlapped(enumerate(blocks, start=1), read, count, add, at_once=threads or available_threads())
    return whole, by_zone
