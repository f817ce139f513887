"""The files of a command, which appear under their names together.

Each is written in a folder `.NAME.lcmap-XXXXXXXX` beside its destination. When all are whole, a
manifest beside the first, `.NAME.lcmap-set`, says which file gets which name; then what has these
names goes aside, they are renamed in order, and the manifest is removed. A run that is killed
between two renames leaves the manifest and the folders, and the next run of any of these outputs
gives the rest their names before it does anything else. What a run leaves that is killed earlier,
the next one removes. A file alone replaces another in one step.

The sidecars of a raster that is replaced belong to the old one: they go when the new one comes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal

from lcmap.errors import CannotWriteError, LcmapError, cannot_write
from lcmap.interruption import Cleanup, uninterrupted
from lcmap.paths import PathLike
from lcmap.raster.destination import check_apart, check_place, file_at, stream_at
from lcmap.raster.making import note_outputs
from lcmap.raster.old_sidecars import new_sidecars, remove_old_sidecars, replaced_sidecars
from lcmap.raster.output_lock import OutputLocks, is_held
from lcmap.raster.set_aside import put_back, set_aside
from lcmap.raster.temporary_folder import temporary_folder

_POINTER = "belongs-to"
"""The file in an output's folder that names the manifest of its set."""

Moves = Sequence[tuple[Path, Path]]
"""Finished files, each with the name that it gets, in order."""


class OutputSet:
    """Outputs that are locked while they are made and get their names together.

        with OutputSet([stack, labels], overwrite=overwrite) as outputs:
            write(outputs.temporary(stack))
            write(outputs.temporary(labels))

    A context manager. Left by an error, nothing of it stays and what was there before does.
    """

    def __init__(
        self,
        paths: Iterable[PathLike | None],
        *,
        overwrite: bool,
        tmpdir: Path | None = None,
        part_of_another: bool = False,
        obsolete: Sequence[Path] = (),
        inputs: Iterable[PathLike | None] = (),
    ) -> None:
        """Lock these outputs, streams among them, once it is entered; None is no output.

        None of them may be one of the `inputs`, nor two the same file.

        What goes into a stream lies in `tmpdir` until all is whole. With `part_of_another`, what
        this process has locked already may be written. What is `obsolete` is removed once all
        have their names.
        """
        self._paths = [path for path in paths if path is not None]
        self._overwrite = overwrite
        self._tmpdir = tmpdir
        self._part_of_another = part_of_another
        self._obsolete = obsolete
        self._inputs = [path for path in inputs if path is not None]
        self._temporaries: dict[PathLike, Path] = {}
        self._folders: list[Path] = []
        self._finished: set[Path] = set()
        self._moves: list[tuple[Path, Path]] = []

    def __enter__(self) -> OutputSet:
        """Lock the outputs, finish what a killed run was naming, remove what else it left.

        Raises:
            UsageError: an output is an input, or is named twice.
            LockedError: another run is making one of them.
            CannotWriteError, UsageError: as `check_place`.
        """
        check_apart(self._paths, self._inputs)
        for path in self._paths:
            check_place(path)
        files = self.files
        if self._part_of_another:
            files = [file for file in files if not is_held(file)]
        self._resources = ExitStack()
        self._leave = Cleanup(self._resources.close)
        try:
            locks = self._resources.enter_context(OutputLocks(files))
            self._resources.callback(self._remove_folders)
            for file in files:
                self._finished |= _finish_killed_run(file, locks)
            for file in files:
                for folder in _folders_of(file):
                    shutil.rmtree(folder, ignore_errors=True)
        except BaseException as error:
            self._leave()
            if isinstance(error, OSError):
                raise _named(error, self._paths[0]) from error
            raise
        return self

    @property
    def files(self) -> list[Path]:
        """The files of the set, by their real paths."""
        return [file_at(path) for path in self._paths if stream_at(path) is None]

    @property
    def overwrite(self) -> bool:
        """Whether files that exist may be replaced: those that a killed run left always may."""
        there = {file_at(path) for path in self._paths if os.path.lexists(path)}
        return self._overwrite or (bool(self._finished) and there <= self._finished)

    def temporary(self, path: PathLike) -> Path:
        """Return where the file is to be written that becomes the output `path`.

        Raises:
            CannotWriteError: the folder for it cannot be made.
        """
        stream, file = stream_at(path), file_at(path)
        name = "stdout.tif" if stream else file.name
        try:
            if stream is not None:
                folder = self._resources.enter_context(temporary_folder(self._tmpdir))
            else:
                with uninterrupted():
                    folder = Path(tempfile.mkdtemp(prefix=f".{name}.lcmap-", dir=file.parent))
                    self._folders.append(folder)
        except OSError as error:
            raise _named(error, path) from error
        self._temporaries[path] = folder / name
        return folder / name

    def written(self, path: PathLike) -> Path:
        """Return where what is to become `path` can be read before it has its name."""
        made = {
            file_at(name): temporary
            for name, temporary in self._temporaries.items()
            if stream_at(name) is None
        }
        return self._temporaries.get(path) or made.get(file_at(path), Path(path))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        """Give the files their names, in the order in which they were asked for.

        Raises:
            CannotWriteError: no space left, or a stream was closed.
        """
        try:
            if error is None:
                self._publish()
        finally:
            self._leave()
            if isinstance(error, Exception):
                self._check_folders(error)
        return False

    def _remove_folders(self) -> None:
        # where some have their names and others not, the rest is the next run's to finish
        if not (self._moves and _manifest_path(self._moves).exists()):
            for folder in self._folders:
                shutil.rmtree(folder, ignore_errors=True)

    def _check_folders(self, error: Exception) -> None:
        """Give the cause of an error where the folder of an output is gone.

        Raises:
            CannotWriteError: it is.
        """
        for path in self._paths:
            if stream_at(path) is None and not file_at(path).parent.is_dir():
                raise CannotWriteError(
                    path, "its folder was removed while it was made", "create it, and start again"
                ) from error

    def _publish(self) -> None:
        moves = self._moves
        path: PathLike = ""
        try:
            for path, temporary in self._temporaries.items():
                stream = stream_at(path)
                if stream is not None:
                    stream.copy(temporary)
                    continue
                moves += new_sidecars(temporary, file_at(path))
                moves.append((temporary, file_at(path)))
            if not self._part_of_another:
                note_outputs(self._temporaries)
            publish(moves, self._obsolete)
        except LcmapError:
            raise
        except OSError as error:
            raise _named(error, path) from error


def publish(moves: Moves, obsolete: Sequence[Path] = ()) -> None:
    """Give finished files their names together, durably; each lies in a folder beside its name.

    Then remove what is `obsolete`.

    Raises:
        OSError: the system refuses. If some have their names by then, the manifest stays.
    """
    if not moves:
        return
    for source, _ in moves:
        _sync(source)
    with uninterrupted():
        manifest = None
        if _takes_several_steps(moves):
            manifest = _write_manifest(moves)
        try:
            _rename(moves)
        except OSError:
            if manifest and all(source.exists() for source, _ in moves):
                manifest.unlink()
            raise
        for path in obsolete:
            path.unlink(missing_ok=True)
        if manifest:
            manifest.unlink()
            _sync(manifest.parent)


def _takes_several_steps(moves: Moves) -> bool:
    names = [name for _, name in moves]
    return len(moves) > 1 or bool(replaced_sidecars(*moves[0], keep=names))


def _manifest_path(moves: Moves) -> Path:
    first = moves[0][1]
    return first.with_name(f".{first.name}.lcmap-set")


def _write_manifest(moves: Moves) -> Path:
    manifest = _manifest_path(moves)
    for folder in dict.fromkeys(source.parent for source, _ in moves):
        (folder / _POINTER).write_text(
            os.path.relpath(manifest, folder), "utf-8", "surrogateescape"
        )
        _sync(folder)
    beside = manifest.parent
    text = json.dumps([[os.path.relpath(path, beside) for path in move] for move in moves])
    whole = moves[0][0].parent / "manifest"
    whole.write_text(text, encoding="ascii")
    _sync(whole)
    os.replace(whole, manifest)
    _sync(beside)
    return manifest


def _rename(moves: Moves) -> None:
    """Rename what is not yet renamed; if not even the first can be, all is as it was."""
    names = [name for _, name in moves]
    left = [(source, name) for source, name in moves if source.exists()]
    aside = set_aside(left, keep=names) if len(moves) > 1 else []
    try:
        for source, name in left:
            remove_old_sidecars(source, name, keep=names)
            os.replace(source, name)
    except OSError:
        if all(source.exists() for source, _ in moves):
            put_back(aside)
        raise
    for folder in dict.fromkeys(name.parent for name in names):
        _sync(folder)


def _finish_killed_run(file: Path, locks: OutputLocks) -> set[Path]:
    """Give the files their names that a killed run had whole, where `file` is one; return all."""
    finished: set[Path] = set()
    for folder in _folders_of(file):
        try:
            pointer = (folder / _POINTER).read_text("utf-8", "surrogateescape")
        except (OSError, ValueError):
            continue
        manifest = Path(os.path.abspath(folder / pointer))
        moves = _read_manifest(manifest)
        if not moves:
            continue
        for _, name in moves:
            locks.add(name)
        with uninterrupted():
            _rename(moves)
            manifest.unlink()
            for source, _ in moves:
                shutil.rmtree(source.parent, ignore_errors=True)
        finished |= {name for _, name in moves}
    return finished


def _read_manifest(manifest: Path) -> Moves:
    """Return the moves in a manifest; none where it is not one that a run left here."""
    beside = manifest.parent
    try:
        moves = [
            (Path(os.path.abspath(beside / source)), Path(os.path.abspath(beside / name)))
            for source, name in json.loads(manifest.read_bytes())
        ]
    except (OSError, ValueError, TypeError, RecursionError):
        return []
    # a manifest from elsewhere must not move other files
    for source, name in moves:
        made = source.parent.name.rpartition(".lcmap-")[0][1:]
        if (
            not made
            or source.name != name.name
            or source.name not in (made, f"{made}.aux.xml", f"{Path(made).stem}.qml")
            or source.parent.parent != name.parent
        ):
            return []
    return moves


def _folders_of(file: Path) -> list[Path]:
    """Return the folders beside an output in which runs make it, or were killed making it."""
    pattern = re.compile(re.escape(f".{file.name}.lcmap-") + "[a-z0-9_]{8}")
    with suppress(OSError), os.scandir(file.parent) as entries:
        return sorted(
            Path(entry.path)
            for entry in entries
            if pattern.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        )
    return []


def _named(error: OSError, path: PathLike) -> LcmapError:
    return error if isinstance(error, LcmapError) else cannot_write(path, error)


def _sync(path: Path) -> None:
    """Return when a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
