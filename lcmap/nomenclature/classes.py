"""A nomenclature: the classes of a map, with their codes, names and colours."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.errors import NomenclatureError, UnknownLabelError
from lcmap.nomenclature.labels import as_codes
from lcmap.paths import PathLike
from lcmap.raster.classes import ClassTable
from lcmap.raster.code_counts import code_counts

NO_LABEL = 0
NO_INDEX = 255

_GOLDEN_RATIO = (5**0.5 - 1) / 2
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_CLASS_KEYS = ("code", "name", "short", "color")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LandCoverClass:
    """One class: its code (1–254), name, acronym and colour ("#rrggbb")."""

    code: int
    name: str
    short: str
    color: str


@dataclass(frozen=True)
class Nomenclature:
    """Classes in order; code 0 always means "no label", and so do the codes in no_label."""

    name: str
    title: str
    classes: tuple[LandCoverClass, ...]
    no_label: tuple[int, ...] = ()

    @property
    def codes(self) -> tuple[int, ...]:
        """The classes' codes, in the nomenclature's order."""
        return tuple(item.code for item in self.classes)

    @property
    def coded_names(self) -> tuple[tuple[int, str], ...]:
        """The classes' codes and names in order: what a class is, whatever its colour."""
        return tuple((item.code, item.name) for item in self.classes)

    def __len__(self) -> int:
        """Return the number of classes, K."""
        return len(self.classes)

    def __getitem__(self, code: int) -> LandCoverClass:
        """Return the class of a code.

        Raises:
            KeyError: the nomenclature has no such code.
        """
        return self.classes[self.index_of(code)]

    def index_of(self, code: int) -> int:
        """Return the index (0 … K-1) of a code in the nomenclature's order.

        Raises:
            KeyError: the nomenclature has no such code.
        """
        try:
            return self.codes.index(code)
        except ValueError:
            raise KeyError(code) from None

    def find(self, text: str) -> LandCoverClass | None:
        """Return the class that a user means by a code, a name or an acronym, in any case."""
        wanted = text.strip().casefold()
        for item in self.classes:
            if wanted in (str(item.code), item.name.casefold(), item.short.casefold()):
                return item
        return None

    @cached_property
    def code_to_index(self) -> NDArray[np.uint8]:
        """uint8 [256]: the class index of each code; 255 where a code means no label or nothing."""
        table = np.full(256, NO_INDEX, np.uint8)
        table[list(self.codes)] = np.arange(len(self), dtype=np.uint8)
        table.flags.writeable = False
        return table

    @cached_property
    def index_to_code(self) -> NDArray[np.uint8]:
        """uint8 [K]: the code of each class index."""
        table = np.array(self.codes, np.uint8)
        table.flags.writeable = False
        return table

    def check_labels(self, labels: NDArray[Any], source: PathLike) -> NDArray[np.uint8]:
        """Return labels (any shape, any real dtype) as uint8 codes, no-label codes set to 0.

        Raises:
            UnknownLabelError: labels holds codes that the nomenclature does not have; it names
                them and the source.
        """
        codes = as_codes(labels, source)
        known = np.zeros(256, bool)
        known[[NO_LABEL, *self.codes]] = True
        # most nomenclatures count from 1 without gaps: the largest code says enough, and is found
        # in a fraction of the time
        if known[: int(codes.max(initial=NO_LABEL)) + 1].all():
            return codes
        known[list(self.no_label)] = True
        present = code_counts(codes) > 0
        unknown = np.flatnonzero(present & ~known)
        if unknown.size:
            raise UnknownLabelError(
                source,
                f"holds label codes that {self.name} does not have: "
                + ", ".join(str(code) for code in unknown),
                "name the nomenclature it is in, or a crosswalk from it",
            )
        if self.no_label and present[list(self.no_label)].any():
            codes = np.where(np.isin(codes, self.no_label), np.uint8(NO_LABEL), codes)
        return codes

    def class_table(self) -> ClassTable:
        """Return names and colours as a raster carries them."""
        return ClassTable(
            self.name,
            {item.code: item.name for item in self.classes},
            {item.code: _rgb(item.color) for item in self.classes},
            {item.code: item.short for item in self.classes},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the nomenclature as plain values, in the form of its TOML file."""
        return {
            "name": self.name,
            "title": self.title,
            "no_label": list(self.no_label),
            "classes": [{key: getattr(item, key) for key in _CLASS_KEYS} for item in self.classes],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], subject: str = "nomenclature") -> Nomenclature:
        """Check plain values as to_dict returns them and make the nomenclature; subject names them.

        Raises:
            NomenclatureError: a key is missing, unknown or of the wrong kind; a code is 0, 255,
                not an integer, or given twice; a name or an acronym is given twice; a colour is not
                "#rrggbb".
        """
        _only_keys(subject, "the nomenclature", values, ("name", "title", "classes", "no_label"))
        name = _text(subject, "the nomenclature", values, "name")
        title = _text(subject, "the nomenclature", {"title": name, **values}, "title")
        entries = values.get("classes")
        if not isinstance(entries, list) or not entries:
            raise NomenclatureError(subject, "has no classes", 'list them under "classes"')
        classes = tuple(
            _land_cover_class(subject, position, entry) for position, entry in enumerate(entries, 1)
        )
        for key in ("code", "name", "short"):
            _refuse_twice(subject, key, [getattr(item, key) for item in classes])
        no_label = values.get("no_label", [])
        if not isinstance(no_label, list) or not all(
            type(code) is int and 0 < code <= 255 for code in no_label
        ):
            raise NomenclatureError(subject, "no_label is not a list of codes from 1 to 255")
        _refuse_twice(subject, "code", [item.code for item in classes] + no_label)
        return cls(name, title, classes, tuple(no_label))


def from_class_table(table: ClassTable) -> Nomenclature:
    """Return the nomenclature that a raster carries; names stand for acronyms where it has none.

    Classes whose colours are lost get other ones, with a warning.

    Raises:
        NomenclatureError: the raster's classes contradict each other.
    """
    whole = set(table.acronyms) == set(table.codes)
    acronyms = table.acronyms if whole else table.names
    colors = {code: table.colors.get(code, _other_color(code)) for code in table.codes}
    if lost := [table.names[code] for code in table.codes if code not in table.colors]:
        logger.warning(
            "class names in the raster's tags: the colours of %s are lost, others stand for them",
            ", ".join(lost),
        )
    return Nomenclature.from_dict(
        {
            "name": table.nomenclature or "classes",
            "classes": [
                {
                    "code": code,
                    "name": table.names[code],
                    "short": acronyms[code],
                    "color": "#{:02x}{:02x}{:02x}".format(*colors[code]),
                }
                for code in table.codes
            ],
        },
        subject="class names in the raster's tags",
    )


def _other_color(code: int) -> tuple[int, int, int]:
    """Return a colour for a class; those of near codes are far from each other."""
    red, green, blue = hsv_to_rgb(code * _GOLDEN_RATIO % 1, 0.6, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _land_cover_class(subject: str, position: int, entry: object) -> LandCoverClass:
    where = f"class number {position}"
    if not isinstance(entry, dict):
        raise NomenclatureError(subject, f"{where} is not a table with code, name, short and color")
    if isinstance(entry.get("name"), str):
        where += f' ("{entry["name"]}")'
    _only_keys(subject, where, entry, _CLASS_KEYS)
    code = entry.get("code")
    if type(code) is not int or not 1 <= code <= 254:
        raise NomenclatureError(
            subject,
            f"{where} has the code {code!r}",
            "codes go from 1 to 254; 0 always means no label, and 255 is kept free",
        )
    color = _text(subject, where, entry, "color")
    if not _COLOR.fullmatch(color):
        raise NomenclatureError(subject, f'{where} has the color "{color}"', 'write it "#rrggbb"')
    return LandCoverClass(
        code,
        _text(subject, where, entry, "name"),
        _text(subject, where, entry, "short"),
        color.lower(),
    )


def _only_keys(subject: str, where: str, values: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    unknown = [str(key) for key in values if key not in keys]
    if unknown:
        raise NomenclatureError(
            subject,
            f'{where} has the unknown key "{unknown[0]}"',
            "the keys are " + ", ".join(keys),
        )


def _text(subject: str, where: str, values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    if not isinstance(value, str) or not value.strip():
        raise NomenclatureError(subject, f'{where} has no text "{key}"')
    return value


def _refuse_twice(subject: str, key: str, values: list[Any]) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise NomenclatureError(subject, f'the {key} "{twice[0]}" is given twice')
