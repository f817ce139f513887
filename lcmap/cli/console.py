"""What a command prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import typer

from lcmap.cli.encodings import PLAIN
from lcmap.cli.json_log import JsonLog
from lcmap.cli.parameters import as_options
from lcmap.cli.progress_display import ProgressLines, progress_bar
from lcmap.cli.streams import discard
from lcmap.cli.wrapping import wrapped
from lcmap.errors import (
    CannotWriteError,
    DataError,
    InputMissingError,
    LcmapError,
    UnavailableError,
    cannot_write,
)
from lcmap.interruption import INTERRUPTED, was_interrupted, working
from lcmap.launch import says_errors
from lcmap.progress import Progress, silent
from lcmap.raster.making import Making, current_making

if TYPE_CHECKING:
    from rich.console import Console

_BUG = 1
_NO_INPUT = InputMissingError.exit_code
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_logger = logging.getLogger("lcmap")

_NOT_FOR_MAPPING = {
    "torch": "torch",
    "matplotlib": "matplotlib",
    "onnxscript": "onnxscript",
    "onnx_ir": "onnx-ir",
    "jinja2": "jinja2",
}
"""Packages that an installation for mapping may lack, by the name that is imported."""


class Reporter:
    """One run of a command: its standard error, its progress and its results."""

    def __init__(self, console: Console, *, quiet: bool, log: JsonLog | None = None) -> None:
        """Write messages to this console, which is standard error, or to a log in JSON."""
        self._console = console
        self._quiet = quiet
        self._log = log
        self._at_work = False

    @contextmanager
    def progress(self, title: str) -> Iterator[Progress]:
        """Yield a callback that shows progress: a bar on a terminal, else a line now and then."""
        self._at_work = True
        with self._shown(title) as progress:
            yield progress
        self._at_work = False

    @contextmanager
    def _shown(self, title: str) -> Iterator[Progress]:
        if self._quiet:
            yield silent
        elif self._log is not None:
            yield self._log.progress(title)
        elif self._console.is_interactive:
            with progress_bar(self._console, title) as progress:
                yield progress
        else:
            yield ProgressLines(title)

    def summary(self, text: str) -> None:
        """Print what was done on standard output, unless errors only are wanted.

        Raises:
            CannotWriteError: as `result`.
        """
        self._print(f"{text}\n", is_summary=True, prose=True)

    def result(self, result: Any, *, prose: bool = False) -> None:
        """Print text, or something that rich renders, on standard output.

        The lines of prose are broken where a terminal is narrower.

        Raises:
            CannotWriteError: standard output was closed or its disk is full.
        """
        from rich.console import Console

        text = result
        if not isinstance(result, str):
            console = Console(file=sys.stdout)
            with console.capture() as capture:
                console.print(result)
            text = capture.get()
        text = text if text.endswith("\n") else f"{text}\n"
        self._print(text, is_summary=False, prose=prose)

    def _print(self, text: str, *, is_summary: bool, prose: bool) -> None:
        assert not self._at_work, "a progress bar is in the line where this would go"
        making = current_making()
        if making is not None:
            making.printed.append((_COLOURS.sub("", text), is_summary))
        if not (is_summary and self._quiet):
            print_result(text, prose=prose)


def print_result(text: str, *, prose: bool) -> None:
    """Print text on standard output, lines of prose broken where a terminal is narrower.

    Raises:
        CannotWriteError: standard output was closed or its disk is full.
    """
    if prose and sys.stdout is not None and sys.stdout.isatty():
        text = wrapped(text, get_terminal_size().columns)
    try:
        _write_all(text)
    except OSError as error:
        discard(sys.stdout)
        raise CannotWriteError(
            "standard output",
            "closed by its reader" if error.errno == errno.EPIPE else str(error.strerror),
        ) from error


class _Handler(logging.Handler):
    """Log records as plain lines on the console, above a progress bar if there is one, or JSON."""

    def __init__(self, console: Console, log: JsonLog | None) -> None:
        super().__init__()
        self._console = console
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        if self._log is not None:
            self._log.message(record)
            return
        prefix = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        _print_line(self._console, f"{prefix}{as_options(record.getMessage())}")


@dataclass(frozen=True)
class Manner:
    """How a command says what it does.

    quiet: errors only.
    verbose: details, and tracebacks of errors.
    log_json: as lines of JSON, see `json_log`.
    command: its name.
    """

    quiet: bool = False
    verbose: bool = False
    log_json: bool = False
    command: str = ""

    @property
    def level(self) -> int:
        """The least level of messages that are said."""
        return logging.ERROR if self.quiet else logging.DEBUG if self.verbose else logging.INFO


class Voice:
    """What is said of a run on standard error, plain or as JSON."""

    def __init__(self, manner: Manner) -> None:
        """Say it in this manner."""
        from rich.console import Console

        self.manner = manner
        # colours that are forced, as in the logs of CI, do not make a terminal of a file
        self.console = Console(stderr=True, force_interactive=None if _on_terminal() else False)
        self.log = JsonLog(manner.command, as_options=as_options) if manner.log_json else None

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Say what the library logs meanwhile."""
        handler, level = _Handler(self.console, self.log), _logger.level
        _logger.addHandler(handler)
        _logger.setLevel(self.manner.level)
        try:
            yield
        finally:
            _logger.removeHandler(handler)
            _logger.setLevel(level)

    def message(self, text: str) -> None:
        """Say a message."""
        with self.heard():
            _logger.info("%s", text)

    def up_to_date(self, output: str, making: Making) -> None:
        """Say that there is nothing to do, and print again what the run printed that did it.

        Raises:
            CannotWriteError: standard output was closed or its disk is full.
        """
        self.message(f"{output}: up to date")
        for text, is_summary in making.printed:
            if not (is_summary and self.manner.quiet):
                print_result(text, prose=is_summary)
        self.end(making, up_to_date=True)

    def end(self, making: Making | None, *, up_to_date: bool = False) -> None:
        """Say that the run ended well, which takes no words but in JSON."""
        if self.log is not None and not self.manner.quiet:
            self.log.end(making.outputs if making else [], up_to_date=up_to_date)

    def error(self, error: BaseException, line: str, code: int) -> None:
        """Say in a line what error ends the run with this exit code."""
        if self.log is not None:
            trace = traceback.format_exc() if self.manner.verbose else None
            self.log.error(error, line, code, trace)
            return
        if self.manner.verbose:
            traceback.print_exc(file=sys.stderr)
        _print_line(self.console, f"lcmap: {line}")


@contextmanager
def told(manner: Manner) -> Iterator[Voice]:
    """Yield what says things; turn an error into one line on standard error and an exit code."""
    voice = Voice(manner)
    try:
        yield voice
    except (LcmapError, KeyboardInterrupt, Exception) as error:
        if isinstance(error, typer.Exit):
            raise
        line, code = _line_and_code(error, verbose=manner.verbose)
        if says_errors():
            voice.error(error, line, code)
        raise typer.Exit(code) from error


@contextmanager
def reporting(manner: Manner) -> Iterator[Reporter]:
    """Yield a reporter, as `told`, while a command works.

    A signal ends the run with its code, after unfinished outputs have been removed. A run that ends
    well finishes its making, if there is one.
    """
    with told(manner) as voice, voice.heard(), working():
        yield Reporter(voice.console, quiet=manner.quiet, log=voice.log)
        making = current_making()
        if making is not None:
            making.finish(quiet=manner.quiet)
        voice.end(making)


def _line_and_code(error: BaseException, *, verbose: bool) -> tuple[str, int]:
    if isinstance(error, KeyboardInterrupt) or was_interrupted():
        # a library may have made another error of it
        said = str(error) if isinstance(error, KeyboardInterrupt) else ""
        return as_options(said) or "interrupted", INTERRUPTED
    if isinstance(error, LcmapError):
        return as_options(str(error)), error.exit_code
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return str(cannot_write(error.filename or "output", error)), CannotWriteError.exit_code
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        name = os.fsencode(error.object).decode(errors="replace")
        return f"{name}: its name is not in UTF-8, which GDAL needs; rename it", DataError.exit_code
    if isinstance(error, ModuleNotFoundError) and (found := not_installed(error)):
        return found
    if isinstance(error, FileNotFoundError) and not _has_working_folder():
        return "the working folder was deleted; change to one that exists", _NO_INPUT
    hint = "" if verbose else "; please report it with the output of -v"
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return f"a bug: {text}{hint}", _BUG


def not_installed(error: ModuleNotFoundError) -> tuple[str, int] | None:
    """Return a line and an exit code for a package that an installation for mapping lacks."""
    package = _NOT_FOR_MAPPING.get(error.name or "")
    if package is None:
        return None
    line = (
        f"{package}: is not installed, and this command needs it; pip install {package}, for "
        "torch without CUDA with --index-url https://download.pytorch.org/whl/cpu"
    )
    return line, UnavailableError.exit_code


def _has_working_folder() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _print_line(console: Console, line: str) -> None:
    if _on_terminal():
        line = wrapped(line, console.width)
    # a standard error that is full is no reason to give up the work
    with suppress(OSError):
        console.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)


def _write_all(text: str) -> None:
    """Write all of a text to standard output, which unbuffered Python may do in part only."""
    sys.stdout.flush()
    rest = memoryview(text.encode(sys.stdout.encoding or "utf-8", errors=PLAIN))
    while rest:
        rest = rest[sys.stdout.buffer.write(rest) :]
    sys.stdout.flush()
