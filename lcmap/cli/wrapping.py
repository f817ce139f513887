"""Lines as a terminal of any width shows them, broken between words."""

from __future__ import annotations

import re
from textwrap import TextWrapper

_HANGING = "  "
_IN_COLUMNS = re.compile(r"\S {2}")
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:[%×]|px|ha|m|s|min|steps|[KMGT]iB)(?!\w))")
_TOGETHER = "\u00a0"


def wrapped(text: str, width: int) -> str:
    """Return a text whose lines are broken between words, so that names in them stay whole.

    A figure stays with its unit. What goes on is indented. Lines of tables, which two spaces in a
    row tell, stay as they are.
    """
    return "\n".join(_wrapped(line, width) for line in text.split("\n"))


def _wrapped(line: str, width: int) -> str:
    if len(line) <= width or _IN_COLUMNS.search(line):
        return line
    indent = line[: len(line) - len(line.lstrip())]
    wrapper = TextWrapper(
        width, subsequent_indent=indent + _HANGING, break_long_words=False, break_on_hyphens=False
    )
    return wrapper.fill(_BEFORE_UNIT.sub(_TOGETHER, line)).replace(_TOGETHER, " ")
