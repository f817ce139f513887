"""From the arrays of finished tiles to the files of a map: made, then given their names.

Each raster is written block by block in its own order, whatever the tiles were, so that its bytes
depend on the arrays alone. All files are whole before the first gets its name. A run that is killed
while it names them goes on with the rest, or the next run of other files of the map does: which
names are its own is on record.
"""

from __future__ import annotations

import filecmp
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rasterio.errors import RasterioError

from lcmap.errors import CannotWriteError
from lcmap.inference.output_files import (
    MapRaster,
    OutputFile,
    OutputFiles,
    PreviewFile,
    Sidecar,
)
from lcmap.inference.resume.journal import Record, last
from lcmap.inference.resume.tile_store import StoredArrays
from lcmap.inference.resume.work_folder import writing_to
from lcmap.interruption import uninterrupted
from lcmap.paths import PathLike
from lcmap.progress import Progress
from lcmap.raster.destination import file_at, stream_at
from lcmap.raster.grid import Grid
from lcmap.raster.output_set import OutputSet
from lcmap.raster.preview.writing import Panel, write_preview
from lcmap.raster.set_aside import Aside, put_back, set_aside
from lcmap.raster.windows import Window
from lcmap.raster.writing import BLOCK, atomic_raster, move_into_place, write_error

_STRIP = 16 * BLOCK
_PIECE = 1 << 24
_WAITING = re.compile(
    r"preview\.png|codes\.qml|codes\.tif\.aux\.xml"
    r"|(codes|confidence|margin|probabilities|scenes)(-sheet\d+)?\.tif"
)


def naming_record(files: OutputFiles, folder: Path, report: Record) -> Record:
    """Return what goes on record before the first file gets its name.

    That is how each file is told from another of the same name: a name does not change its times.
    """
    identities = {}
    for file in files.in_naming_order:
        waiting = folder / file.waiting
        identities[file.waiting] = _identity(waiting if waiting.exists() else file.path)
    checksums = {name: _checksum(folder / name) for name in identities}
    return {
        "naming": files.naming,
        "identities": identities,
        "checksums": checksums,
        "report": report,
    }


def is_ready(folder: Path, records: Sequence[Record], waiting: str) -> bool:
    """Tell whether a waiting file is as it was when it went on record."""
    checksums = last(records, "checksums") or {}
    return checksums.get(waiting) is not None and _checksum(folder / waiting) == checksums[waiting]


def already_named(files: OutputFiles, folder: Path, records: Sequence[Record]) -> set[str]:
    """Return the waiting names of the files that an earlier run has given their own names.

    From `naming_record` on a file that has left the folder, and is found where it belongs, is its
    own; across disks it leaves a copy behind.
    """
    if last(records, "naming") != files.naming:
        return set()
    return _named(folder, records, {file.waiting: file.path for file in files.in_naming_order})


def left_by_a_killed_run(files: OutputFiles, folder: Path, records: Sequence[Record]) -> set[str]:
    """Return the waiting names of the files that may exist, since an earlier run made them.

    Where it was of other files, it must have been killed while it named them.
    """
    naming = last(records, "naming") or {}
    if files.naming.items() <= naming.items():  # it may have had sheets, which are not known yet
        return _named(folder, records, {file.waiting: file.path for file in files.in_naming_order})
    paths = _recorded_paths(files, folder, records)
    named = _named(folder, records, paths)
    return _at(files, [paths[name] for name in named]) if len(named) < len(paths) else set()


def finish_naming(files: OutputFiles, folder: Path, records: Sequence[Record]) -> set[str]:
    """Name the rest of the files of a run that was killed while it named them, if one was.

    Return the waiting names of those of its files that `files` are to replace.

    Raises:
        LockedError: another run is making one of them.
        CannotWriteError: no space left.
    """
    paths = _recorded_paths(files, folder, records)
    named = _named(folder, records, paths)
    left = {name: path for name, path in paths.items() if name not in named}
    can_be_named = (
        is_ready(folder, records, name) and os.path.isdir(os.path.dirname(path))
        for name, path in left.items()
    )
    begun = named or any(folder.glob("before-*"))
    if not (begun and left and all(can_be_named)):
        return set()
    locked = [path for name, path in paths.items() if "-sheet" not in name]
    with OutputSet(locked, overwrite=True, part_of_another=True):
        _name({folder / name: path for name, path in left.items()}, list(paths.values()))
    return _at(files, paths.values())


def _recorded_paths(
    files: OutputFiles, folder: Path, records: Sequence[Record]
) -> dict[str, PathLike]:
    """Return where the files on record belong, by their waiting names, in naming order.

    None where the record is of another map, or of another user, who might name any file.
    """
    naming = last(records, "naming") or {}
    paths = {name: path for name, path in naming.items() if _WAITING.fullmatch(name)}
    codes = paths.get(files.rasters[0].waiting)
    if codes is None or os.path.realpath(codes) != os.path.realpath(files.codes):
        return {}
    return paths if os.stat(folder).st_uid == os.geteuid() else {}


def _at(files: OutputFiles, paths: Iterable[PathLike]) -> set[str]:
    real = {os.path.realpath(path) for path in paths}
    return {file.waiting for file in files.in_naming_order if os.path.realpath(file.path) in real}


def _named(folder: Path, records: Sequence[Record], paths: Mapping[str, PathLike]) -> set[str]:
    identities = last(records, "identities") or {}
    found: set[str] = set()
    for name, path in paths.items():
        waiting = folder / name
        if not os.path.isfile(path):
            continue
        if waiting.exists():
            own = filecmp.cmp(waiting, path, shallow=False)
        else:
            own = _identity(path) == identities.get(name)
        if own:
            found.add(name)
    return found


def _checksum(path: Path) -> int | None:
    """Return the checksum of a file, None where there is none."""
    checksum = 0
    try:
        with open(path, "rb") as file:
            while piece := file.read(_PIECE):
                checksum = zlib.crc32(piece, checksum)
    except OSError:
        return None
    return checksum


def _identity(path: PathLike) -> list[int]:
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def make_file(
    file: OutputFile, store: StoredArrays, grid: Grid, folder: Path, progress: Progress
) -> None:
    """Write a file of the map into a folder, by its waiting name; a sidecar is there with its map.

    Raises:
        CannotWriteError: no space left; it names the file's own path.
    """
    try:
        if isinstance(file, PreviewFile):
            panel = Panel(file.codes.path, folder / file.codes.waiting)
            write_preview(folder / file.waiting, [panel], file.image, overwrite=True)
        elif isinstance(file, MapRaster):
            _write_raster(file, store, grid, folder, progress)
    except CannotWriteError as error:
        raise CannotWriteError(file.path, error.problem, error.remedy) from error


def _write_raster(
    file: MapRaster, store: StoredArrays, grid: Grid, folder: Path, progress: Progress
) -> None:
    whole = Window(0, 0, *grid.shape) if file.sheet is None else file.sheet.window
    grid = grid.subgrid(whole)
    windows = list(_strips(*grid.shape))
    bands = range(file.group.bands)
    done = pixels = 0
    with atomic_raster(folder / file.waiting, grid, file.format, overwrite=True) as raster:
        for band in bands:
            for window in windows:
                place = window.shifted(whole.row, whole.col)
                values = store.read(file.group.name, place, slice(band, band + 1))
                try:
                    raster.write(values, [band + 1], window=window.ranges)
                except RasterioError as error:
                    raise write_error(file.path, Path(raster.name), error) from error
                done += 1
                pixels += window.pixels
                total, note = len(bands) * len(windows), f"writing {file.group.name}"
                progress(done, total, note, amount=pixels)


def give_names(files: Sequence[OutputFile], folder: Path, sidecars: Sequence[Sidecar] = ()) -> None:
    """Give waiting files their own names, in order; all `sidecars` of the map are its own.

    Streams come first: one may wait for its reader until it is interrupted.

    Raises:
        CannotWriteError: no space left, or standard output was closed.
    """
    kept = [sidecar.path for sidecar in sidecars]
    _name({folder / file.waiting: file.path for file in files}, kept)


def _name(waiting: Mapping[Path, PathLike], kept: Sequence[PathLike]) -> None:
    """Copy waiting files into streams, and name the others; `kept` sidecars are theirs."""
    streams = {path: name for path, name in waiting.items() if stream_at(name) is not None}
    for finished, stream in streams.items():
        move_into_place(finished, stream)
    with uninterrupted():
        _name_files({path: name for path, name in waiting.items() if path not in streams}, kept)


def _name_files(files: Mapping[Path, PathLike], kept: Sequence[PathLike]) -> None:
    """Give waiting files their names, after what has them went aside.

    If not even the first gets its name, all is as it was.
    """
    aside: Aside = []
    if len(files) > 1:
        with writing_to(os.fspath(list(files.values())[-1])):
            moves = [(path, file_at(name)) for path, name in files.items()]
            aside = set_aside(moves, {file_at(path) for path in kept})
    try:
        for finished, name in files.items():
            move_into_place(finished, name, kept)
    except CannotWriteError:
        if all(finished.exists() for finished in files):
            put_back(aside)
        raise


def _strips(height: int, width: int) -> Iterator[Window]:
    """Yield rows of whole blocks, in the order of the blocks in the file."""
    for row in range(0, height, BLOCK):
        for col in range(0, width, _STRIP):
            yield Window(row, col, min(BLOCK, height - row), min(_STRIP, width - col))
