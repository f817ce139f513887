"""The files that a run reads, watched while it does: what they were, and whether they still are.

A watch is begun by the library function behind a command, and `open_raster` and the readers of
other files note in it what they read. So a result is never a mixture of two states of a file.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcmap.errors import DataError, InputChangedError, InputGoneError
from lcmap.paths import PathLike
from lcmap.raster.file_state import (
    GONE,
    FileState,
    as_known,
    read_state,
    still_is,
    what_changed,
)
from lcmap.user_file import check_permitted

_MOST_BYTES = 1 << 30
_MOST_BYTES_AT_ONCE = 1 << 27
"""Bytes that are read for digests in all, and of what is noted together."""

_IN_THE_MAKING = re.compile(r"(^|/)\.[^/]+\.lcmap-[a-z0-9_]{8}/[^/]+$")
"""What is in the folder in which an output is made, see `output_set`."""

_current: ContextVar[InputWatch | None] = ContextVar("input watch", default=None)


@dataclass(frozen=True)
class Listing:
    """The files in a folder, with `below` those in its folders too, or those of a pattern.

    place: a folder, or a pattern of `glob` with **.
    suffixes: of the files, in lower case; empty is any.
    """

    place: str
    suffixes: tuple[str, ...] = ()
    below: bool = False

    @property
    def key(self) -> list[Any]:
        """What it is of, as JSON values."""
        return [self.place, list(self.suffixes), self.below]

    def now(self) -> list[str]:
        """Return the paths of the files that are there now, sorted."""
        # macOS keeps attributes of files in others named ._* on disks of other systems
        if os.path.isdir(self.place):
            folder = Path(self.place)
            found = [str(path) for path in (folder.rglob("*") if self.below else folder.iterdir())]
        else:
            found = glob.glob(self.place, recursive=True)
        return sorted(
            path
            for path in found
            if (not self.suffixes or os.path.splitext(path)[1].lower() in self.suffixes)
            and not os.path.basename(path).startswith("._")
        )


class InputWatch:
    """The state of each file when it was first noted."""

    def __init__(self, within: InputWatch | None = None) -> None:
        """Begin with no file.

        One `within` another passes on what it noted when it ends; the other does not check that.
        """
        self._within = within
        self._states: dict[str, tuple[FileState, int, str]] = {}
        self._of_others: dict[str, tuple[FileState, int, str]] = {}
        self._listings: dict[Listing, list[str]] = {}
        self._left = _MOST_BYTES

    def note(self, paths: Iterable[PathLike], name: str = "") -> None:
        """Take down the state of files that were not noted yet; messages call them by `name`.

        What is not a file on a disk here is left out, and an output that is not named yet.
        """
        new = [
            path
            for path in dict.fromkeys(os.fspath(path) for path in paths)
            if path not in self._states and not _IN_THE_MAKING.search(path)
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

    def note_listing(self, listing: Listing) -> None:
        """Take down which files a listing has."""
        if listing not in self._listings:
            self._listings[listing] = listing.now()

    def pass_on(self) -> None:
        """Let the watch that this one is within know all that was noted."""
        if self._within is not None:
            self._within._of_others |= self._of_others | self._states
            self._within._listings |= self._listings

    def to_dict(self) -> dict[str, Any]:
        """Return all that was noted in this watch and those that it is within, as JSON values."""
        return {
            "files": {
                path: as_known(state, limit)
                for path, (state, limit, _) in self._everything().items()
            },
            "listings": [[*listing.key, names] for listing, names in self._all_listings().items()],
        }

    def _all_listings(self) -> dict[Listing, list[str]]:
        outer = self._within._all_listings() if self._within is not None else {}
        return outer | self._listings

    def _everything(self) -> dict[str, tuple[FileState, int, str]]:
        outer = self._within._everything() if self._within is not None else {}
        own = self._states | self._of_others
        return outer | {path: it for path, it in own.items() if path not in outer}

    def digest(self, *, everything: bool = False) -> str:
        """Return a digest of the content of all files noted so far, wherever they are.

        Of a file that was not read its time stands for the content. With `everything`, those noted
        in the watches that this one is within count too.
        """
        states = self._everything() if everything else self._states
        contents = [(state.size, state.digest or state.mtime_ns) for state, _, _ in states.values()]
        return hashlib.blake2b(repr(contents).encode(), digest_size=8).hexdigest()


@contextmanager
def watched_inputs() -> Iterator[InputWatch]:
    """Watch the files that are read inside, a decorator too; to `check` them is up to the caller.

    Where they cannot be used because they changed meanwhile, that is the error.

    Raises:
        InputChangedError: a `DataError` was raised inside, and a file is not what it was.
    """
    watch = InputWatch(within=_current.get())
    token = _current.set(watch)
    try:
        yield watch
    except DataError:
        watch.check()
        raise
    finally:
        _current.reset(token)
        watch.pass_on()


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


def files_in(place: PathLike, suffixes: Collection[str] = (), *, below: bool = False) -> list[Path]:
    """Return the files of a folder, or those that a pattern of `glob` fits, sorted; note which.

    Those with other suffixes (in lower case) are left out, and with `below` those in the folders of
    the folder are not. A file that joins them, or leaves them, is a change of the input.

    Raises:
        InputMissingError: a folder that may not be listed.
    """
    if os.path.isdir(place):
        check_permitted(place)
    listing = Listing(os.fspath(place), tuple(suffixes), below)
    watch = _current.get()
    if watch is not None:
        watch.note_listing(listing)
    return [Path(path) for path in listing.now()]


def matches(noted: Mapping[str, Any]) -> str | None:
    """Say what changed since a watch noted it, see `InputWatch.to_dict`; None where nothing did."""
    for place, suffixes, below, names in noted["listings"]:
        others = sorted(set(names) ^ set(Listing(place, tuple(suffixes), below).now()))
        if others:
            return f"{others[0]} {'is gone' if others[0] in names else 'joined'}"
    for path, known in noted["files"].items():
        if not still_is(known, path):
            return f"{path} changed" if os.path.exists(path) else f"{path} is gone"
    return None


def current_watch() -> InputWatch:
    """Return the watch that was begun last; other threads than that which began it have none."""
    return _current.get() or InputWatch()


def input_identities(paths: Iterable[PathLike]) -> list[list[Any]]:
    """Return what tells each file's content from another's, as JSON values.

    Of a file that is not on a disk here (a VRT may name one) only the name is known.
    """
    return current_watch().identities(paths)
