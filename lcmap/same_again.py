"""The same command line again, told by its words alone, before the command line is imported.

To import it and to read the words takes half a second, and an annual production has many commands
that find nothing to do.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from lcmap.launch import launched

_OUTPUT = re.compile(r"(?:--output=|-o)(.+)")
_QUIET = re.compile(r"-[a-z]*q[a-z]*|--quiet")


def repeated(words: Sequence[str]) -> bool:
    """Say that there is nothing to do, and return True, where a run of the same words did it all.

    Where anything is out of the ordinary it returns False: `cli.unattended` finds the same.
    """
    if launched().size > 1:  # what is told to one of them, all must know
        return False
    output = _first_output(words)
    streams = (sys.stdin, sys.stdout, sys.stderr)
    if output is None or None in streams or {"--overwrite", "--log-json"} & set(words):
        return False
    if sys.getfilesystemencoding() != "utf-8":
        return False
    from lcmap.raster.making import printed_by_same

    try:
        printed = printed_by_same(words, output)
    except OSError:
        return False
    if printed is None:
        return False
    said = "" if any(map(_QUIET.fullmatch, words)) else f"{output}: up to date\n"
    try:
        texts = [
            (stream, text.encode(stream.encoding))
            for stream, text in ((sys.stderr, said), (sys.stdout, "".join(printed)))
        ]
    except UnicodeError:
        return False
    for stream, content in texts:
        stream.buffer.write(content)
        stream.flush()
    return True


def _first_output(words: Sequence[str]) -> str | None:
    for number, word in enumerate(words):
        if word in ("-o", "--output"):
            return words[number + 1] if number + 1 < len(words) else None
        if found := _OUTPUT.fullmatch(word):
            return found[1]
    return None
