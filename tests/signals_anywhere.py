"""A signal comes just before a call, a return or a jump: Python handles it there or at the next.

So it is handled at each place where it can be, the entry and the exit of a context manager among
them, which no step to the disk is near.
"""

from __future__ import annotations

import _thread
import contextlib
import dis
import signal
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import lcmap

MODULES = (
    "cli/console.py",
    "cli/unattended.py",
    "inference/resume/resumable_map.py",
    "inference/resume/tile_work.py",
    "inference/resume/work_folder.py",
    "interruption.py",
    "raster/making.py",
    "raster/output_lock.py",
    "raster/output_set.py",
    "raster/temporary_folder.py",
    "raster/writing.py",
)
"""Those that make and remove files that must not stay."""

FILES = {
    contextlib.__file__,
    *(str(Path(lcmap.__file__).parent / module) for module in MODULES),
}
PLACES = ("CALL", "BEFORE_WITH", "WITH_EXCEPT", "RETURN", "YIELD", "JUMP_BACKWARD", "FOR_ITER")


class _Trip:
    """Its negative is a signal that is not handled before the function that takes it returns."""

    __neg__ = partial(_thread.interrupt_main, signal.SIGTERM)


class SignalAt:
    """SIGTERM at one place of those in MODULES, counted from 1."""

    def __init__(self, place: int, at_place: Callable[[], None] = lambda: None) -> None:
        """Send it when `start` was called and this place is reached, after a call of `at_place`."""
        self.place, self.at_place = place, at_place
        self.passed = 0

    @property
    def sent(self) -> bool:
        """Whether the place was reached."""
        return self.passed == self.place

    def start(self) -> None:
        """Begin to count; functions that are called from now on are looked at."""
        sys.settrace(self._begin)

    def run(self, work: Callable[[], None]) -> None:
        """Count while work is done."""
        before = sys.gettrace()
        self.start()
        try:
            work()
        finally:
            sys.settrace(before)

    def _begin(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in FILES:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode" and frame.f_lasti in _places(frame.f_code) and not self.sent:
            self.passed += 1
            if self.sent:
                self.at_place()
                -_Trip()  # type: ignore[operator]
        return self._step


@cache
def _places(code: CodeType) -> frozenset[int]:
    return frozenset(
        instruction.offset
        for instruction in dis.get_instructions(code)
        if instruction.opname.startswith(PLACES)
    )
