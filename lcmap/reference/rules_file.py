"""Rules read from TOML files, built-in ones and a user's own, and checked."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from lcmap.errors import LcmapError, RulesError, UsageError
from lcmap.nomenclature import Nomenclature, load_nomenclature
from lcmap.paths import PathLike
from lcmap.raster.input_watch import note_input
from lcmap.reference.rules import Condition, Near, Ring, Rule, RuleSet, Width
from lcmap.toml_text import LARGEST, parse_toml
from lcmap.user_file import read_small
from lcmap.vector.names import fold_value

_BUILTIN = Path(__file__).parent / "rules"

_TOP_KEYS = ("name", "title", "nomenclature", "layers", "fields", "rules", "rings")
_RULE_KEYS = (
    "layer",
    "class",
    "where",
    "unless",
    "width",
    "buffer",
    "priority",
    "without_attributes",
    "near",
)
_RING_KEYS = ("around", "distance", "class")
_NEAR_KEYS = ("around", "distance")
_WIDTH_KEYS = ("field", "default")
_RANGE_KEYS = ("min", "max")


@cache
def builtin_rules() -> tuple[str, ...]:
    """Return the names of the built-in rules, in alphabetical order."""
    return tuple(sorted(path.stem for path in _BUILTIN.glob("*.toml")))


def load_rules(name_or_path: PathLike) -> RuleSet:
    """Return built-in rules by their name, or a user's own by their TOML file.

    A nomenclature that the file names by a path is looked for from the file's folder.

    Raises:
        UsageError: neither a built-in name nor a .toml file.
        InputMissingError, DataError: the file does not exist or cannot be read, as `read_small`.
        RulesError: it is not TOML, or a key is missing, unknown or of the wrong kind; a rule names
            a class that the nomenclature does not have.
        NomenclatureError, UsageError: its nomenclature cannot be loaded.
    """
    text = os.fspath(name_or_path)
    if text.lower().endswith(".toml"):
        note_input(text)
        return _RulesFile(text, _read_toml(Path(text))).rule_set()
    if text not in builtin_rules():
        raise UsageError(
            text,
            "no built-in rules have this name",
            f"take one of {', '.join(builtin_rules())}, or a path ending in .toml",
        )
    path = _BUILTIN / f"{text}.toml"
    return _RulesFile(str(path), _read_toml(path)).rule_set()


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return parse_toml(read_small(path, LARGEST))
    except LcmapError:
        raise
    except ValueError as error:
        raise RulesError(path, str(error)) from None


class _RulesFile:
    """A rules file being checked: every complaint names the file and the key."""

    def __init__(self, path: str, values: dict[str, Any]) -> None:
        self._path = path
        self._values = values

    def rule_set(self) -> RuleSet:
        values = self._values
        self._only_keys("", values, _TOP_KEYS)
        name = self._text("name", values.get("name"))
        self._nomenclature = self._load_nomenclature()
        rules = [
            self._rule(number, rule) for number, rule in enumerate(self._list("rules"), start=1)
        ]
        if not rules:
            raise RulesError(self._path, "rules: there is none", "add [[rules]] tables")
        rings = [
            self._ring(f"rings[{number}]", ring)
            for number, ring in enumerate(self._list("rings"), start=1)
        ]
        return RuleSet(
            name,
            self._text("title", values.get("title", name)),
            self._nomenclature,
            tuple(sorted(rules, key=lambda rule: rule.priority)),
            tuple(rings),
            self._aliases("layers"),
            self._aliases("fields"),
        )

    def _load_nomenclature(self) -> Nomenclature:
        name = self._text("nomenclature", self._values.get("nomenclature"))
        if name.lower().endswith(".toml"):
            return load_nomenclature(Path(self._path).parent / name)
        return load_nomenclature(name)

    def _rule(self, number: int, value: object) -> Rule:
        key = f"rules[{number}]"
        table = self._table(key, value)
        self._only_keys(key, table, _RULE_KEYS)
        return Rule(
            number,
            self._text(f"{key}.layer", table.get("layer")),
            self._class_or_none(f"{key}.class", table.get("class")),
            self._conditions(f"{key}.where", table.get("where", {})),
            self._conditions(f"{key}.unless", table.get("unless", {})),
            self._width(f"{key}.width", table["width"]) if "width" in table else None,
            self._metres(f"{key}.buffer", table.get("buffer", 0.0), least=0.0),
            self._integer(f"{key}.priority", table.get("priority", 0)),
            self._boolean(f"{key}.without_attributes", table.get("without_attributes", False)),
            self._near(f"{key}.near", table["near"]) if "near" in table else None,
        )

    def _ring(self, key: str, value: object) -> Ring:
        table = self._table(key, value)
        self._only_keys(key, table, _RING_KEYS)
        return Ring(
            self._around(key, table),
            self._metres(f"{key}.distance", table.get("distance")),
            self._class(f"{key}.class", table.get("class")),
        )

    def _near(self, key: str, value: object) -> Near:
        table = self._table(key, value)
        self._only_keys(key, table, _NEAR_KEYS)
        distance = self._metres(f"{key}.distance", table.get("distance"))
        return Near(self._around(key, table), distance)

    def _around(self, key: str, table: Mapping[str, Any]) -> tuple[int, ...]:
        around = table.get("around")
        names = around if isinstance(around, list) and around else [around]
        return tuple(self._class(f"{key}.around", name) for name in names)

    def _width(self, key: str, value: object) -> Width:
        if not isinstance(value, dict):
            return Width(self._metres(key, value))
        self._only_keys(key, value, _WIDTH_KEYS)
        return Width(
            self._metres(f"{key}.default", value.get("default")),
            self._text(f"{key}.field", value.get("field")),
        )

    def _conditions(self, key: str, value: object) -> tuple[Condition, ...]:
        table = self._table(key, value)
        return tuple(
            self._condition(f"{key}.{field}", field, wanted) for field, wanted in table.items()
        )

    def _condition(self, key: str, field: str, wanted: object) -> Condition:
        if isinstance(wanted, dict):
            self._only_keys(key, wanted, _RANGE_KEYS)
            if not wanted:
                raise RulesError(self._path, f"{key}: an empty range", "give min, max or both")
            return Condition(
                field,
                minimum=self._number(f"{key}.min", wanted.get("min", -math.inf)),
                maximum=self._number(f"{key}.max", wanted.get("max", math.inf)),
            )
        values = wanted if isinstance(wanted, list) else [wanted]
        if not values or not all(isinstance(v, str | int | float) for v in values):
            raise RulesError(
                self._path, f"{key}: {wanted!r} is not a value", "give a text, a number or a list"
            )
        # brackets and question marks occur in values; only * is meant as a pattern
        patterns = (fold_value(str(v)).replace("[", "[[]").replace("?", "[?]") for v in values)
        return Condition(field, tuple(patterns))

    def _class_or_none(self, key: str, value: object) -> int:
        """Return a class's code; 0, which is written as a number, is no label."""
        return 0 if type(value) is int and value == 0 else self._class(key, value)

    def _class(self, key: str, value: object) -> int:
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise RulesError(
                self._path, f"{key}: {value!r} is not a class", "give its name, acronym or code"
            )
        found = self._nomenclature.find(str(value))
        if found is None:
            shorts = ", ".join(item.short for item in self._nomenclature.classes)
            raise RulesError(
                self._path,
                f"{key}: {self._nomenclature.name} has no class {value!r}",
                f"it has {shorts}",
            )
        return found.code

    def _aliases(self, key: str) -> dict[str, tuple[str, ...]]:
        table = self._table(key, self._values.get(key, {}))
        for name, aliases in table.items():
            if not isinstance(aliases, list) or not all(isinstance(a, str) for a in aliases):
                raise RulesError(self._path, f"{key}.{name}: is not a list of names")
        return {name: tuple(aliases) for name, aliases in table.items()}

    def _list(self, key: str) -> list[Any]:
        value = self._values.get(key, [])
        if not isinstance(value, list):
            raise RulesError(self._path, f"{key}: is not a list", f"write [[{key}]]")
        return value

    def _table(self, key: str, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise RulesError(self._path, f"{key}: {value!r} is not a table")
        return value

    def _only_keys(self, key: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for name in table:
            if name not in known:
                place = f"{key}.{name}" if key else name
                raise RulesError(
                    self._path, f"{place}: unknown key", f"the keys are {', '.join(known)}"
                )

    def _text(self, key: str, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            raise RulesError(self._path, f"{key}: {_given(value)} a text")
        return value

    def _number(self, key: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RulesError(self._path, f"{key}: {_given(value)} a number")
        return float(value)

    def _metres(self, key: str, value: object, *, least: float | None = None) -> float:
        number = self._number(key, value)
        if not math.isfinite(number) or number < 0 or (least is None and number == 0):
            raise RulesError(self._path, f"{key}: {value!r} is not a length in metres")
        return number

    def _integer(self, key: str, value: object) -> int:
        if type(value) is not int:
            raise RulesError(self._path, f"{key}: {_given(value)} an integer")
        return value

    def _boolean(self, key: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise RulesError(self._path, f"{key}: {_given(value)} true or false")
        return value


def _given(value: object) -> str:
    return "is missing; give" if value is None else f"{value!r} is not"
