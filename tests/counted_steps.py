"""A forked process becomes lcmap, and something may happen before each of its steps to the disk."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

AtStep = Callable[[str, int], None]
"""What happens before a step: its name in `os`, and its number from 1."""


def become_lcmap(arguments: list[str], steps: Sequence[str], at_step: AtStep) -> NoReturn:
    """Run `lcmap ARGUMENTS...` in this process, and end it with the command's status."""
    made = 0

    def counted(name: str, step: Any) -> Any:
        def count(*given: Any, **named: Any) -> Any:
            nonlocal made
            made += 1
            at_step(name, made)
            return step(*given, **named)

        return count

    for name in steps:
        setattr(os, name, counted(name, getattr(os, name)))
    code: Any = 1
    try:
        from lcmap.__main__ import main

        sys.argv = ["lcmap", *arguments]
        main()
        code = 0
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


def import_all(arguments: Sequence[str]) -> None:
    """Import what `lcmap ARGUMENTS...` imports, by a run in a process of its own.

    What is forked afterwards need not, which takes longer than the rest of a small run.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        leave = os._exit

        def tell_and_leave(code: int) -> NoReturn:
            with open(writing, "w", encoding="utf-8") as file:
                file.write("\n".join(sys.modules))
            leave(code)

        os._exit = tell_and_leave
        for descriptor in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        become_lcmap(arguments, (), lambda name, step: None)
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        names = file.read().splitlines()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, (arguments, status)
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)
