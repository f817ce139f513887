"""A crosswalk: the codes of one nomenclature as codes of another."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.errors import NomenclatureError, UsageError
from lcmap.nomenclature.classes import NO_LABEL, Nomenclature
from lcmap.nomenclature.library import is_toml_path, load_nomenclature, read_toml
from lcmap.paths import PathLike

_BUILTIN = Path(__file__).parent / "crosswalks"


@dataclass(frozen=True, eq=False)
class Crosswalk:
    """From a source to a target nomenclature; table is uint8 [256], 0 where a code is discarded."""

    source: Nomenclature
    target: Nomenclature
    table: NDArray[np.uint8]

    @property
    def name(self) -> str:
        """The two nomenclatures' names, as in "flair19:flair7"."""
        return f"{self.source.name}:{self.target.name}"

    @property
    def unreached(self) -> tuple[int, ...]:
        """The codes of the target's classes that no source class leads to."""
        return tuple(code for code in self.target.codes if code not in self.table)

    def apply(self, labels: NDArray[Any], source: PathLike = "labels") -> NDArray[np.uint8]:
        """Return labels (any shape, source codes) as uint8 target codes; source names the file.

        Raises:
            UnknownLabelError: labels holds codes that the source nomenclature does not have.
        """
        return self.table[self.source.check_labels(labels, source)]


@cache
def builtin_crosswalks() -> tuple[str, ...]:
    """Return the built-in crosswalks as "source:target", in alphabetical order."""
    return tuple(sorted(_builtin_files()))


def load_crosswalk(name_or_path: PathLike) -> Crosswalk:
    """Return a built-in crosswalk by "source:target", or one of the user's by its TOML file.

    The file names source and target (built-in names, or paths beside it), and under [classes] for
    each source class (by code, name or acronym) the target class, or 0 to discard it.

    Raises:
        UsageError: neither a built-in crosswalk nor a .toml file.
        InputMissingError: a file does not exist or cannot be read.
        NomenclatureError: a file is malformed, leaves a source class out or names an unknown one.
    """
    text = os.fspath(name_or_path)
    if is_toml_path(text):
        return _read_crosswalk(Path(text))
    if text not in builtin_crosswalks():
        raise UsageError(
            text,
            "no built-in crosswalk has this name",
            f"take one of {', '.join(builtin_crosswalks())}, or a path ending in .toml",
        )
    return _read_crosswalk(_builtin_files()[text])


def _builtin_files() -> dict[str, Path]:
    files = {}
    for path in _BUILTIN.glob("*.toml"):
        values = read_toml(path)
        files[f"{values['source']}:{values['target']}"] = path
    return files


def _read_crosswalk(path: Path) -> Crosswalk:
    values = read_toml(path)
    unknown = [key for key in values if key not in ("source", "target", "classes")]
    if unknown:
        raise NomenclatureError(
            path, f'has the unknown key "{unknown[0]}"', "the keys are source, target, classes"
        )
    source = _side(path, values, "source")
    target = _side(path, values, "target")
    pairs = values.get("classes")
    if not isinstance(pairs, dict):
        raise NomenclatureError(path, "has no table [classes]")
    return Crosswalk(source, target, _table(path, source, target, pairs))


def _side(path: Path, values: Mapping[str, Any], key: str) -> Nomenclature:
    value = values.get(key)
    if not isinstance(value, str):
        raise NomenclatureError(path, f'does not say its "{key}" nomenclature')
    return load_nomenclature(path.parent / value if is_toml_path(value) else value)


def _table(
    path: Path, source: Nomenclature, target: Nomenclature, pairs: Mapping[str, Any]
) -> NDArray[np.uint8]:
    table = np.full(256, NO_LABEL, np.uint8)
    missing = {item.code: item.name for item in source.classes}
    for key, value in pairs.items():
        item = source.find(key)
        if item is None:
            raise NomenclatureError(path, f'"{key}" is not a class of {source.name}')
        if missing.pop(item.code, None) is None:
            raise NomenclatureError(path, f'the class "{item.name}" is given twice')
        table[item.code] = _target_code(path, target, key, value)
    if missing:
        raise NomenclatureError(
            path,
            f"leaves out classes of {source.name}: "
            + ", ".join(f'{code} "{name}"' for code, name in missing.items()),
            "give each its class, or 0 to discard it",
        )
    table.flags.writeable = False
    return table


def _target_code(path: Path, target: Nomenclature, key: str, value: object) -> int:
    if type(value) is int and value == NO_LABEL:
        return NO_LABEL
    item = target.find(str(value)) if type(value) in (int, str) else None
    if item is None:
        raise NomenclatureError(
            path, f'"{key}" leads to {value!r}, which is not a class of {target.name}'
        )
    return item.code
