"""How the outputs of a command were made, so that the same command again finds nothing to do.

The record is the file `.NAME.lcmap-made` beside the first output: what was asked for, the files
that were read, the files that were written, and what was printed. Outputs that have a place for it
carry the digest of all that decides their bytes.

A command line begins a `Making`. The rest goes by itself: readers note what they read in an input
watch, `OutputSet` notes what it is about to name, and writers put `current_digest` into what they
write. Without a making, as from Python, nothing of this happens.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcmap import __version__
from lcmap.errors import OutputExistsError, cannot_write
from lcmap.interruption import uninterrupted
from lcmap.json_text import parse_json
from lcmap.paths import PathLike
from lcmap.raster.destination import file_at, stream_at
from lcmap.raster.file_state import Known, known_state, still_is
from lcmap.raster.input_watch import current_watch, matches, watched_inputs
from lcmap.raster.pipes import STANDARD_STREAM

DIGEST = "LCMAP_DIGEST"
"""The tag that holds the digest of an output."""

MEMBER = "lcmap_digest"
"""What holds it in an output that is JSON, a model or a picture."""

_VERSION = 1
_CHECKSUM = "checksum"
_MOST_BYTES = 1 << 26
"""Of an output that are read to tell it from another; one that is larger is known by its time."""

Printed = tuple[str, bool]
"""A text that was printed, and whether it is a summary, which is not printed where errors only are
wanted."""

_current: ContextVar[Making | None] = ContextVar("making", default=None)


@dataclass(frozen=True)
class Request:
    """What was asked for, as JSON values.

    command: the name of the command.
    sources: its inputs, as they were named.
    given: all that was given, the names of inputs and outputs among it, but for what has no
        influence on the outputs, as where temporary files are.
    settings: the part of it that decides the bytes of the outputs beside the inputs.
    words: the words of the command line, by which a run that repeats it is told in no time.
    """

    command: str
    sources: Sequence[str]
    given: Mapping[str, Any]
    settings: Mapping[str, Any]
    words: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the part of it that is compared, as JSON values."""
        values = {
            "lcmap": __version__,
            "command": self.command,
            "sources": list(self.sources),
            "given": dict(self.given),
        }
        result: dict[str, Any] = json.loads(json.dumps(values))
        return result

    def may_follow(self, old: Mapping[str, Any]) -> bool:
        """Tell whether it may replace what another request made, which `to_dict` gave.

        That is where it is the same command, and of the same inputs at least in part: new scenes
        may have joined. Else it is taken for a mistake.
        """
        return old["command"] == self.command and bool({*self.sources} & {*old["sources"]})

    @property
    def settings_digest(self) -> str:
        """The digest of the settings and of the version."""
        return _digest([__version__, self.command, dict(self.settings)])

    @property
    def from_stream(self) -> bool:
        """Whether an input is standard input, of which nothing tells whether it is the same."""
        values = [*self.given.values(), list(self.sources)]
        return any(
            STANDARD_STREAM in (value if isinstance(value, list) else [value]) for value in values
        )


class Making:
    """The run of a command that makes outputs, of which `output` is the first.

        with Making(request, output, overwrite=False) as making:
            if making.is_done():
                return
            ...
            making.finish()

    Where the first output is a stream or an input is standard input, nothing is put on record, and
    nothing is done already.
    """

    def __init__(self, request: Request, output: PathLike, *, overwrite: bool) -> None:
        """Look for the record beside the output; `overwrite` makes it again in any case."""
        self.request = request
        self._overwrite = overwrite
        self._place: Path | None = None
        if stream_at(output) is None and not request.from_stream:
            self._place = file_at(output)
        self._old = _read(self._place)
        if self._old is not None and not request.may_follow(self._old["request"]):
            self._old = None
        self._new: dict[str, Any] | None = None
        self.printed: list[Printed] = []
        """What the run printed on standard output, or the earlier run where all is done."""

    @contextmanager
    def begun(self) -> Iterator[Making]:
        """Be the making that outputs belong to, and watch the inputs."""
        token = _current.set(self)
        try:
            with watched_inputs() as self._inputs:
                yield self
        finally:
            _current.reset(token)

    @property
    def outputs(self) -> list[str]:
        """The files that are on record, as paths that can be opened."""
        record = self._new or self._old
        if record is None or self._place is None:
            return []
        return [os.path.join(self._place.parent, name) for name in record["outputs"]]

    def is_done(self) -> bool:
        """Tell whether an earlier run of the same request made all outputs, and none changed."""
        if self._overwrite or self._old is None or self.what_changed() is not None:
            return False
        self.printed = [(text, is_summary) for text, is_summary in self._old["printed"]]
        return True

    def what_changed(self) -> str | None:
        """Say what changed since the outputs were made; None where nothing did, or none were."""
        old = self._old
        if old is None or self._place is None:
            return None
        asked = self.request.to_dict()
        if old["request"] != asked:
            return _difference(old["request"], asked)
        return _what_changed(old, self._place.parent)

    def may_replace(self, path: PathLike) -> bool:
        """Tell whether an output that exists is one of lcmap's making, as it was left.

        Raises:
            OutputExistsError: it was, and was changed since.
        """
        states = self._states(path)
        # GDAL and QGIS write statistics into it
        if any(still_is(state, path) for state in states) or (states and _is_pam(path)):
            return True
        if states:
            raise OutputExistsError(
                path, "was changed since lcmap made it", "`overwrite` to make it again"
            )
        return False

    def digest(self) -> str:
        """Return the digest of settings, version and all inputs that were read so far."""
        return _digest([self.request.settings_digest, current_watch().digest(everything=True)])

    def account(self) -> dict[str, Any]:
        """Return what was asked for and read so far, as JSON values, for `earlier_making`."""
        return {
            "request": self.request.to_dict(),
            "settings": self.request.settings_digest,
            "words": list(self.request.words),
            "digest": self.digest(),
            "inputs": current_watch().to_dict(),
        }

    def note(self, files: Mapping[PathLike, Path], *, beside: Sequence[PathLike]) -> None:
        """Put outputs on record, each with the file that is about to be named so.

        Those `beside` others, as styles, may be replaced by the next run, but do not count: someone
        may have changed them or may not want them.

        What stood there under a name and was on record stays so, for a run that is killed before
        the name is given.

        Raises:
            CannotWriteError: no space left.
        """
        if self._place is None or not files:
            return
        outputs = self._new["outputs"] | self._new["beside"] if self._new else {}
        for path, made in files.items():
            before = [state for state in self._states(path) if still_is(state, path)]
            outputs[self._name(path)] = [known_state(made, _MOST_BYTES), *before[:1]]
        names = {self._name(path) for path in beside}
        self._new = {
            "lcmap-made": _VERSION,
            **self.account(),
            "outputs": {name: it for name, it in outputs.items() if name not in names},
            "beside": {name: it for name, it in outputs.items() if name in names},
            "finished": False,
            "printed": [],
            "quiet": False,
        }
        self._write(self._new)

    def finish(self, *, quiet: bool) -> None:
        """Put on record that the run has ended well, and what it printed.

        One that was `quiet` prints no summary.

        Raises:
            CannotWriteError: no space left.
        """
        record = _read(self._place)
        # outputs that a killed run had named are taken as they are
        if record is None or record["request"] != self.request.to_dict():
            return
        record["finished"] = True
        record["printed"] = self.printed
        record["quiet"] = quiet
        # what was made meanwhile and read again is gone
        files = record["inputs"]["files"]
        record["inputs"]["files"] = {path: it for path, it in files.items() if os.path.exists(path)}
        self._write(record)

    def _states(self, path: PathLike) -> Sequence[Known]:
        if self._old is None:
            return []
        known: Mapping[str, Sequence[Known]] = self._old["outputs"] | self._old["beside"]
        return known.get(self._name(path), [])

    def _name(self, path: PathLike) -> str:
        assert self._place is not None
        return os.path.relpath(file_at(path), self._place.parent)

    def _write(self, record: Mapping[str, Any]) -> None:
        assert self._place is not None
        whole = self._place.with_name(f".{self._place.name}.lcmap-next")
        try:
            with uninterrupted(), open(whole, "w", encoding="ascii") as file:
                json.dump({**record, _CHECKSUM: _digest([record])}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
                os.replace(whole, record_path(self._place))
        except OSError as error:
            with suppress(OSError):
                whole.unlink()
            raise cannot_write(self._place, error) from error


def current_making() -> Making | None:
    """Return the making that was begun, if one was."""
    return _current.get()


def current_digest(name: str = DIGEST) -> dict[str, str]:
    """Return what an output gets to say what it was made of, by name; nothing without a making."""
    making = _current.get()
    return {name: making.digest()} if making else {}


def current_settings() -> dict[str, str]:
    """Return what tells outputs of the same inputs apart, for a plan; nothing without a making."""
    making = _current.get()
    return {"settings": making.request.settings_digest} if making else {}


def note_outputs(files: Mapping[PathLike, Path], beside: Sequence[PathLike] = ()) -> None:
    """Put files on record that are about to get their names, by these names; see `Making.note`.

    Raises:
        CannotWriteError: no space left.
    """
    making = _current.get()
    if making is not None:
        named = {path: made for path, made in files.items() if stream_at(path) is None}
        making.note(named, beside=beside)


def may_replace(path: PathLike) -> bool:
    """Tell whether a file that exists may be replaced, since the same command made it before.

    Raises:
        OutputExistsError: it was changed since.
    """
    making = _current.get()
    return making is not None and making.may_replace(path)


def printed_by_same(words: Sequence[str], output: PathLike) -> list[str] | None:
    """Return what a run printed that was called by the same words; None unless all is up to date.

    `output` is the first output of such a run.
    """
    place = None if stream_at(output) is not None else file_at(output)
    record = _read(place)
    if record is None or place is None:
        return None
    if record["words"] != list(words) or record["request"].get("lcmap") != __version__:
        return None
    if _what_changed(record, place.parent) is not None:
        return None
    texts = [text for text, is_summary in record["printed"] if not (is_summary and record["quiet"])]
    return texts


def files_up_to_date(output: PathLike) -> list[Path] | None:
    """Return the files on record with an output, None if any changed since it was made."""
    place = None if stream_at(output) is not None else file_at(output)
    record = _read(place)
    if place is None or record is None or _what_changed(record, place.parent) is not None:
        return None
    return [place.parent / name for name in record["outputs"] | record["beside"]]


def record_path(output: Path) -> Path:
    """Return where the record of an output is, which is given by its real path."""
    return output.with_name(f".{output.name}.lcmap-made")


def _read(place: Path | None) -> dict[str, Any] | None:
    """Return the record of an output, None where there is none, or none that can be read."""
    if place is None:
        return None
    try:
        record = parse_json(record_path(place).read_bytes())
        whole = record.pop(_CHECKSUM) == _digest([record]) and record["lcmap-made"] == _VERSION
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if whole else None


def _is_pam(path: PathLike) -> bool:
    return os.fspath(path).endswith(".aux.xml")


def _what_changed(record: Mapping[str, Any], folder: Path) -> str | None:
    """Say what changed of the files on record; None where nothing did."""
    for name, states in record["outputs"].items():
        path = folder / name
        if not path.exists():
            return f"{name} is missing"
        if not still_is(states[0], path):
            return f"{name} changed"
    if not record["finished"]:
        return "an earlier run did not end"
    return matches(record["inputs"])


def _digest(values: Sequence[Any]) -> str:
    text = json.dumps(values, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Say in what two requests differ."""
    for name in ("lcmap", "command"):
        if old.get(name) != new[name]:
            return f"{name} was {old.get(name)}"
    if old.get("sources") != new["sources"]:
        return "other inputs were named"
    before, now = old.get("given", {}), new["given"]
    names = [name for name in [*now, *before] if before.get(name) != now.get(name)]
    return f"these changed: {', '.join(f'`{name}`' for name in dict.fromkeys(names))}"
