"""Names and values as people mean them: without regard to case, accents and bad encodings."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache

SHAPEFILE_NAME_LENGTH = 10
_LIGATURES = str.maketrans({"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "’": "'", "\u00a0": " "})

_AFTER_LATIN = "\u0180"


def mend_encoding(text: str) -> str:
    """Return the text that was meant where UTF-8 was read as Latin-1 ("RÃ©sidentiel").

    Right text may be valid UTF-8 too, but then it would mean letters of other alphabets.
    """
    if text.isascii():
        return text
    for encoding in ("latin-1", "cp1252"):
        try:
            meant = text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        if all(c < _AFTER_LATIN or "\u2000" <= c <= "\u206f" for c in meant):
            return meant
    return text


@lru_cache(maxsize=65536)
def fold_value(text: str) -> str:
    """Return a value in lower case, without accents and with single spaces."""
    decomposed = unicodedata.normalize("NFKD", mend_encoding(text).translate(_LIGATURES))
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(plain.casefold().split())


@lru_cache(maxsize=4096)
def fold_name(text: str) -> str:
    """Return a layer's or a field's name as letters and digits alone (and * for any text)."""
    return "".join(c for c in fold_value(text) if c.isalnum() or c == "*")


def matches_layer(name: str, wanted: Iterable[str]) -> bool:
    """Tell whether a layer's name is one of those wanted; each may hold * for any text.

    A namespace before the name, as a web feature service adds it ("BDTOPO_V3:batiment"), is left
    out.
    """
    folded = fold_name(name.rpartition(":")[2])
    return any(fnmatchcase(folded, fold_name(pattern)) for pattern in wanted)


def find_field(available: Iterable[str], wanted: Iterable[str]) -> str | None:
    """Return the field that is the first of the names wanted; None where there is none.

    Names that a shapefile cut to ten characters match where no field has the whole name.
    """
    fields, names = list(available), list(wanted)
    for name in names:
        for field in fields:
            if fold_name(field) == fold_name(name):
                return field
    for name in names:
        if len(name) <= SHAPEFILE_NAME_LENGTH:
            continue
        cut = fold_name(name[:SHAPEFILE_NAME_LENGTH])
        for field in fields:
            if len(field) == SHAPEFILE_NAME_LENGTH and fold_name(field) == cut:
                return field
    return None
