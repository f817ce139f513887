"""The classes of a change map: from which class to which, with codes, names and colours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lcmap.nomenclature import LandCoverClass, Nomenclature
from lcmap.raster.classes import ClassTable

UNCHANGED = 1
_FIRST = 2
_UNCHANGED_COLOR = (230, 230, 230)
_SHARE_OF_OLD = 0.25
"""How much of the old class's colour is in that of a change."""

Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class ChangeClasses:
    """The changes between the classes of a nomenclature.

    0 is no class in one of the years, 1 is the same class in both. From the class at index i of
    the nomenclature to that at j, counted from 0, is 2 + i · (K - 1) + j, less 1 where j > i, of K
    classes: the codes do not depend on which changes there are.
    """

    nomenclature: Nomenclature

    @property
    def dtype(self) -> str:
        """The data type of the codes: uint8 as for other maps up to 16 classes, else uint16."""
        return "uint8" if max(self.table.codes) < 255 else "uint16"

    @cached_property
    def table(self) -> ClassTable:
        """The codes' names ("Grass → Building") and colours: the new one's, tinted by the old."""
        names, acronyms = {UNCHANGED: "unchanged"}, {UNCHANGED: "="}
        colors = {UNCHANGED: _UNCHANGED_COLOR}
        own = self.nomenclature.class_table().colors
        for code, old, new in self.pairs():
            names[code] = f"{old.name} → {new.name}"
            acronyms[code] = f"{old.short} → {new.short}"
            red, green, blue = (
                round(_SHARE_OF_OLD * was + (1 - _SHARE_OF_OLD) * now)
                for was, now in zip(own[old.code], own[new.code], strict=True)
            )
            colors[code] = red, green, blue
        return ClassTable(f"{self.nomenclature.name}-changes", names, colors, acronyms)

    def pairs(self) -> Iterator[tuple[int, LandCoverClass, LandCoverClass]]:
        """Yield the code of each change, the old class and the new one."""
        code = _FIRST
        for old in self.nomenclature.classes:
            for new in self.nomenclature.classes:
                if old != new:
                    yield code, old, new
                    code += 1

    def between(self, last: Codes, now: Codes) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Return the codes of the changes from one year's classes to another's, any shape."""
        return self._codes[last, now]

    @cached_property
    def _codes(self) -> NDArray[np.uint8] | NDArray[np.uint16]:
        table = np.zeros((256, 256), self.dtype)
        codes = self.nomenclature.index_to_code
        table[codes, codes] = UNCHANGED
        for code, old, new in self.pairs():
            table[old.code, new.code] = code
        return table
