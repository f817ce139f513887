"""What a signal does to a command: SIGINT, SIGTERM and SIGHUP end it, in one line.

While a command works a signal raises KeyboardInterrupt, so that what is unfinished is removed; if
something swallows that, it is raised again. Before and after there is nothing to remove, and the
process ends at once. Work that must not be cut in two is done to its end first, and what is to be
removed is a `Cleanup`: the exception may come just where a context manager is left, which then does
nothing.

Imports nothing that takes time, so that signals are handled from the beginning.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from types import FrameType

from lcmap.launch import says_errors

INTERRUPTED = 130
"""The exit code of a run that a signal ended, whichever it was."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SECONDS_TO_SWALLOW = 0.5

_Handler = Callable[[int, FrameType | None], object] | int | None


class _Stage(Enum):
    STARTING = auto()
    WORKING = auto()
    ENDING = auto()


class _Run:
    """The run of this process: only its main thread handles signals."""

    stage = _Stage.STARTING
    work: object = None
    received: signal.Signals | None = None
    uninterrupted = 0
    waiting: int | None = None


_cleanups: list[Cleanup] = []
"""What is not yet done, in the order in which it was made."""


class Cleanup:
    """What is to be done once: when it is called, or else when the work of a command has ended.

    Make it before what it removes, or both within `uninterrupted`.
    """

    def __init__(self, clean_up: Callable[[], object]) -> None:
        """Be called to do this, which nothing interrupts."""
        self._clean_up = clean_up
        _cleanups.append(self)

    def __call__(self) -> None:
        """Do it, unless it is done."""
        with uninterrupted():
            if self in _cleanups:
                _cleanups.remove(self)
                self._clean_up()


def was_interrupted() -> bool:
    """Return whether a signal has interrupted the work, whatever error came of that."""
    return _Run.received is not None


def handle_signals() -> dict[int, _Handler]:
    """Handle the signals that end a command, but for those that the caller ignores (nohup).

    Return the handlers that they had.
    """
    previous: dict[int, _Handler] = {}
    for signum in SIGNALS:
        if signal.getsignal(signum) != signal.SIG_IGN:
            previous[signum] = signal.signal(signum, _end)
    return previous


def ignore_signals() -> None:
    """Ignore them from now on: the run has its result or its error, and the interpreter ends."""
    _Run.stage = _Stage.ENDING
    sys.unraisablehook = _say_unless_interrupted
    _clean_up()
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


@contextmanager
def working() -> Iterator[None]:
    """Do the work of a command, which a signal ends by KeyboardInterrupt."""
    hook, sys.unraisablehook = sys.unraisablehook, _say_unless_interrupted
    this = _Run.work = object()
    previous, first = handle_signals(), len(_cleanups)
    _Run.received, _Run.waiting, _Run.stage = None, None, _Stage.WORKING
    try:
        yield
    finally:
        # a signal just after this was entered leaves it without its end, which comes when memory
        # is collected: other work, which may have begun since, is not ended by it
        if _Run.work is this:
            _Run.work, _Run.stage = None, _Stage.ENDING
            _clean_up(first)
            _Run.waiting = None
            sys.unraisablehook = hook
            for signum, handler in previous.items():
                if handler is not None:  # it was not set from Python
                    signal.signal(signum, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Do what is inside to its end before a signal ends the run."""
    _Run.uninterrupted += 1
    try:
        yield
    finally:
        _Run.uninterrupted -= 1
        signum, _Run.waiting = _Run.waiting, None
        if signum is not None:
            signal.raise_signal(signum)


def _clean_up(first: int = 0) -> None:
    """Do what a signal kept from being done since there were `first` things to do, the last first.

    The caller of a command may have some of its own.
    """
    while len(_cleanups) > first:
        _cleanups[-1]()


def _end(signum: int, frame: FrameType | None) -> None:
    if _Run.uninterrupted:
        _Run.waiting = signum
    elif _Run.stage is _Stage.STARTING:
        if says_errors():
            with suppress(OSError):
                os.write(2, b"lcmap: interrupted\n")
        os._exit(INTERRUPTED)
    elif _Run.stage is _Stage.WORKING and not (was_interrupted() and _is_raised()):
        if _Run.received is None:
            _Run.received = signal.Signals(signum)
            _thread.start_new_thread(_raise_again, ())
        raise KeyboardInterrupt


def _is_raised() -> bool:
    """Return whether KeyboardInterrupt is on its way, as where what is unfinished is removed."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _raise_again() -> None:
    """Interrupt the work again where a library swallowed KeyboardInterrupt, till it has ended."""
    while _Run.stage is _Stage.WORKING:
        time.sleep(_SECONDS_TO_SWALLOW)
        if _Run.stage is _Stage.WORKING and _Run.received is not None:
            _thread.interrupt_main(_Run.received)


def _say_unless_interrupted(unraisable: sys.UnraisableHookArgs) -> None:
    # what a signal cut in two may raise more when it is thrown away, and the run has said its line
    if not was_interrupted() and not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
