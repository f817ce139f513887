"""Reading nomenclature files: the built-in ones by name, others by path."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from lcmap.errors import LcmapError, NomenclatureError, UsageError
from lcmap.nomenclature.classes import Nomenclature, from_class_table
from lcmap.paths import PathLike
from lcmap.raster.classes import ClassTable
from lcmap.raster.input_watch import note_input
from lcmap.toml_text import LARGEST, parse_toml
from lcmap.user_file import read_small

_PACKAGE = Path(__file__).parent
_BUILTIN = _PACKAGE / "builtin"


@cache
def builtin_names() -> tuple[str, ...]:
    """Return the names of the built-in nomenclatures, in alphabetical order."""
    return tuple(sorted(path.stem for path in _BUILTIN.glob("*.toml")))


def load_nomenclature(name_or_path: PathLike) -> Nomenclature:
    """Return a built-in nomenclature by its name, or one of the user's by its TOML file.

    Raises:
        UsageError: neither a built-in name nor a .toml file.
        InputMissingError, DataError: the file does not exist or cannot be read, as `read_small`.
        NomenclatureError: the file is malformed or contradicts itself.
    """
    text = os.fspath(name_or_path)
    if is_toml_path(text):
        return Nomenclature.from_dict(read_toml(Path(text)), subject=text)
    if text not in builtin_names():
        raise UsageError(
            text,
            "no built-in nomenclature has this name",
            f"take one of {', '.join(builtin_names())}, or a path ending in .toml",
        )
    return _load_builtin(text)


def fits(table: ClassTable, nomenclature: Nomenclature) -> bool:
    """Tell whether a nomenclature has the classes that a raster carries, by the same names."""
    names = {item.code: item.name for item in nomenclature.classes}
    return all(names.get(code) == name for code, name in table.names.items())


def nomenclature_of(table: ClassTable) -> Nomenclature:
    """Return the nomenclature that a raster carries: the built-in one where names agree.

    One of the user's own is made from names and acronyms; names stand for missing acronyms.

    Raises:
        NomenclatureError: the raster's classes contradict each other.
    """
    if table.nomenclature in builtin_names():
        built_in = _load_builtin(table.nomenclature)
        if dict(table.names) == {item.code: item.name for item in built_in.classes}:
            return built_in
    return from_class_table(table)


@cache
def _load_builtin(name: str) -> Nomenclature:
    return Nomenclature.from_dict(read_toml(_BUILTIN / f"{name}.toml"), subject=name)


def is_toml_path(text: str) -> bool:
    """Tell whether a text that is a name or a path is the path of a TOML file."""
    return text.lower().endswith(".toml")


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises:
        InputMissingError, DataError: the file does not exist or cannot be read, as `read_small`.
        NomenclatureError: it is not TOML; the message says the line.
    """
    if not path.is_relative_to(_PACKAGE):  # what is built in is of the version of lcmap
        note_input(path)
    try:
        return parse_toml(read_small(path, LARGEST))
    except LcmapError:
        raise
    except ValueError as error:
        raise NomenclatureError(path, str(error)) from None
