"""What a raster holds: an image, a label map or class probabilities."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from lcmap.errors import UnexplainedLabelsError, UsageError
from lcmap.nomenclature import Nomenclature, load_nomenclature
from lcmap.nomenclature.library import is_toml_path, nomenclature_of
from lcmap.nomenclature.tag import read_nomenclature
from lcmap.paths import PathLike
from lcmap.raster.classes import InputKind, find_class_table

KINDS: tuple[InputKind, ...] = get_args(InputKind)

HIGHEST_LEVEL = 7
"""Of a side input: the largest pooling grid that a model may have is twice as wide as its cells."""


@dataclass(frozen=True)
class RasterContent:
    """What a raster holds; a label map has the nomenclature of its codes.

    `level` is k where it is read on cells of 2^k × 2^k pixels of the image it is beside.
    """

    kind: InputKind
    nomenclature: Nomenclature | None = None
    level: int = 0

    @property
    def title(self) -> str:
        """The kind, the nomenclature where there is one, and the cells where they are no pixels."""
        kind = f"labels in {self.nomenclature.name}" if self.nomenclature else self.kind
        return f"{kind} on cells of {1 << self.level} px" if self.level else kind

    def to_dict(self) -> dict[str, Any]:
        """Return the content as JSON values."""
        classes = self.nomenclature.to_dict() if self.nomenclature else None
        return {"kind": self.kind, "nomenclature": classes, "level": self.level}

    @classmethod
    def from_dict(cls, values: dict[str, Any], subject: PathLike) -> RasterContent:
        """Return the content that `to_dict` returned.

        Raises:
            KeyError, ValueError, NomenclatureError: a value is missing or is not what it should be.
        """
        kind, classes = values["kind"], values["nomenclature"]
        if kind not in KINDS or (kind == "labels") != bool(classes):
            raise ValueError(f"{kind!r} is not a kind of side input, or lacks its nomenclature")
        level = int(values.get("level", 0))  # formats up to 2 have none
        if not 0 <= level <= HIGHEST_LEVEL:
            raise ValueError(f"a side input on level {level}")
        nomenclature = Nomenclature.from_dict(classes, os.fspath(subject)) if classes else None
        return cls(kind, nomenclature, level)


def parse_input(text: PathLike) -> tuple[Path, str | None]:
    """Return the path and what follows its last colon, None where the path has none of its own.

    A file whose name holds a colon is taken as it is.
    """
    name = os.fspath(text)
    path, colon, meaning = name.rpartition(":")
    if not colon or not path or os.path.exists(name):
        return Path(name), None
    return Path(path), meaning


def absolute_input(text: PathLike) -> str:
    """Return an input as `parse_input` takes it, by names that any working folder leads from."""
    path, meaning = parse_input(text)
    if meaning is not None and is_toml_path(meaning):
        meaning = os.path.abspath(meaning)
    return os.path.abspath(path) + ("" if meaning is None else f":{meaning}")


def parse_side(text: PathLike) -> tuple[Path, str | None, int | None]:
    """Return the path, what follows its last colon, and the level after an "@" at the end.

    Each of the last two is None where it is not given. A file whose name holds such characters is
    taken as it is.

    Raises:
        UsageError: what follows the "@" is no level.
    """
    name = os.fspath(text)
    before, at, level = name.rpartition("@")
    if not before or os.path.exists(name) or set(level) & set("./:"):
        return *parse_input(name), None
    if not level.isdecimal() or int(level) > HIGHEST_LEVEL:
        raise UsageError(
            name,
            f"{at}{level} is no level of a side input",
            f"give 0 for the image's pixels, up to {HIGHEST_LEVEL} for cells of "
            f"{1 << HIGHEST_LEVEL} px, or leave it out",
        )
    return *parse_input(before), int(level)


def content_of(dataset: Any, meaning: str | None, name: str) -> RasterContent:
    """Return what an open raster, called `name` in messages, holds.

    It is what `meaning` says ("image", "probabilities", or the nomenclature of a label map, which
    is "labels" where it carries class names), else what the raster's tags do, or its sidecar: a
    label map carries class names, probabilities their nomenclature. Without either it is an image.

    Raises:
        UnexplainedLabelsError: it is said to be a label map, and carries no class names.
        UsageError, NomenclatureError: as `load_nomenclature`.
    """
    for kind in KINDS:
        if meaning == kind and kind != "labels":
            return RasterContent(kind)
    if meaning is not None and meaning != "labels":
        return RasterContent("labels", load_nomenclature(meaning))
    if meaning is None and read_nomenclature(dataset, name) is not None:
        return RasterContent("probabilities")
    table = find_class_table(dataset)
    if table:
        return RasterContent("labels", nomenclature_of(table))
    if meaning is not None:
        raise UnexplainedLabelsError(
            name,
            "carries no class names that say what its codes mean",
            f"name its nomenclature or a TOML file of it, as {name}:oso23",
        )
    return RasterContent("image")
