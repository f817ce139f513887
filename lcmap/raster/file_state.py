"""Telling whether a file is what it was: by its place on the disk, its times and its content.

A file of 100 GB is not read for that: its digest is of samples, evenly spaced from its first byte
to its last.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import Any

from lcmap.paths import PathLike

_MOST_SAMPLES = 1024
"""More would take minutes on a disk that turns."""

_LEAST_SAMPLE = 1 << 12

GONE = "disappeared"


@dataclass(frozen=True)
class FileState:
    """What tells a file from another, or from what it was before.

    `digest` is of its content: of all of it where it is `whole`, else of samples; None where it was
    not read.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    digest: str | None
    whole: bool

    def identity(self, name: str) -> list[Any]:
        """Return what tells the content of a file of this name from another, as JSON values.

        A file that was read whole is known by its content alone, so that a copy counts as the same.
        Else its inode and times count too.
        """
        times = [] if self.whole else [self.inode, self.mtime_ns, self.ctime_ns]
        return [name, self.size, self.digest, *times]


def read_state(path: PathLike, limit: int) -> FileState | None:
    """Return the state of a file, its digest from at most `limit` bytes of it.

    None of what is not a regular file here, as what /vsicurl/ names.
    """
    try:
        with open(path, "rb", buffering=0, opener=_opened) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return None
            samples = sample_ranges(status.st_size, limit)
            digest = hashlib.blake2b(digest_size=16)
            for offset, length in samples:
                os.lseek(file.fileno(), offset, os.SEEK_SET)
                _digest_bytes(digest, file.fileno(), length)
    except (OSError, ValueError):
        return None
    return FileState(
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        digest.hexdigest() if samples else None,
        sum(length for _, length in samples) == status.st_size,
    )


def sample_ranges(size: int, limit: int) -> list[tuple[int, int]]:
    """Return the offset and length of each sample of a file of so many bytes, in order.

    They are at most `limit` bytes together: the whole file where it is no larger, else pieces that
    are evenly spaced from its beginning to its end, and none where the limit has no room for two.
    """
    if size <= limit:
        return [(0, size)]
    count = min(limit // _LEAST_SAMPLE, _MOST_SAMPLES)
    if count < 2:
        return []
    length = limit // count
    return [(i * (size - length) // (count - 1), length) for i in range(count)]


def what_changed(before: FileState, path: PathLike, limit: int) -> str | None:
    """Return what happened to a file since its state was taken with this limit, None if nothing.

    `GONE` is that it cannot be found any more. The change time alone says nothing, since a hard
    link or new permissions set it too: then the content is compared.
    """
    try:
        status = os.stat(path)
    except OSError:
        return GONE
    if (status.st_dev, status.st_ino) != (before.device, before.inode):
        return "was replaced"
    if (status.st_size, status.st_mtime_ns) != (before.size, before.mtime_ns):
        return "changed"
    if status.st_ctime_ns != before.ctime_ns:
        now = read_state(path, limit)
        if now is None or now.digest is None or now.digest != before.digest:
            return "changed"
    return None


Known = list[Any]
"""The state of a file as JSON values: its size, time, digest, and the limit of bytes of that."""


def as_known(state: FileState, limit: int) -> Known:
    """Return a state that was read with this limit, to tell later whether a file still is so."""
    return [state.size, state.mtime_ns, state.digest, limit]


def known_state(path: PathLike, limit: int) -> Known:
    """Return the state of a file, its digest from at most `limit` bytes of it.

    Raises:
        FileNotFoundError: there is no regular file.
    """
    state = read_state(path, limit)
    if state is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    return as_known(state, limit)


def still_is(known: Known, path: PathLike) -> bool:
    """Tell whether a file is what it was: of the same size and time, else of the same content.

    One that is larger than the limit has not the same content unless it has the same time.
    """
    size, mtime_ns, digest, limit = known
    try:
        status = os.stat(path)
    except OSError:
        return False
    if status.st_size != size or not stat.S_ISREG(status.st_mode):
        return False
    if status.st_mtime_ns == mtime_ns:
        return True
    if digest is None or size > limit:
        return False
    state = read_state(path, limit)
    return state is not None and state.digest == digest


def _opened(path: str, flags: int) -> int:
    # a FIFO must not make us wait for its writer
    return os.open(path, flags | os.O_NONBLOCK)


def _digest_bytes(digest: Any, file: int, length: int) -> None:
    while length > 0:
        read = os.read(file, min(length, 1 << 20))
        if not read:
            return
        digest.update(read)
        length -= len(read)
