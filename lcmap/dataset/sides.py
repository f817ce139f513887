"""Side inputs: a second image, a label map or class probabilities that go in beside an image."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from lcmap.errors import NoCrsError, NoOverlapError, TooLittleOverlapError
from lcmap.model_file import EntryKind
from lcmap.nomenclature import Nomenclature, load_nomenclature
from lcmap.nomenclature.library import nomenclature_of
from lcmap.nomenclature.tag import read_nomenclature
from lcmap.raster.alignment import overlaps, shared_ground
from lcmap.raster.classes import read_class_table
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster

LEAST_SHARED = 0.5
"""A side input that covers less of the image than this is taken for the wrong one."""

KINDS: tuple[EntryKind, ...] = get_args(EntryKind)


@dataclass(frozen=True)
class Side:
    """What a side input is; label maps have the nomenclature of their codes."""

    kind: EntryKind
    nomenclature: Nomenclature | None = None

    @property
    def title(self) -> str:
        """The kind, and the nomenclature where there is one."""
        return f"labels in {self.nomenclature.name}" if self.nomenclature else self.kind

    def to_dict(self) -> dict[str, Any]:
        """Return the side as JSON values."""
        classes = self.nomenclature.to_dict() if self.nomenclature else None
        return {"kind": self.kind, "nomenclature": classes}

    @classmethod
    def from_dict(cls, values: dict[str, Any], subject: str | os.PathLike[str]) -> Side:
        """Return the side that `to_dict` gave.

        Raises:
            KeyError, ValueError, NomenclatureError: a value is missing or is not what it should be.
        """
        kind, classes = values["kind"], values["nomenclature"]
        if kind not in KINDS or (kind == "labels") != bool(classes):
            raise ValueError(f"{kind!r} is no kind of side input, or lacks its nomenclature")
        return cls(kind, Nomenclature.from_dict(classes, os.fspath(subject)) if classes else None)


def parse_side(text: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """Return the path and what follows its last colon, None where the path has none of its own.

    A file whose name holds a colon is taken as it is.
    """
    name = os.fspath(text)
    path, colon, meaning = name.rpartition(":")
    if not colon or not path or os.path.exists(name):
        return Path(name), None
    return Path(path), meaning


def identify_side(path: Path, meaning: str | None, *, allow_vrt: bool = False) -> Side:
    """Return what a side input is.

    It is what `meaning` says ("image", "probabilities", or the nomenclature of a label map), else
    what the raster's tags do: a label map carries class names, probabilities their nomenclature.
    Without either it is an image.

    Raises:
        InputMissingError, NotARasterError: as `open_raster`.
        UnknownNomenclatureError, NomenclatureError: as `load_nomenclature`.
    """
    for kind in KINDS:
        if meaning == kind and kind != "labels":
            return Side(kind)
    if meaning is not None and meaning != "labels":
        return Side("labels", load_nomenclature(meaning))
    with open_raster(path, allow_vrt=allow_vrt) as dataset:
        table = read_class_table(dataset)
        if read_nomenclature(dataset, path) is not None:
            return Side("probabilities")
    if table is not None:
        return Side("labels", nomenclature_of(table))
    return Side("image")


def check_ground(
    side: Grid, grid: Grid, shown: str, subject: str, *, allow_missing: bool = False
) -> None:
    """Check that a side input, called `shown`, covers the grid of the image called `subject`.

    With `allow_missing` any part of it will do.

    Raises:
        NoCrsError: one of them has no coordinate reference system.
        NoOverlapError, TooLittleOverlapError: it covers nothing, or less than `LEAST_SHARED`.
    """
    for one, other, name in ((side, grid, shown), (grid, side, subject)):
        if one.crs is None and other.crs is not None:
            raise NoCrsError(
                name, "has no coordinate reference system", "assign one, as with rio edit-info"
            )
    if not overlaps(side, grid):
        raise NoOverlapError(
            shown, f"covers no ground of {subject}", "give a side input of the image's area"
        )
    share = shared_ground(side, grid)
    if share < LEAST_SHARED and not allow_missing:
        raise TooLittleOverlapError(
            shown,
            f"covers {100 * share:.0f} % of {subject}, the rest would be no data",
            "crop the image to their common ground, or --allow-missing",
        )
