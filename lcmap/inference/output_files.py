"""From the arrays of finished tiles to the files of a map: assembled, then named.

Each file is written block by block in its own order, whatever the tiles were, so that its bytes
depend on the arrays alone. All files are whole before the first gets its name. A run that is killed
while it names them goes on with the rest: which names are its own is on record.
"""

from __future__ import annotations

import filecmp
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from lcmap.inference.map_files import MapFile
from lcmap.inference.resume.journal import Record
from lcmap.inference.resume.tile_store import TileStore
from lcmap.inference.resume.work_folder import WorkFolder
from lcmap.progress import Progress
from lcmap.raster.pipes import STANDARD_STREAM, copy_to_stdout
from lcmap.raster.windows import Window
from lcmap.raster.writing import BLOCK, move_into_place

_STRIP = 16 * BLOCK

Naming = dict[str, str]
"""The absolute path that each layer's file gets, and what else tells one set of files from another.
"""


def naming(files: Sequence[MapFile], **options: object) -> Naming:
    """Return the naming of these files, made with these options."""
    paths = {file.layer: os.path.abspath(file.path) for file in files}
    return paths | {name: str(value) for name, value in options.items()}


def named(
    files: Sequence[MapFile], folder: Path, wanted: Naming, record: Naming | None
) -> set[str]:
    """Return which layers' files an unfinished run has given their names already.

    The `record` is what it wrote down before it gave the first. From then on a file that has left
    the folder, and is found where it belongs, is its own; across disks it leaves a copy behind.
    """
    if record != wanted:
        return set()
    found: set[str] = set()
    for file in files:
        waiting = assembled_path(folder, file)
        if os.path.isfile(file.path) and (
            not waiting.exists() or filecmp.cmp(waiting, file.path, shallow=False)
        ):
            found.add(file.layer)
    return found


def assembled_path(folder: Path, file: MapFile) -> Path:
    """Return where a file that is whole waits for its name."""
    return folder / f"{file.layer}.tif"


def assemble(
    file: MapFile,
    spool: TileStore,
    shape: tuple[int, int],
    create: Callable[..., AbstractContextManager[Any]],
    folder: Path,
    progress: Progress,
) -> None:
    """Write a file of the map from its layer in the spool into a folder.

    `create` is `atomic_raster` for the grid, of this many rows and columns.

    Raises:
        CannotWriteError: no space left.
    """
    windows = list(_strips(*shape))
    bands = range(file.plane.bands)
    done = 0
    with file.created(create, assembled_path(folder, file)) as write:
        for band in bands:
            for window in windows:
                write(spool.read(file.layer, window, slice(band, band + 1)), window, [band + 1])
                done += 1
                progress(done, len(bands) * len(windows), f"writing {file.layer}")


def write_files(
    files: Sequence[MapFile],
    work: WorkFolder,
    shape: tuple[int, int],
    create: Callable[..., AbstractContextManager[Any]],
    wanted: Naming,
    report: Record,
    check_outputs: Callable[[], None],
    progress: Progress,
) -> None:
    """Assemble all files from finished tiles, and give them their names, the map's last.

    What an earlier run did of it is not done again. `check_outputs` is called before the first file
    gets its name; the `report` goes on record with the names.

    Raises:
        CannotWriteError: no space left, or standard output was closed.
    """
    begun = work.last("naming")
    own = named(files, work.folder, wanted, begun)
    left = [file for file in files if file.layer not in own]
    for file in left:
        if begun != wanted or not assembled_path(work.folder, file).exists():
            assemble(file, work.spool, shape, create, work.folder, progress)
    if begun != wanted:
        check_outputs()
        work.record({"naming": wanted, "report": report})
    for file in reversed(left):
        waiting = assembled_path(work.folder, file)
        if os.fspath(file.path) == STANDARD_STREAM:
            copy_to_stdout(waiting)
        else:
            move_into_place(waiting, Path(file.path))


def _strips(height: int, width: int) -> Iterator[Window]:
    """Yield rows of whole blocks, in the order of the blocks in the file."""
    for row in range(0, height, BLOCK):
        for col in range(0, width, _STRIP):
            yield Window(row, col, min(BLOCK, height - row), min(_STRIP, width - col))
