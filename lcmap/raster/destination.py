"""Where an output goes: to a file, or into a stream that only takes bytes.

Streams are standard output ("-"), any other open descriptor that is named by its path
("/dev/stdout", "/dev/fd/3"), devices and FIFOs. They are never replaced by a file. A symbolic link
is followed: the file that it leads to is replaced, and the link stays.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lcmap.errors import CannotWriteError, UsageError, cannot_write
from lcmap.paths import PathLike, permitted
from lcmap.raster.pipes import STANDARD_STREAM

_CHUNK = 1 << 20
_MOST_LINKS = 40
"""As many as Linux follows."""


@dataclass(frozen=True)
class Stream:
    """What takes bytes and is no file: an open descriptor, or a device or FIFO by its real path."""

    target: int | str

    @property
    def name(self) -> str:
        """What messages call it."""
        if isinstance(self.target, str):
            return self.target
        return "standard output" if self.target == 1 else f"descriptor {self.target}"

    @property
    def takes_several(self) -> bool:
        """Whether two outputs may go there, as to /dev/null, and do not mix."""
        return isinstance(self.target, str) and stat.S_ISCHR(os.stat(self.target).st_mode)

    def check(self) -> None:
        """Check that it can be written to and is not a terminal.

        Raises:
            UsageError: it is a terminal.
            CannotWriteError: it may not be written, or takes no bytes of a file.
        """
        if isinstance(self.target, str):
            mode = os.stat(self.target).st_mode
            if stat.S_ISSOCK(mode) or stat.S_ISBLK(mode):
                kind = "socket" if stat.S_ISSOCK(mode) else "block device"
                raise CannotWriteError(self.target, f"is a {kind}", "name a file, device or FIFO")
            if not permitted(self.target, os.W_OK):
                raise CannotWriteError(self.target, "may not be written", "choose another")
        if self._is_terminal():
            raise UsageError(
                self.name, "is a terminal and takes no raster", "-o FILE, or pipe it on"
            )

    def copy(self, path: Path) -> None:
        """Copy a finished file's bytes into it; a FIFO waits for its reader.

        Raises:
            CannotWriteError: the reader closed it, or the disk behind it is full.
        """
        try:
            if self.target == 1:
                sys.stdout.flush()
            sink: int | str = self.target
            if isinstance(sink, int):
                sink = os.dup(sink)
            else:
                # not created: what was a device when it was checked must still be one
                sink = os.open(sink, os.O_WRONLY | os.O_NOCTTY)
            with open(path, "rb") as source, os.fdopen(sink, "wb") as file:
                shutil.copyfileobj(source, file, _CHUNK)
        except OSError as error:
            raise cannot_write(self.name, error) from error

    def _is_terminal(self) -> bool:
        if isinstance(self.target, int):
            return os.isatty(self.target)
        if not stat.S_ISCHR(os.stat(self.target).st_mode):
            return False
        try:
            descriptor = os.open(self.target, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            raise cannot_write(self.target, error) from error
        try:
            return os.isatty(descriptor)
        finally:
            os.close(descriptor)


def stream_at(path: PathLike) -> Stream | None:
    """Return the stream that a path names, None where it is a file or nothing is there yet."""
    text = os.fspath(path)
    if text == STANDARD_STREAM:
        return Stream(1)
    descriptor = _descriptor(text)
    if descriptor is not None:
        return Stream(descriptor)
    try:
        mode = os.stat(text).st_mode
    except OSError:
        return None
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return Stream(os.path.realpath(text))


def file_at(path: PathLike) -> Path:
    """Return the file that gets an output's bytes: where links lead to, by its absolute path."""
    return Path(os.path.realpath(path))


def check_apart(outputs: Iterable[PathLike], inputs: Iterable[PathLike]) -> None:
    """Check that no output is an input, and that no two are the same file or stream.

    Raises:
        UsageError: otherwise.
    """
    taken = {_identity(path) for path in inputs if os.path.exists(path)}
    seen: set[str] = set()
    for path in outputs:
        stream = stream_at(path)
        if stream is not None:
            name = f"stream {stream.target}"
        else:
            name = os.path.realpath(path)
            if os.path.exists(name) and _identity(name) in taken:
                raise UsageError(path, "is one of the inputs", "write to another file")
        if name in seen and not (stream and stream.takes_several):
            raise UsageError(path, "is named for two outputs", "give each a file of its own")
        seen.add(name)


def _identity(path: PathLike) -> tuple[int, int]:
    """Return what is the same for all names of a file, as hard links are."""
    state = os.stat(path)
    return state.st_dev, state.st_ino


def check_place(path: PathLike) -> None:
    """Check that there can be an output of this name: a stream, or a file in a folder.

    Raises:
        CannotWriteError: its folder is missing or may not be written, or it is a stream that may
            not, or a link that leads nowhere.
        UsageError: it is a terminal.
        UnicodeEncodeError: its name is not in UTF-8, which GDAL needs.
    """
    stream = stream_at(path)
    if stream is not None:
        stream.check()
        return
    os.fspath(path).encode()  # else GDAL refuses it at the end, under a temporary name
    if os.path.isdir(path):
        raise CannotWriteError(path, "is a folder", "name a file in it")
    file = file_at(path)
    if file.is_symlink():
        raise CannotWriteError(path, "is a link that leads back to itself", "remove it")
    folder = file.parent
    if not folder.is_dir():
        raise CannotWriteError(path, f"no such folder: {folder}", "create it first")
    if not permitted(folder, os.W_OK):
        raise CannotWriteError(path, f"the folder {folder} may not be written", "choose another")


def _descriptor(path: str) -> int | None:
    """Return the number of the process's own descriptor that a path leads to, if it does."""
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(os.path.abspath(path))
        folder = os.path.realpath(folder)
        if folder == f"/proc/{os.getpid()}/fd" and name.isdecimal():
            return int(name)
        path = os.path.join(folder, name)
        try:
            path = os.path.join(folder, os.readlink(path))
        except OSError:
            return None
    return None
