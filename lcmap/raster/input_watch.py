"""The files that a run reads, watched while it does: what they were, and whether they still are.

A watch is begun by the library function behind a command, and `open_raster` and the readers of
other files note in it what they read. So a result is never a mixture of two states of a file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from lcmap.errors import DataError, InputChangedError, InputGoneError
from lcmap.paths import PathLike
from lcmap.raster.file_state import GONE, FileState, read_state, what_changed

_MOST_BYTES = 1 << 30
_MOST_BYTES_AT_ONCE = 1 << 27
"""Bytes that are read for digests in all, and of what is noted together."""

_current: ContextVar[InputWatch | None] = ContextVar("input watch", default=None)


class InputWatch:
    """The state of each file when it was first noted."""

    def __init__(self) -> None:
        """Begin with no file."""
        self._states: dict[str, tuple[FileState, int, str]] = {}
        self._left = _MOST_BYTES

    def note(self, paths: Iterable[PathLike], name: str = "") -> None:
        """Take down the state of files that were not noted yet; messages call them by `name`.

        What is not a file on a disk here is left out.
        """
        new = [
            path
            for path in dict.fromkeys(os.fspath(path) for path in paths)
            if path not in self._states
        ]
        limit = min(self._left, _MOST_BYTES_AT_ONCE) // max(len(new), 1)
        for path in new:
            state = read_state(path, limit)
            if state is not None:
                self._states[path] = state, limit, name or path
                self._left -= min(limit, state.size)

    def check(self) -> None:
        """Check that every file is what it was.

        Raises:
            InputGoneError: one cannot be found any more.
            InputChangedError: one is not.
        """
        for path, (state, limit, name) in list(self._states.items()):
            change = what_changed(state, path, limit)
            if change is not None:
                kind = InputGoneError if change == GONE else InputChangedError
                raise kind(
                    name, f"{change} while it was read", "wait until it is whole, then start again"
                )

    def identities(self, paths: Iterable[PathLike]) -> list[list[Any]]:
        """Return what tells each file's content from another's; see `input_identities`."""
        names = [os.fspath(path) for path in paths]
        self.note(names)
        return [
            self._states[name][0].identity(os.path.basename(name))
            if name in self._states
            else [name]
            for name in names
        ]

    def digest(self) -> str:
        """Return a digest of the content of all files noted so far, wherever they are.

        Of a file that was not read its time stands for the content.
        """
        contents = [
            (state.size, state.digest or state.mtime_ns) for state, _, _ in self._states.values()
        ]
        return hashlib.blake2b(repr(contents).encode(), digest_size=8).hexdigest()


@contextmanager
def watched_inputs() -> Iterator[InputWatch]:
    """Watch the files that are read inside, a decorator too; to `check` them is up to the caller.

    Where they cannot be used because they changed meanwhile, that is the error.

    Raises:
        InputChangedError: a `DataError` was raised inside, and a file is not what it was.
    """
    watch = InputWatch()
    token = _current.set(watch)
    try:
        yield watch
    except DataError:
        watch.check()
        raise
    finally:
        _current.reset(token)


@contextmanager
def unchanged_inputs() -> Iterator[InputWatch]:
    """Watch the files that are read inside, and check them at the end.

    Raises:
        InputChangedError: a file is not what it was.
    """
    with watched_inputs() as watch:
        yield watch
        watch.check()


def note_input(*paths: PathLike, name: str = "") -> None:
    """Note files that are about to be read; nothing where no watch has begun."""
    watch = _current.get()
    if watch is not None:
        watch.note(paths, name)


def current_watch() -> InputWatch:
    """Return the watch that was begun last; other threads than that which began it have none."""
    return _current.get() or InputWatch()


def input_identities(paths: Iterable[PathLike]) -> list[list[Any]]:
    """Return what tells each file's content from another's, as JSON values.

    Of a file that is not on a disk here (a VRT may name one) only the name is known.
    """
    return current_watch().identities(paths)
