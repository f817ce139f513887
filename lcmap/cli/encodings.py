"""Text in environments that are not UTF-8: arguments, file names, and what is printed."""

from __future__ import annotations

import codecs
import io
import locale
import os
import sys
import unicodedata

PLAIN = "lcmap.plain"
"""What `str.encode` does with letters that an encoding lacks: it writes them without accents."""

_EXACT = "lcmap.exact"
"""The same, but letters are escaped, so that the names of files can be told."""

_SYMBOLS = {
    "κ": "kappa",
    "×": "x",
    "–": "-",
    "−": "-",
    "…": "...",
    "∑": "sum",
    "≥": ">=",
    "≤": "<=",
    "→": "->",
    "²": "2",
    "±": "+-",
    "°": " deg",
    "“": '"',
    "”": '"',
    "’": "'",
    "µ": "u",
}


def in_utf_8_mode() -> None:
    """Start anew where Python takes arguments and names of files for another encoding than UTF-8.

    GDAL takes names for UTF-8 whatever the locale, and Python chooses once, before it runs
    anything. What is printed stays in the encoding of the terminal.
    """
    if sys.flags.utf8_mode or codecs.lookup(sys.getfilesystemencoding()).name == "utf-8":
        return
    os.environ.setdefault("PYTHONIOENCODING", locale.getpreferredencoding(False))
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def print_what_the_encoding_lacks() -> None:
    """Have standard streams replace characters that their encoding lacks, rather than fail."""
    for stream, errors in ((sys.stdout, PLAIN), (sys.stderr, _EXACT)):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def _in_symbols(error: UnicodeError, *, exact: bool) -> tuple[str, int]:
    """Return ASCII for the first character that cannot be encoded, and where to go on.

    Of the spaces that follow, as in a table, as many are left out as the text has become longer.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text, start = error.object, error.start
    character = text[start]
    plain = _SYMBOLS.get(character)
    if plain is None:
        decomposed = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
        escaped = character.encode("ascii", "backslashreplace").decode()
        return (escaped if exact else decomposed or "?"), start + 1
    end = start + 1
    while end - start < len(plain) and text[end : end + 2] == "  ":
        end += 1
    return plain, end


codecs.register_error(PLAIN, lambda error: _in_symbols(error, exact=False))
codecs.register_error(_EXACT, lambda error: _in_symbols(error, exact=True))
