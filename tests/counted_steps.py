"""A forked process becomes lcmap, and something may happen before each of its steps to the disk."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
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
