"""The areas of classes, and from which class to which, as values, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lcmap import __version__
from lcmap.nomenclature import Nomenclature
from lcmap.nomenclature.classes import NO_LABEL
from lcmap.products.area_counting import Areas
from lcmap.raster.code_counts import CODES
from lcmap.raster.pixel_areas import SQUARE_METRES

METHOD = "pixel count"
NOTE = (
    "these are counts of pixels, not estimates of areas: they have the map's errors in them, which "
    "a sample of the ground would correct"
)


@dataclass(frozen=True)
class AreaRow:
    """An area: its codes, one for each map, and the share of the ground with a class in all maps.

    The share is None where one of the codes is no class.
    """

    codes: tuple[int, ...]
    hectares: float
    share: float | None


@dataclass(frozen=True)
class AreaReport:
    """The areas of one map's classes, or of the pairs of classes of two.

    maps: what messages call the maps.
    nomenclatures: that of each map, None where codes alone are known.
    pixel: how the area of a pixel was found, in a clause.
    whole: the area of each cell in m².
    zones: the same by zone; None where there were none.
    """

    maps: tuple[str, ...]
    nomenclatures: tuple[Nomenclature | None, ...]
    pixel: str
    whole: Areas
    zones: Mapping[str, Areas] | None

    def rows(self, areas: Areas) -> list[AreaRow]:
        """Return areas in the order of their codes, those without a class last."""
        found = [(self._codes(cell), area / SQUARE_METRES) for cell, area in areas.items()]
        total = sum(hectares for codes, hectares in found if NO_LABEL not in codes)
        rows = [
            AreaRow(codes, hectares, None if NO_LABEL in codes else hectares / total)
            for codes, hectares in found
        ]
        return sorted(rows, key=lambda row: (row.share is None, row.codes))

    def class_name(self, number: int, code: int, *, short: bool = False) -> str:
        """Return the name of a class of one of the maps, or its acronym."""
        nomenclature = self.nomenclatures[number]
        if code == NO_LABEL:
            return "no class"
        if nomenclature is None:
            return str(code)
        return nomenclature[code].short if short else nomenclature[code].name

    def to_json(self, **about: str) -> str:
        """Return the areas as JSON, version 1; what else is said of them follows the version."""
        zones = None
        if self.zones is not None:
            zones = [
                {"zone": zone, "areas": list(map(self._to_dict, self.rows(areas)))}
                for zone, areas in self.zones.items()
            ]
        values = {
            "format": "lcmap areas",
            "version": 1,
            "lcmap_version": __version__,
            **about,
            "method": METHOD,
            "note": NOTE,
            "pixel": self.pixel,
            "maps": list(self.maps),
            "areas": list(map(self._to_dict, self.rows(self.whole))),
            "zones": zones,
        }
        return json.dumps(values, ensure_ascii=False, indent=2, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """Return the areas as CSV in long form: a row for each zone, and class or pair of classes.

        The rows of the whole map have no zone.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        prefixes = self._prefixes
        heads = [f"{prefix}{key}" for prefix in prefixes for key in ("code", "class")]
        writer.writerow(["zone", *heads, "hectares", "share", "method"])
        for zone, areas in self._zones():
            for row in self.rows(areas):
                names = [
                    value
                    for number, code in enumerate(row.codes)
                    for value in (code, self.class_name(number, code))
                ]
                share = "" if row.share is None else f"{row.share:.6g}"
                writer.writerow([zone, *names, f"{row.hectares:.10g}", share, METHOD])
        return text.getvalue()

    @property
    def _prefixes(self) -> tuple[str, ...]:
        return ("",) if len(self.maps) == 1 else ("from_", "to_")

    def _zones(self) -> Iterator[tuple[str, Areas]]:
        yield "", self.whole
        yield from (self.zones or {}).items()

    def _codes(self, cell: int) -> tuple[int, ...]:
        return (cell,) if len(self.maps) == 1 else divmod(cell, CODES)

    def _to_dict(self, row: AreaRow) -> dict[str, object]:
        values: dict[str, object] = {}
        for number, (prefix, code) in enumerate(zip(self._prefixes, row.codes, strict=True)):
            values[f"{prefix}code"] = code
            values[f"{prefix}class"] = self.class_name(number, code)
        return values | {"hectares": row.hectares, "share": row.share}
