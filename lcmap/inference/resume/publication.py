"""From the arrays of finished tiles to the files of a map: made, then given their names.

Each raster is written block by block in its own order, whatever the tiles were, so that its bytes
depend on the arrays alone. All files are whole before the first gets its name. A run that is killed
while it names them goes on with the rest: which names are its own is on record.
"""

from __future__ import annotations

import filecmp
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from rasterio.errors import RasterioError

from lcmap.errors import CannotWriteError
from lcmap.inference.output_files import MapRaster, Naming, OutputFile, OutputFiles, Sidecar
from lcmap.inference.resume.tile_store import TileStore
from lcmap.progress import Progress
from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window
from lcmap.raster.writing import BLOCK, atomic_path, atomic_raster, move_into_place, write_error

_STRIP = 16 * BLOCK
_PIECE = 1 << 24


def already_named(files: OutputFiles, folder: Path, record: Naming | None) -> set[str]:
    """Return the waiting names of the files that an earlier run has given their own names.

    The `record` is what it wrote down before it named the first. From then on a file that has left
    the folder, and is found where it belongs, is its own; across disks it leaves a copy behind.
    """
    if record != files.naming:
        return set()
    found: set[str] = set()
    for file in files.in_naming_order:
        waiting = folder / file.waiting
        if os.path.isfile(file.path) and (
            not waiting.exists() or filecmp.cmp(waiting, file.path, shallow=False)
        ):
            found.add(file.waiting)
    return found


def file_checksum(path: Path) -> int | None:
    """Return the checksum of a file, None where there is none."""
    checksum = 0
    try:
        with open(path, "rb") as file:
            while piece := file.read(_PIECE):
                checksum = zlib.crc32(piece, checksum)
    except OSError:
        return None
    return checksum


def make_file(
    file: OutputFile, store: TileStore, grid: Grid, folder: Path, progress: Progress
) -> None:
    """Write a file of the map into a folder, by its waiting name.

    Raises:
        CannotWriteError: no space left; it names the file's own path.
    """
    try:
        if isinstance(file, Sidecar):
            _write_sidecar(file, folder)
        else:
            _write_raster(file, store, grid, folder, progress)
    except CannotWriteError as error:
        raise CannotWriteError(file.path, error.problem, error.remedy) from error


def _write_sidecar(file: Sidecar, folder: Path) -> None:
    with atomic_path(folder / file.waiting, overwrite=True) as temporary:
        temporary.write_text(file.text, encoding="utf-8")


def _write_raster(
    file: MapRaster, store: TileStore, grid: Grid, folder: Path, progress: Progress
) -> None:
    windows = list(_strips(*grid.shape))
    bands = range(file.group.bands)
    done = 0
    with atomic_raster(folder / file.waiting, grid, file.format, overwrite=True) as raster:
        for band in bands:
            for window in windows:
                values = store.read(file.group.name, window, slice(band, band + 1))
                try:
                    raster.write(values, [band + 1], window=window.ranges)
                except RasterioError as error:
                    raise write_error(file.path, Path(raster.name), error) from error
                done += 1
                progress(done, len(bands) * len(windows), f"writing {file.group.name}")


def give_names(files: Sequence[OutputFile], folder: Path, sidecars: Sequence[Sidecar] = ()) -> None:
    """Give waiting files their own names, in order; all `sidecars` of the map are its own.

    Raises:
        CannotWriteError: no space left, or standard output was closed.
    """
    for file in files:
        move_into_place(folder / file.waiting, file.path, [sidecar.path for sidecar in sidecars])


def _strips(height: int, width: int) -> Iterator[Window]:
    """Yield rows of whole blocks, in the order of the blocks in the file."""
    for row in range(0, height, BLOCK):
        for col in range(0, width, _STRIP):
            yield Window(row, col, min(BLOCK, height - row), min(_STRIP, width - col))
